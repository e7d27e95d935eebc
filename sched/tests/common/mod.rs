//! A small machine for the scheduler to run on: CPUs with one-shot timers, a clock, and tasks that
//! only count the time they get. It does what the kernel does with each answer, and **no more**: a
//! timer is programmed again only where the kernel would, so an answer that is missing shows as a
//! task that waits too long.

#![allow(dead_code, reason = "each test uses its part")]

use sched::{
    Block, Cpu, CpuId, CpuSet, Level, Links, Place, Resched, TaskId, Tasks, Wake, balance,
};

/// A thread table: nodes in a `Vec`.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Vec<Links>);

impl Tasks for Table {
    fn links(&self, id: TaskId) -> &Links {
        &self.0[id.0 as usize]
    }
}

/// The level of that number.
pub(crate) fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

/// The CPU of that number.
pub(crate) fn cpu(number: usize) -> CpuId {
    CpuId::new(number).unwrap()
}

/// Numbers that look random and are the same in each run (xorshift64*, Vigna 2016).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A CPU: its scheduler, and its timer.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) sched: Cpu,
    /// When the timer fires.
    pub(crate) timer: Option<u64>,
}

/// Some CPUs, some tasks, one clock.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) now: u64,
    pub(crate) tasks: Table,
    pub(crate) cores: Vec<Core>,
    /// How long each task has run.
    ran: Vec<u64>,
    pub(crate) switches: u64,
    /// How often a task was taken to another CPU.
    pub(crate) moved: u64,
}

impl Machine {
    pub(crate) fn new(cpus: usize, quantum_ticks: u64) -> Self {
        let core = |number| Core {
            sched: Cpu::new(cpu(number), quantum_ticks),
            timer: None,
        };
        Self {
            now: 0,
            tasks: Table(Vec::new()),
            cores: (0..cpus).map(core).collect(),
            ran: Vec::new(),
            switches: 0,
            moved: 0,
        }
    }

    /// A new task, in no queue.
    pub(crate) fn create(&mut self, level: Level, allowed: CpuSet) -> TaskId {
        self.tasks.0.push(Links::new(level, allowed));
        self.ran.push(0);
        TaskId(self.ran.len() as u32 - 1)
    }

    /// A new task that is ready on `on`.
    pub(crate) fn start(&mut self, level: Level, on: usize) -> TaskId {
        let id = self.create(level, CpuSet::ALL);
        self.enqueue(id, on);
        id
    }

    pub(crate) fn current(&self, on: usize) -> Option<TaskId> {
        self.cores[on].sched.current()
    }

    /// How long `id` has run.
    pub(crate) fn ran(&self, id: TaskId) -> u64 {
        self.ran[id.0 as usize]
    }

    pub(crate) fn links(&self, id: TaskId) -> &Links {
        self.tasks.links(id)
    }

    pub(crate) fn loads(&self) -> impl Iterator<Item = (CpuId, u32)> + '_ {
        self.cores
            .iter()
            .map(|core| (core.sched.id(), core.sched.load()))
    }

    pub(crate) fn enqueue(&mut self, id: TaskId, on: usize) {
        let resched = self.cores[on].sched.enqueue(&self.tasks, id);
        self.obey(on, resched);
    }

    /// Wakes `id` where it last ran, as an interrupt handler or another task would.
    pub(crate) fn wake(&mut self, id: TaskId) -> Wake {
        let wake = self.links(id).state().wake();
        if wake == Wake::Claimed {
            let home = self.links(id).cpu().index();
            let resched = self.cores[home].sched.enqueue_woken(&self.tasks, id);
            self.obey(home, resched);
        }
        wake
    }

    /// The current task tries to block as `how` says; the next one comes if it did.
    pub(crate) fn try_leave(
        &mut self,
        on: usize,
        how: impl Fn(&mut Cpu, &Table) -> Block,
    ) -> Block {
        let block = how(&mut self.cores[on].sched, &self.tasks);
        if block == Block::Blocked {
            self.pick(on);
        }
        block
    }

    /// The current task blocks as `how` says, and the next one comes.
    pub(crate) fn leave(&mut self, on: usize, how: impl Fn(&mut Cpu, &Table) -> Block) {
        assert_eq!(self.try_leave(on, how), Block::Blocked);
    }

    /// What a CPU does with an answer.
    pub(crate) fn obey(&mut self, on: usize, resched: Resched) {
        match resched {
            Resched::NotNeeded => {}
            Resched::Rearm => self.program_timer(on),
            Resched::Needed => {
                self.cores[on].sched.preempt_current(&self.tasks, self.now);
                self.pick(on);
                self.push(on);
            }
        }
    }

    /// What a CPU does when its current task has left: the next one, or another CPU's, or nothing.
    pub(crate) fn pick(&mut self, on: usize) {
        self.switches += 1;
        if self.cores[on].sched.pick(&self.tasks, self.now).is_none() {
            self.steal(on);
        }
        self.program_timer(on);
    }

    /// Takes a task from another CPU, if that is called for.
    pub(crate) fn steal(&mut self, thief: usize) {
        let mut tried = CpuSet::EMPTY;
        loop {
            let loads = self.loads().filter(|&(cpu, _)| !tried.contains(cpu));
            let Some(victim) = balance::steal_from(loads, cpu(thief)) else {
                return;
            };
            let from = &mut self.cores[victim.index()].sched;
            if let Some(id) = from.take_for(&self.tasks, cpu(thief)) {
                self.moved += 1;
                self.enqueue(id, thief);
                return;
            }
            tried = tried.with(victim);
        }
    }

    /// Gives tasks to other CPUs, as long as that is called for.
    pub(crate) fn push(&mut self, from: usize) {
        loop {
            let movable_to = self.cores[from].sched.ready().movable_to(&self.tasks);
            let to = balance::push_to(self.loads(), cpu(from), movable_to);
            let Some(to) = to else { return };
            let id = self.cores[from].sched.take_for(&self.tasks, to).unwrap();
            self.moved += 1;
            self.enqueue(id, to.index());
        }
    }

    pub(crate) fn program_timer(&mut self, on: usize) {
        self.cores[on].timer = self.cores[on].sched.next_deadline_ticks();
    }

    /// The next time at which a timer fires, if one does.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.cores.iter().filter_map(|core| core.timer).min()
    }

    /// Lets the clock run on to `to`, which no timer comes before. Who is current gets the time.
    pub(crate) fn run_until(&mut self, to: u64) {
        assert!(
            self.next_timer()
                .is_none_or(|at| at >= to || at <= self.now),
            "a timer was skipped"
        );
        let ticks = to - self.now;
        for core in &self.cores {
            if let Some(id) = core.sched.current() {
                self.ran[id.0 as usize] += ticks;
            }
        }
        self.now = to;
    }

    /// Serves the timers that fire now, until none does.
    pub(crate) fn serve_timers(&mut self) {
        while let Some(on) = self
            .cores
            .iter()
            .position(|core| core.timer.is_some_and(|at| at <= self.now))
        {
            self.cores[on].timer = None;
            let resched = self.cores[on].sched.on_timer(&self.tasks, self.now);
            self.obey(on, resched);
            self.push(on);
            self.program_timer(on);
        }
    }

    /// Runs until `end`, with nothing happening but timers.
    pub(crate) fn idle_until(&mut self, end: u64) {
        self.serve_timers();
        while let Some(at) = self.next_timer().filter(|&at| at < end) {
            self.run_until(at);
            self.serve_timers();
        }
        self.run_until(end);
        self.serve_timers();
    }

    /// What holds whenever no CPU is in the middle of something.
    pub(crate) fn check(&self) {
        let mut seen = vec![0; self.tasks.0.len()];
        for core in &self.cores {
            let (sched, id) = (&core.sched, core.sched.id());
            for task in sched.ready().iter(&self.tasks) {
                let links = self.links(task);
                assert_eq!(links.place(), Place::Ready(links.level()), "task {task}");
                assert_eq!(links.cpu(), id, "task {task} is queued on CPU {id}");
                seen[task.0 as usize] += 1;
            }
            let highest = sched.ready().highest_level();
            match sched.current() {
                None => assert_eq!(highest, None, "CPU {id} is idle while a task is ready"),
                Some(task) => {
                    let links = self.links(task);
                    assert_eq!(links.place(), Place::Running, "task {task}");
                    assert_eq!(links.cpu(), id, "task {task} runs on CPU {id}");
                    assert!(
                        !links.state().is_blocked(),
                        "task {task} is blocked and runs"
                    );
                    assert!(links.allows(id), "task {task} runs where it is not allowed");
                    assert!(
                        highest <= Some(links.level()),
                        "CPU {id} runs a lower level than it could"
                    );
                    seen[task.0 as usize] += 1;
                }
            }
            assert_eq!(
                sched.load(),
                sched.ready().iter(&self.tasks).count() as u32
                    + u32::from(sched.current().is_some())
            );
            let due = sched.next_deadline_ticks();
            assert!(
                due.is_none_or(|at| core.timer.is_some_and(|timer| timer <= at)),
                "CPU {id}: timer too late"
            );
        }
        for idle in self.cores.iter().filter(|core| core.sched.load() == 0) {
            let id = idle.sched.id();
            let has_work = |core: &&Core| core.sched.ready().movable_to(&self.tasks).contains(id);
            let busy = self.cores.iter().find(has_work).map(|core| core.sched.id());
            assert_eq!(busy, None, "CPU {id} is idle while it could help this one");
        }
        for (number, links) in self.tasks.0.iter().enumerate() {
            let expected = u32::from(matches!(links.place(), Place::Ready(_) | Place::Running));
            assert_eq!(
                seen[number],
                expected,
                "task {number} is {:?}",
                links.place()
            );
        }
    }
}

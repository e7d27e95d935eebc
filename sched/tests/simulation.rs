//! Several CPUs and random work: everything that a kernel does with the scheduler, a hundred
//! thousand times over, and what must hold after each event.

mod common;

use common::{Machine, Random, cpu, level};
use sched::{Block, CpuSet, Place, Removed, Status, TaskId, Tasks, Wake, balance};

const QUANTUM: u64 = 1000;
/// Few levels, so that tasks often meet equals.
const LEVELS: u64 = 4;

/// The machine, and what an observer knows of it without asking the scheduler.
struct World {
    machine: Machine,
    random: Random,
    /// Wake-ups made and not delivered: who waits must have none.
    owed: Vec<bool>,
    /// Who blocked and has not been current since.
    asleep: Vec<bool>,
    /// For each sleeper, when it is due.
    due: Vec<Option<u64>>,
    /// For each CPU, who has been running with an equal waiting, and since when.
    contended: Vec<Option<(TaskId, u64)>>,
    events: u64,
    counts: Counts,
}

/// How often the rare things happened: a simulation that never met them has shown nothing.
#[derive(Debug, Default)]
struct Counts {
    migrations: u64,
    evictions: u64,
    tokens: u64,
    timeouts: u64,
    early_wake_ups: u64,
    hand_overs: u64,
    ends: u64,
}

impl World {
    fn new(seed: u64, cpus: usize, tasks: usize) -> Self {
        let mut world = Self {
            machine: Machine::new(cpus, QUANTUM),
            random: Random::new(seed),
            owed: Vec::new(),
            asleep: Vec::new(),
            due: Vec::new(),
            contended: vec![None; cpus],
            events: 0,
            counts: Counts::default(),
        };
        for _ in 0..tasks {
            world.spawn();
        }
        world
    }

    fn spawn(&mut self) {
        let level = level(self.random.below(LEVELS) as u8);
        let allowed = self.some_cpus();
        let id = self.machine.create(level, allowed);
        self.owed.push(false);
        self.asleep.push(false);
        self.due.push(None);
        self.place(id);
    }

    /// A set with at least one CPU that is up; often all.
    fn some_cpus(&mut self) -> CpuSet {
        let cpus = self.machine.cores.len() as u64;
        if self.random.once_in(2) {
            return CpuSet::ALL;
        }
        let one = CpuSet::only(cpu(self.random.below(cpus) as usize));
        one.with(cpu(self.random.below(cpus) as usize))
    }

    fn some_cpu(&mut self) -> usize {
        self.random.below(self.machine.cores.len() as u64) as usize
    }

    fn some_task(&mut self) -> TaskId {
        TaskId(self.random.below(self.owed.len() as u64) as u32)
    }

    /// Enqueues a task that is ours where it belongs.
    fn place(&mut self, id: TaskId) {
        let links = self.machine.links(id);
        let on = balance::place(self.machine.loads(), links.allowed(), links.cpu()).unwrap();
        self.machine.enqueue(id, on.index());
    }

    /// Wakes `id`, at home or, as the balance has it, elsewhere.
    fn wake(&mut self, id: TaskId) {
        let links = self.machine.links(id);
        if links.place() == Place::Gone {
            assert_eq!(
                links.state().wake(),
                Wake::Left,
                "nobody can claim who has ended"
            );
            return;
        }
        self.owed[id.0 as usize] = true;
        if links.state().wake() == Wake::Left {
            return;
        }
        let home = links.cpu().index();
        let core = &mut self.machine.cores[home];
        if core.sched.cancel_sleep(&self.machine.tasks, id) == Removed::Taken {
            self.counts.early_wake_ups += 1;
        }
        self.place(id);
    }

    /// One thing that the task on `on` does.
    fn act(&mut self, on: usize) {
        let Some(id) = self.machine.current(on) else {
            return;
        };
        let now = self.machine.now;
        let until = match self.random.below(8) {
            0 => u64::MAX,
            // Deadlines that many share, and some that are past.
            _ => now / QUANTUM * QUANTUM + self.random.below(5) * QUANTUM,
        };
        match self.random.below(16) {
            0..=3 => {
                let other = self.some_task();
                self.wake(other);
            }
            4..=6 => self.block(id, on, None),
            7..=9 => self.block(id, on, Some(until)),
            10 => {
                self.machine.cores[on]
                    .sched
                    .yield_current(&self.machine.tasks);
                self.machine.pick(on);
                self.machine.push(on);
            }
            11 => {
                let other = self.some_task();
                self.change_level(other);
            }
            12 => {
                let other = self.some_task();
                self.restrict(other);
            }
            13 => self.call(id, on),
            14 if self.random.once_in(64) => {
                self.machine.cores[on]
                    .sched
                    .exit_current(&self.machine.tasks);
                self.machine.pick(on);
                self.counts.ends += 1;
                self.spawn();
            }
            _ => {}
        }
    }

    fn block(&mut self, id: TaskId, on: usize, until: Option<u64>) {
        let links = self.machine.links(id);
        if self.random.once_in(4) {
            links.state().prepare_to_block();
            self.owed[id.0 as usize] = false;
        }
        // An interrupt on the last instruction before the block, on this CPU or by another.
        if self.random.once_in(8) {
            self.wake(id);
        }
        let must_return = self.owed[id.0 as usize];
        let block = self.machine.try_leave(on, |sched, tasks| match until {
            None => sched.block_current(tasks),
            Some(until) => sched.sleep_current_until(tasks, until),
        });
        assert_eq!(block == Block::Woken, must_return, "task {id}");
        if block == Block::Woken {
            self.owed[id.0 as usize] = false;
            self.counts.tokens += 1;
        } else {
            self.asleep[id.0 as usize] = true;
            self.due[id.0 as usize] = until.map(|at| at.max(self.machine.now));
        }
    }

    /// The task on `on` calls one that is blocked on the same CPU, and waits for the reply.
    fn call(&mut self, from: TaskId, on: usize) {
        let mut all = (0..self.owed.len() as u32).map(TaskId);
        let waits_here = |&id: &TaskId| {
            let links = self.machine.links(id);
            let waits = matches!(links.status(), Status::Blocked | Status::Sleeping);
            waits && links.cpu().index() == on && links.allows(cpu(on))
        };
        let Some(to) = all.rfind(waits_here) else {
            return;
        };
        let (machine, core) = (&self.machine.tasks, &mut self.machine.cores[on]);
        if core.sched.block_current(machine) == Block::Blocked {
            self.asleep[from.0 as usize] = true;
            self.due[from.0 as usize] = None;
            self.owed[to.0 as usize] = true;
            assert_eq!(machine.links(to).state().wake(), Wake::Claimed);
            let next = core.sched.hand_over(machine, to, self.machine.now);
            self.counts.hand_overs += u64::from(next == to);
            self.machine.program_timer(on);
            self.machine.push(on);
        } else {
            self.owed[from.0 as usize] = false;
        }
    }

    fn change_level(&mut self, id: TaskId) {
        let level = level(self.random.below(LEVELS) as u8);
        let home = self.machine.links(id).cpu().index();
        let resched = self.machine.cores[home]
            .sched
            .set_level(&self.machine.tasks, id, level);
        self.machine.obey(home, resched);
    }

    /// Changes where `id` may run, and moves it if it is where it may not be, or might find a
    /// better place now.
    fn restrict(&mut self, id: TaskId) {
        let allowed = self.some_cpus();
        let links = self.machine.tasks.links(id);
        links.set_allowed(allowed);
        let home = links.cpu();
        let core = &mut self.machine.cores[home.index()];
        match links.place() {
            Place::Running if !allowed.contains(home) => {
                assert_eq!(core.sched.evict_current(&self.machine.tasks), id);
                self.machine.pick(home.index());
                self.place(id);
                self.counts.evictions += 1;
            }
            Place::Ready(_) => {
                let removed = core.sched.migrate_out(&self.machine.tasks, id);
                assert_eq!(removed, Removed::Taken);
                self.place(id);
                self.counts.migrations += 1;
            }
            Place::Sleeping if !allowed.contains(home) => self.wake(id),
            _ => {}
        }
    }

    /// The next event: a timer, or something a task does.
    fn step(&mut self) {
        let pause = self.machine.now + self.random.below(QUANTUM / 2);
        let next = self
            .machine
            .next_timer()
            .map_or(pause, |at| at.max(self.machine.now).min(pause));
        self.machine.run_until(next);
        self.machine.serve_timers();
        for number in 0..self.due.len() {
            let sleeping = self.machine.tasks.0[number].status() == Status::Sleeping;
            if !sleeping && self.due[number].take().is_some_and(|at| at <= next) {
                self.counts.timeouts += 1;
            }
        }
        self.check();
        let on = self.some_cpu();
        match self.random.below(10) {
            // A CPU that is not idle may look for work, too.
            0 => self.machine.steal(on),
            // A device interrupt.
            1 => {
                let id = self.some_task();
                self.wake(id);
            }
            _ => self.act(on),
        }
        self.events += 1;
        self.check();
    }

    fn check(&mut self) {
        self.machine.check();
        let now = self.machine.now;
        for (number, links) in self.machine.tasks.0.iter().enumerate() {
            let status = links.status();
            let waits = matches!(status, Status::Blocked | Status::Sleeping);
            assert_ne!(
                status,
                Status::Moving,
                "task {number} was forgotten on its way"
            );
            if self.asleep[number] && !links.state().is_blocked() {
                self.asleep[number] = false;
                self.owed[number] = false;
            }
            assert!(
                !(waits && self.owed[number]),
                "task {number}: a wake-up was lost"
            );
            let overslept = waits && self.due[number].is_some_and(|at| at < now);
            assert!(!overslept, "task {number} overslept");
        }
        for on in 0..self.contended.len() {
            let sched = &self.machine.cores[on].sched;
            let equal = |id| sched.ready().highest_level() == Some(self.machine.links(id).level());
            let running = sched.current().filter(|&id| equal(id));
            self.contended[on] = match (self.contended[on], running) {
                (Some((before, since)), Some(id)) if before == id => {
                    assert!(now - since <= QUANTUM, "task {id} overran its quantum");
                    Some((id, since))
                }
                (_, running) => running.map(|id| (id, now)),
            };
        }
    }
}

fn simulate(seed: u64, cpus: usize, tasks: usize, events: u64) -> World {
    let mut world = World::new(seed, cpus, tasks);
    while world.events < events {
        world.step();
    }
    world
}

#[test]
fn a_hundred_thousand_events_on_four_cpus() {
    let world = simulate(1, 4, 40, 100_000);
    let counts = &world.counts;
    let least = [
        world.machine.moved,
        counts.migrations,
        counts.evictions,
        counts.tokens,
        counts.timeouts,
        counts.early_wake_ups,
        counts.hand_overs,
        counts.ends,
    ];
    assert!(
        least.iter().all(|&times| times >= 50),
        "too rare to have been tested: {counts:?}"
    );
    assert!(
        world.machine.switches > 10_000,
        "{} switches",
        world.machine.switches
    );
}

/// Small worlds meet the corners more often: no task ready, all asleep, every task pinned.
#[test]
fn many_small_worlds() {
    for seed in 0..100 {
        simulate(seed, 1 + seed as usize % 4, 1 + seed as usize % 9, 500);
    }
}

/// What was unequal is level after a tick of the busy CPU: the idle ones sleep and have no timer.
#[test]
fn load_spreads_from_one_cpu_at_its_tick() {
    let mut machine = Machine::new(4, QUANTUM);
    for _ in 0..16 {
        machine.start(level(1), 0);
    }
    assert!((1..4).all(|on| machine.current(on).is_none() && machine.cores[on].timer.is_none()));
    machine.idle_until(QUANTUM);
    machine.check();
    assert!(
        machine.loads().all(|(_, load)| load == 4),
        "{:?}",
        machine.loads().collect::<Vec<_>>()
    );
    let moved = machine.moved;
    machine.idle_until(50 * QUANTUM);
    assert_eq!(machine.moved, moved, "what is level stays where it is");
}

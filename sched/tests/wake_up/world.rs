//! The task, the CPUs and the wakers as programs of small steps.

use crate::common::{Table, cpu, level};
use sched::{Block, Cpu, CpuSet, Links, Place, Removed, Resched, TaskId, Tasks, Wake};

const SLEEPER: TaskId = TaskId(0);

/// How the task waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    Block,
    /// With a deadline, so that it is in the sleep queue meanwhile.
    Sleep,
}

/// Where a waker comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum From {
    /// A CPU of its own.
    Remote,
    /// An interrupt on CPU 0: while it lasts, CPU 0 does nothing else, and it lands only where
    /// interrupts are on.
    Interrupt,
}

/// What a waker does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// Makes the condition true, wakes, and brings the task to this CPU.
    WakeTo(usize),
    /// Kills the task, which CPU 0 gets back to end it.
    Kill,
    /// Finds a deadline over.
    Timer,
}

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bug {
    None,
    /// The task takes its token after it has looked, and then blocks.
    PrepareAfterLook,
    /// The waker wakes first and makes the condition true then.
    WakeBeforeCondition,
    /// Rule 2: the lock is released before the switch is done.
    UnlockBeforeSwitch,
    /// Rule 3: the waker goes straight to the new CPU, without the lock of the last one.
    SkipLastCpu,
    /// A CPU does not look at its queue again after a wake-up.
    ForgetResched,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) wait: Wait,
    pub(crate) wakers: Vec<(From, Act)>,
    pub(crate) bug: Bug,
}

/// What a CPU does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CpuStep {
    /// Waits for something in its queue.
    Idle,
    /// Has picked the task and holds the lock: goes to its stack, unlocks.
    Enter,
    /// The task looks at its condition.
    Look,
    /// (Planted.) The task takes its token too late.
    Prepare,
    /// The task locks; interrupts are off until the unlock.
    Lock,
    /// The task tries to block.
    Block,
    /// The task's registers are saved: its stack is free.
    Leave,
    Unlock,
}

/// What a waker does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WakerStep {
    Satisfy,
    Wake,
    LockLast,
    TakeOver,
    LockNew,
    Deliver,
    Done,
}

/// Who holds a lock: a CPU or a waker, by its number among the actors.
pub(crate) type Actor = usize;
pub(crate) const CPUS: usize = 2;

#[derive(Debug)]
pub(crate) struct World {
    program: Program,
    tasks: Table,
    cpus: [Cpu; CPUS],
    steps: [CpuStep; CPUS],
    wakers: Vec<WakerStep>,
    locks: [Option<Actor>; CPUS],
    /// Whether a CPU was told to look at its queue.
    told: [bool; CPUS],
    /// Which CPU is on the task's stack.
    stack: Option<usize>,
    /// The waker whose interrupt CPU 0 is serving.
    interrupt: Option<Actor>,
    condition: usize,
}

impl World {
    pub(crate) fn new(program: Program) -> Self {
        let tasks = Table(vec![Links::new(level(5), CpuSet::ALL)]);
        let mut cpus = [0, 1].map(|number| Cpu::new(cpu(number), 1000));
        let _ = cpus[0].enqueue(&tasks, SLEEPER);
        cpus[0].pick(&tasks, 0);
        let wakers = program.wakers.iter().map(|&(_, act)| match act {
            Act::WakeTo(_) if program.bug != Bug::WakeBeforeCondition => WakerStep::Satisfy,
            Act::WakeTo(_) | Act::Kill => WakerStep::Wake,
            Act::Timer => WakerStep::LockLast,
        });
        Self {
            wakers: wakers.collect(),
            program,
            tasks,
            cpus,
            steps: [CpuStep::Look, CpuStep::Idle],
            locks: [None; CPUS],
            told: [false; CPUS],
            stack: Some(0),
            interrupt: None,
            condition: 0,
        }
    }

    /// What `actor` does next, for a trace.
    pub(crate) fn name_of_step(&self, actor: Actor) -> String {
        match actor.checked_sub(CPUS) {
            None => format!("CPU {actor}: {:?}", self.steps[actor]),
            Some(waker) => format!("waker {waker}: {:?}", self.wakers[waker]),
        }
    }

    fn links(&self) -> &Links {
        self.tasks.links(SLEEPER)
    }

    pub(crate) fn actors(&self) -> impl Iterator<Item = Actor> + use<> {
        0..CPUS + self.wakers.len()
    }

    pub(crate) fn can_step(&self, actor: Actor) -> bool {
        if actor < CPUS {
            let is_interrupted = actor == 0 && self.interrupt.is_some();
            let is_ready = match self.steps[actor] {
                CpuStep::Idle => self.told[actor] && self.locks[actor].is_none(),
                CpuStep::Lock => self.locks[actor].is_none(),
                _ => true,
            };
            return is_ready && !is_interrupted;
        }
        let (from, act) = self.program.wakers[actor - CPUS];
        let step = self.wakers[actor - CPUS];
        let may_begin = match from {
            From::Remote => true,
            From::Interrupt => {
                let is_open = matches!(
                    self.steps[0],
                    CpuStep::Idle | CpuStep::Look | CpuStep::Prepare | CpuStep::Lock
                );
                self.interrupt == Some(actor) || self.interrupt.is_none() && is_open
            }
        };
        let is_ready = match (step, act) {
            (WakerStep::Done, _) => false,
            // A timer fires when there is something to fire for.
            (WakerStep::LockLast, Act::Timer) => {
                self.locks[0].is_none() && self.cpus[0].next_deadline_ticks().is_some()
            }
            (WakerStep::LockLast, _) => self.locks[self.last_cpu()].is_none(),
            (WakerStep::LockNew, _) => self.locks[self.new_cpu(actor)].is_none(),
            _ => true,
        };
        may_begin && is_ready
    }

    fn last_cpu(&self) -> usize {
        self.links().cpu().index()
    }

    fn new_cpu(&self, waker: Actor) -> usize {
        match self.program.wakers[waker - CPUS].1 {
            Act::WakeTo(cpu) => cpu,
            Act::Kill | Act::Timer => 0,
        }
    }

    pub(crate) fn step(&mut self, actor: Actor) {
        if actor < CPUS {
            self.steps[actor] = self.cpu_step(actor);
            return;
        }
        let is_interrupt = self.program.wakers[actor - CPUS].0 == From::Interrupt;
        let next = self.waker_step(actor);
        self.wakers[actor - CPUS] = next;
        self.interrupt = match is_interrupt {
            true => (next != WakerStep::Done).then_some(actor),
            false => self.interrupt,
        };
    }

    fn cpu_step(&mut self, on: usize) -> CpuStep {
        let bug = self.program.bug;
        match self.steps[on] {
            CpuStep::Idle => {
                self.told[on] = false;
                match self.cpus[on].pick(&self.tasks, 0) {
                    None => CpuStep::Idle,
                    Some(_) => {
                        self.locks[on] = Some(on);
                        CpuStep::Enter
                    }
                }
            }
            CpuStep::Enter => {
                assert_eq!(self.stack, None, "two CPUs are on one stack");
                self.stack = Some(on);
                self.unlock(on, on);
                CpuStep::Look
            }
            CpuStep::Look if self.condition == self.wanted() => self.end(on),
            CpuStep::Look if bug == Bug::PrepareAfterLook => CpuStep::Prepare,
            CpuStep::Look => CpuStep::Lock,
            CpuStep::Prepare => {
                self.links().state().prepare_to_block();
                CpuStep::Lock
            }
            CpuStep::Lock => {
                self.locks[on] = Some(on);
                CpuStep::Block
            }
            CpuStep::Block => {
                let block = match self.program.wait {
                    Wait::Block => self.cpus[on].block_current(&self.tasks),
                    Wait::Sleep => self.cpus[on].sleep_current_until(&self.tasks, 100),
                };
                match block {
                    Block::Blocked => match bug {
                        Bug::UnlockBeforeSwitch => CpuStep::Unlock,
                        _ => CpuStep::Leave,
                    },
                    Block::Woken => {
                        self.unlock(on, on);
                        CpuStep::Look
                    }
                    Block::Killed => {
                        self.unlock(on, on);
                        self.end(on)
                    }
                }
            }
            CpuStep::Leave => {
                assert_eq!(
                    self.stack,
                    Some(on),
                    "another CPU is on the stack that is being left"
                );
                self.stack = None;
                match bug {
                    Bug::UnlockBeforeSwitch => CpuStep::Idle,
                    _ => CpuStep::Unlock,
                }
            }
            CpuStep::Unlock => {
                self.unlock(on, on);
                match bug {
                    Bug::UnlockBeforeSwitch => CpuStep::Leave,
                    _ => CpuStep::Idle,
                }
            }
        }
    }

    fn waker_step(&mut self, actor: Actor) -> WakerStep {
        let act = self.program.wakers[actor - CPUS].1;
        let bug = self.program.bug;
        match self.wakers[actor - CPUS] {
            WakerStep::Satisfy => {
                self.condition += 1;
                match bug {
                    Bug::WakeBeforeCondition => WakerStep::Done,
                    _ => WakerStep::Wake,
                }
            }
            WakerStep::Wake => {
                let wake = match act {
                    Act::Kill => self.links().state().kill(),
                    _ => self.links().state().wake(),
                };
                match (wake, bug) {
                    (Wake::Claimed, Bug::SkipLastCpu) => WakerStep::LockNew,
                    (Wake::Claimed, _) => WakerStep::LockLast,
                    (Wake::Left, Bug::WakeBeforeCondition) => WakerStep::Satisfy,
                    (Wake::Left, _) => WakerStep::Done,
                }
            }
            WakerStep::LockLast => {
                let last = self.last_cpu();
                self.locks[last] = Some(actor);
                WakerStep::TakeOver
            }
            WakerStep::TakeOver => {
                let last = self.last_cpu();
                let next = match act {
                    Act::Timer => {
                        let resched = self.cpus[last].on_timer(&self.tasks, 100);
                        self.tell(last, resched);
                        WakerStep::Done
                    }
                    _ if self.new_cpu(actor) == last => {
                        let resched = self.cpus[last].enqueue_woken(&self.tasks, SLEEPER);
                        self.tell(last, resched);
                        self.after_delivery()
                    }
                    _ => {
                        let removed = self.cpus[last].cancel_sleep(&self.tasks, SLEEPER);
                        assert!(removed == Removed::Elsewhere || self.program.wait == Wait::Sleep);
                        WakerStep::LockNew
                    }
                };
                self.unlock(last, actor);
                next
            }
            WakerStep::LockNew => {
                self.locks[self.new_cpu(actor)] = Some(actor);
                WakerStep::Deliver
            }
            WakerStep::Deliver => {
                let new = self.new_cpu(actor);
                let resched = self.cpus[new].enqueue(&self.tasks, SLEEPER);
                self.tell(new, resched);
                self.unlock(new, actor);
                self.after_delivery()
            }
            WakerStep::Done => unreachable!("a waker that is done cannot step"),
        }
    }

    fn after_delivery(&self) -> WakerStep {
        match self.program.bug {
            Bug::WakeBeforeCondition => WakerStep::Satisfy,
            _ => WakerStep::Done,
        }
    }

    fn tell(&mut self, on: usize, resched: Resched) {
        if resched == Resched::Needed && self.program.bug != Bug::ForgetResched {
            self.told[on] = true;
        }
    }

    fn unlock(&mut self, on: usize, holder: Actor) {
        assert_eq!(
            self.locks[on].take(),
            Some(holder),
            "CPU {on}: unlocked by another"
        );
    }

    /// How often the condition must have been satisfied: by each waker once.
    fn wanted(&self) -> usize {
        let acts = self.program.wakers.iter().map(|&(_, act)| act);
        acts.filter(|act| matches!(act, Act::WakeTo(_))).count()
    }

    fn end(&mut self, on: usize) -> CpuStep {
        self.cpus[on].exit_current(&self.tasks);
        self.stack = None;
        CpuStep::Idle
    }

    /// What must hold when nobody can do anything any more.
    pub(crate) fn check_end(&self) {
        let links = self.links();
        assert_eq!(
            links.place(),
            Place::Gone,
            "a wake-up was lost: {:?}",
            links.status()
        );
        let is_over = |(step, &(_, act)): (&WakerStep, &(From, Act))| {
            *step == WakerStep::Done || act == Act::Timer
        };
        assert!(
            self.wakers.iter().zip(&self.program.wakers).all(is_over),
            "a waker hangs"
        );
        assert_eq!(self.locks, [None; CPUS]);
        assert!(
            self.cpus
                .iter()
                .all(|cpu| cpu.load() == 0 && cpu.next_deadline_ticks().is_none())
        );
    }
}

//! The modelled machine: everything that an execution changes, one per host thread.

use super::exception::Vectors;
use super::gic::{Gic, View};
use super::plan::{Chosen, Plan};
use super::source::{Source, Sources};
use super::tally::Tally;
use crate::cell::NoSteps;
use crate::machine::{Group, Stack};
use crate::mask::{Context, MaskState, Mechanism, daif};
use crate::percpu::PerCpu;
use crate::priority::PMR_ON;
use crate::thread::Core;
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;

/// How many CPUs a thread can come back on.
pub(super) const CPUS: usize = 2;
/// How many threads there are: the one under test, and who runs in between, nested.
pub(super) const THREADS: usize = 4;
/// How many exceptions may nest.
pub(super) const NEST: usize = 6;

/// A modelled machine, and what may happen to it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How ordinary interrupts are masked.
    pub mechanism: Mechanism,
    /// The group of ordinary interrupts (`ordinary=g0|g1`).
    pub ordinary: Group,
    /// What the security state makes of priorities.
    pub view: View,
    /// What the explorer may let happen.
    pub sources: Sources,
    /// The entry code under test.
    pub vectors: Vectors,
}

/// The mask registers and the GIC of one CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardware {
    pub(super) daif: u32,
    pub(super) pmr: u8,
    pub(super) gic: Gic,
}

impl Hardware {
    pub(super) fn masks(&self) -> MaskState {
        MaskState::new(self.daif, self.pmr)
    }

    /// Whether DAIF lets the interrupts of `group` in.
    pub(super) fn is_open(&self, group: Group) -> bool {
        let mask = match group {
            Group::Zero => daif::F,
            Group::One => daif::I,
        };
        self.daif & mask == 0
    }
}

/// One exception that was taken and has not returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) source: Source,
    /// The masks of what it interrupted.
    pub(super) interrupted: MaskState,
    /// The thread's path stack when it was taken.
    pub(super) path: u64,
    /// The preempt count when it was taken.
    pub(super) count: u32,
    /// Whether the path stack has been another since: `irqentry_enter` or `nmi_enter` ran.
    pub(super) been_inside: bool,
    /// Whether it interrupted a program.
    pub(super) from_el0: bool,
    /// What the acknowledge answered, if there was one.
    pub(super) answer: Option<u32>,
}

impl Level {
    /// Whether it is handled like an NMI. A breakpoint in a program is a fault like others.
    pub(super) fn is_nmi_like(&self) -> bool {
        self.source.is_nmi_like() && !(self.from_el0 && self.source == Source::Debug)
    }
}

/// Where SP is, and which of the CPU's own stacks are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stacks {
    /// `None`: the thread's.
    pub(super) current: Option<Stack>,
    pub(super) irq_used: bool,
    pub(super) nmi_used: bool,
}

impl Stacks {
    pub(super) const THREAD: Self = Self {
        current: None,
        irq_used: false,
        nmi_used: false,
    };

    /// Moved to the top of `stack`.
    ///
    /// # Panics
    /// If something below is still on it: what lies there would be overwritten.
    pub(super) fn onto(self, stack: Stack) -> Self {
        let mut moved = self;
        moved.current = Some(stack);
        let used = match stack {
            Stack::Irq => &mut moved.irq_used,
            Stack::Nmi => &mut moved.nmi_used,
        };
        assert!(!*used, "the top of the {stack:?} stack is in use");
        *used = true;
        moved
    }
}

/// The state of one execution, and what is counted over all.
pub(super) struct Model {
    setup: Cell<Option<Setup>>,
    here: Cell<usize>,
    hardware: [Cell<Hardware>; CPUS],
    cpus: Cell<[Option<&'static PerCpu>; CPUS]>,
    threads: [&'static Core; THREADS],
    /// Which of `threads` runs.
    pub(super) running: Cell<usize>,
    /// Whether thread 0 may come back on another CPU.
    pub(super) pinned: Cell<bool>,
    /// Whether thread 0 is a program's.
    pub(super) in_program: Cell<bool>,
    /// Whether that program runs now.
    pub(super) at_el0: Cell<bool>,
    /// The number of the system call it makes.
    pub(super) call: Cell<u64>,
    pub(super) syndrome: Cell<(u64, u64)>,
    pub(super) levels: RefCell<Vec<Level>>,
    /// Levels of threads that do not run.
    pub(super) levels_away: Cell<usize>,
    /// The context that the running code says it is in; `None` in entry code, whose tokens say it.
    pub(super) own: Cell<Option<Context>>,
    pub(super) stacks: Cell<Stacks>,
    pub(super) steps: Cell<u64>,
    pub(super) plan: RefCell<Plan>,
    pub(super) tally: RefCell<Tally>,
    story: RefCell<Option<Vec<String>>>,
}

std::thread_local! {
    pub(super) static MODEL: Model = Model::new();
}

impl Model {
    fn new() -> Self {
        let blank = Hardware {
            daif: 0,
            pmr: PMR_ON,
            gic: Gic::new(Group::One, View::Plain),
        };
        Self {
            setup: Cell::new(None),
            here: Cell::new(0),
            hardware: [blank; CPUS].map(Cell::new),
            cpus: Cell::new([None; CPUS]),
            threads: core::array::from_fn(|id| &*Box::leak(Box::new(Core::new(id as u32)))),
            running: Cell::new(0),
            pinned: Cell::new(false),
            in_program: Cell::new(false),
            at_el0: Cell::new(false),
            call: Cell::new(0),
            syndrome: Cell::new((0, 0)),
            levels: RefCell::new(Vec::new()),
            levels_away: Cell::new(0),
            own: Cell::new(None),
            stacks: Cell::new(Stacks::THREAD),
            steps: Cell::new(0),
            plan: RefCell::new(Plan::default()),
            tally: RefCell::new(Tally::default()),
            story: RefCell::new(None),
        }
    }

    /// Makes a machine of that kind, before the first of many executions.
    pub(super) fn assemble(&self, setup: &Setup, budget: u32) {
        self.setup.set(Some(*setup));
        self.plan.replace(Plan::new(budget));
        self.tally.replace(Tally::default());
        self.cpus.set(core::array::from_fn(|index| {
            let cpu = PerCpu::new(index as u32, index as u64, Default::default());
            Some(&*Box::leak(Box::new(cpu)))
        }));
    }

    /// Begins an execution: thread 0 in `Process` on CPU 0, nothing pending.
    pub(super) fn reset(&self, recording: bool) {
        let setup = self.setup();
        let begin = |context: Context| {
            let masks = context.state(setup.mechanism);
            Hardware {
                daif: masks.daif(),
                pmr: masks.pmr(),
                gic: Gic::new(setup.ordinary, setup.view),
            }
        };
        self.here.set(0);
        self.hardware[0].set(begin(Context::Process));
        self.hardware[1].set(begin(Context::NoIrq));
        for index in 0..CPUS {
            self.percpu(index).watching.poke(1);
        }
        for thread in self.threads {
            let preempt = &thread.preempt;
            preempt.sub::<NoSteps>(preempt.count::<NoSteps>());
            preempt.clear_need_resched::<NoSteps>();
            thread.path.poke(0);
            thread.work.store(0, Relaxed);
            thread.set_cpu(self.percpu(0));
        }
        self.running.set(0);
        self.pinned.set(false);
        self.in_program.set(false);
        self.at_el0.set(false);
        self.call.set(0);
        self.syndrome.set((0, 0));
        self.levels.borrow_mut().clear();
        self.levels_away.set(0);
        self.own.set(Some(Context::Process));
        self.stacks.set(Stacks::THREAD);
        self.steps.set(0);
        self.plan.borrow_mut().rewind();
        self.story.replace(recording.then(Vec::new));
    }

    /// The setup of the execution under way.
    ///
    /// # Panics
    /// Outside [`explore`](super::explore()).
    pub(super) fn setup(&self) -> Setup {
        self.setup.get().expect("the model runs inside `explore`")
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        self.setup().mechanism
    }

    /// The number of the CPU that executes.
    pub(super) fn here(&self) -> usize {
        self.here.get()
    }

    /// Another CPU goes on.
    pub(super) fn go_to(&self, cpu: usize) {
        self.here.set(cpu);
    }

    pub(super) fn percpu(&self, index: usize) -> &'static PerCpu {
        self.cpus.get()[index].expect("the model runs inside `explore`")
    }

    pub(super) fn hardware(&self) -> Hardware {
        self.hardware[self.here.get()].get()
    }

    pub(super) fn hardware_of(&self, cpu: usize) -> Hardware {
        self.hardware[cpu].get()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Hardware)) {
        let cell = &self.hardware[self.here.get()];
        let mut hardware = cell.get();
        change(&mut hardware);
        cell.set(hardware);
    }

    pub(super) fn thread(&self) -> &'static Core {
        self.threads[self.running.get()]
    }

    /// This CPU's data, by way of the running thread, as on the real CPU.
    pub(super) fn cpu(&self) -> &'static PerCpu {
        let cpu = self.percpu(self.here.get());
        assert!(
            core::ptr::eq(self.thread().cpu_ptr(), cpu),
            "a thread runs on CPU {} that was not placed there",
            self.here.get()
        );
        cpu
    }

    /// How many exceptions are nested, on all threads together.
    pub(super) fn nested(&self) -> usize {
        self.levels.borrow().len() + self.levels_away.get()
    }

    /// The innermost exception.
    pub(super) fn innermost(&self) -> Option<Level> {
        self.levels.borrow().last().copied()
    }

    pub(super) fn change_innermost(&self, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.borrow_mut().last_mut() {
            change(level);
        }
    }

    pub(super) fn choose(&self, alternatives: impl FnOnce() -> usize) -> Chosen {
        self.plan.borrow_mut().choose(alternatives)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.borrow_mut());
    }

    /// Writes a line of the story, if somebody will read it.
    pub(super) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(story) = self.story.borrow_mut().as_mut() {
            let indent = "  ".repeat(self.levels.borrow().len());
            let masks = self.hardware().masks();
            story.push(format!(
                "{:>4} cpu{} t{} {masks}  {indent}{}",
                self.steps.get(),
                self.here.get(),
                self.running.get(),
                line()
            ));
        }
    }

    /// Writes a line about what the explorer made happen.
    pub(super) fn tell_injection(&self, what: impl FnOnce() -> String) {
        self.tell(|| format!("{INJECTED}{}", what()));
    }

    pub(super) fn take_story(&self) -> Vec<String> {
        self.story.take().unwrap_or_default()
    }
}

/// Marks the lines of a story that tell what the explorer chose.
pub(super) const INJECTED: &str = ">>> ";

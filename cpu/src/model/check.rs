//! What must hold at every step, whoever runs. A violation is a panic; the explorer catches it.
//!
//! Masks change in a handful of places, so the masks of *every* step are judged when each change takes
//! effect ([`masks`]): by what the code that runs says it is in, by what it interrupted, and by the
//! order in which the two registers may move.

use super::exception::Saved;
use super::gic::{Line, SPURIOUS};
use super::source::Source;
use super::state::{Level, Model, Stacks};
use crate::counters::Counter;
use crate::machine::Group;
use crate::mask::{Context, MaskState, Mechanism, daif};
use crate::priority::{PMR_OFF, PMR_ON};
use crate::thread::NMI_ONE;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

/// What masks let in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Openness {
    debug: bool,
    serror: bool,
    nmi: bool,
    ordinary: bool,
}

impl Openness {
    fn of(masks: MaskState) -> Self {
        let open = |bit| masks.daif() & bit == 0;
        Self {
            debug: open(daif::D),
            serror: open(daif::A),
            nmi: open(daif::I),
            ordinary: (open(daif::I) || open(daif::F)) && masks.pmr() > PMR_OFF,
        }
    }

    /// Whether all that comes here comes there, too.
    fn is_within(self, other: Self) -> bool {
        self.debug <= other.debug
            && self.serror <= other.serror
            && self.nmi <= other.nmi
            && self.ordinary <= other.ordinary
    }
}

/// The masks as they are now: those of a context, of the right one, and never more open than what was
/// interrupted.
pub(super) fn masks(model: &Model) {
    let mechanism = model.mechanism();
    let masks = model.hardware().masks();
    let context = Context::of(mechanism, masks);
    assert!(context.is_some(), "the masks of no context: {masks}");
    let own = model.own.get();
    if let Some(own) = own {
        let expected = own.state(mechanism);
        assert!(
            masks == expected,
            "code that should run in {own:?} ({expected}) runs with {masks}"
        );
    }
    assert!(
        context != Some(Context::Idle) || own == Some(Context::Idle),
        "PMR is on with interrupts masked by DAIF outside the idle loop: {masks}"
    );
    if let Some(level) = model.innermost() {
        assert!(
            Openness::of(masks).is_within(Openness::of(level.interrupted)),
            "more open than what the {} interrupted ({}): {masks}",
            level.source,
            level.interrupted
        );
    }
}

/// The nest, at each step: whoever is not a thread's own code is counted before it does anything that
/// others see, and for as long as that is so.
pub(super) fn nest(model: &Model) {
    if model.at_el0.get() {
        at_el0(model);
        return;
    }
    let Some(level) = model.innermost() else {
        return;
    };
    let thread = model.thread();
    if thread.path.peek() == level.path {
        return;
    }
    model.change_innermost(|level| level.been_inside = true);
    if level.is_nmi_like() {
        assert!(
            thread.preempt.peek().0 >= level.count + NMI_ONE,
            "the path of the {} is pushed while its preempt count is not",
            level.source
        );
    }
}

/// A write of PMR, before it takes effect.
pub(super) fn pmr_write(model: &Model, pmr: u8) {
    assert!(
        model.mechanism() == Mechanism::Pmr,
        "PMR is written although DAIF masks"
    );
    assert!(
        pmr == PMR_ON || pmr == PMR_OFF,
        "PMR {pmr:#x} is neither on nor off"
    );
    let hardware = model.hardware();
    if pmr == PMR_OFF || hardware.pmr == pmr {
        return;
    }
    if let Some(level) = model.innermost() {
        assert!(
            level.interrupted.pmr() == PMR_ON,
            "PMR rises while a masked context is interrupted"
        );
    }
    let closed = hardware.daif & (daif::I | daif::F) != 0;
    assert!(
        !closed || model.own.get() == Some(Context::Idle),
        "PMR rises while DAIF masks interrupts"
    );
}

/// A write of DAIF, before it takes effect: DAIF opens only with PMR lowered.
pub(super) fn daif_write(model: &Model, daif: u32) {
    let hardware = model.hardware();
    let opens = hardware.daif & !daif & (daif::I | daif::F) != 0;
    assert!(
        model.mechanism() != Mechanism::Pmr || !opens || hardware.pmr == PMR_OFF,
        "DAIF opens before PMR was lowered"
    );
}

/// At the end of a vector, before PMR comes from the frame.
pub(super) fn leaves_critical(model: &Model, source: Source) {
    let masks = model.hardware().masks();
    let expected = Context::Critical.state(model.mechanism());
    assert!(
        masks == expected,
        "the {source} leaves with {masks}, not {expected}"
    );
}

/// The frame is as the vector made it, but for a fix-up.
pub(super) fn frame(saved: &Saved, given: &Saved, elr: u64, source: Source) {
    let expected = Saved {
        elr,
        ..given.clone()
    };
    assert!(
        *saved == expected,
        "the frame of the {source} changed: {:#x?}, was {:#x?}",
        saved,
        given
    );
}

/// After `eret`: no eligible preemption was left undone.
pub(super) fn nothing_forgotten(model: &Model, level: &Level) {
    let looks = match level.source {
        Source::Fault => true,
        Source::Tick | Source::SelfSgi => level.answer != Some(SPURIOUS),
        _ => false,
    };
    let process = Context::Process.state(model.mechanism());
    if looks && level.interrupted == process && level.count == 0 {
        assert!(
            !needs_resched(model) || self_sgi_pending(model),
            "the {} left an eligible preemption undone",
            level.source
        );
    }
}

/// While a program runs: everything open, nothing of the kernel's left over, the CPU quiescent, and
/// nothing wanted that no pending interrupt will see to.
pub(super) fn at_el0(model: &Model) {
    let hardware = model.hardware();
    let open = Context::Process.state(model.mechanism());
    let masks = hardware.masks();
    assert!(masks == open, "a program runs with {masks}");
    assert!(
        hardware.gic.is_idle(),
        "a program runs with an interrupt not dropped and deactivated"
    );
    assert!(model.stacks.get() == Stacks::THREAD && model.nested() == 0);
    let thread = model.thread();
    let count = thread.preempt.peek().0;
    assert!(count == 0, "a program runs with preempt count {count:#x}");
    let path = thread.path.peek();
    assert!(path == 0, "a program runs inside the paths {path:#x}");
    assert!(
        model.cpu().watching.peek() == 0,
        "a program runs on a CPU that is not quiescent"
    );
    let forgotten = needs_resched(model) || thread.work.load(Relaxed) != 0;
    assert!(
        !forgotten || self_sgi_pending(model),
        "a program runs although something is wanted of its thread"
    );
}

/// After a system call that was quick: nothing has changed since the vector.
pub(super) fn as_in_entry(model: &Model, interrupted: MaskState) {
    let masks = model.hardware().masks();
    let expected = MaskState::new(daif::ALL, interrupted.pmr());
    assert!(
        masks == expected,
        "a quick system call leaves with {masks}, not {expected}"
    );
}

fn needs_resched(model: &Model) -> bool {
    model.thread().preempt.peek().1
}

fn self_sgi_pending(model: &Model) -> bool {
    model.hardware().gic.is_pending(Line::SelfSgi)
}

/// The legal switch state: exactly `NoIrq`, on the thread's own stack, nothing active, nothing under
/// way that is not a thread's.
pub(super) fn legal_switch(model: &Model) {
    let hardware = model.hardware();
    let legal = Context::NoIrq.state(model.mechanism());
    let masks = hardware.masks();
    assert!(masks == legal, "switch with {masks}, not {legal}");
    assert!(
        hardware.gic.is_idle(),
        "switch with an interrupt not dropped and deactivated"
    );
    assert!(
        model.stacks.get() == Stacks::THREAD,
        "switch on a stack that is not the thread's own"
    );
    let (count, _) = model.thread().preempt.peek();
    assert!(count == 0, "switch with the preempt count at {count:#x}");
    let process = Context::Process.state(model.mechanism());
    for level in model.levels.borrow().iter() {
        assert!(
            level.interrupted == process,
            "switch inside a {} that interrupted {}",
            level.source,
            level.interrupted
        );
        assert!(!level.is_nmi_like(), "switch inside a {}", level.source);
    }
}

/// An acknowledge, before it is made: first of all, in `Entry`.
pub(super) fn acknowledge(model: &Model, group: Group) {
    let level = model.innermost();
    let Some((level, line)) = level.and_then(|level| Some((level, level.source.line()?))) else {
        panic!("acknowledge outside an interrupt");
    };
    let hardware = model.hardware();
    assert!(level.answer.is_none(), "a second acknowledge");
    assert!(
        hardware.daif == daif::ALL && hardware.pmr == level.interrupted.pmr(),
        "acknowledge not in Entry"
    );
    assert!(
        hardware.gic.group(line) == group,
        "acknowledge of another group than the vector's"
    );
}

/// What the acknowledge answered: with ordinary interrupts masked never one of them.
pub(super) fn acknowledged(level: &Level, intid: u32) {
    let masked = !Openness::of(level.interrupted).ordinary;
    let ordinary = Line::from_intid(intid).is_some_and(|line| !line.is_nmi());
    assert!(
        !(masked && ordinary),
        "an ordinary interrupt was acknowledged while they were masked"
    );
}

/// `ESR_EL1` is read while nothing can have overwritten it.
pub(super) fn syndrome(model: &Model) {
    let level = model.innermost();
    let has_one = level.is_some_and(|level| level.source.line().is_none());
    assert!(
        has_one && model.hardware().daif == daif::ALL,
        "ESR_EL1 is read where it may be another exception's"
    );
}

/// At the end of a program: a thread in `Process`, nothing active, nothing forgotten.
pub(super) fn end(model: &Model) {
    let hardware = model.hardware();
    assert!(model.own.get() == Some(Context::Process));
    masks(model);
    assert!(model.nested() == 0 && model.stacks.get() == Stacks::THREAD);
    for cpu in 0..super::state::CPUS {
        assert!(
            model.hardware_of(cpu).gic.is_idle(),
            "an interrupt is still active on CPU {cpu}"
        );
        ledger(model, cpu);
    }
    let (count, need_resched) = model.thread().preempt.peek();
    assert!(count == 0, "the preempt count ends at {count:#x}");
    assert!(!need_resched, "need_resched is set and nobody will look");
    assert!(
        !hardware.gic.is_pending(Line::SelfSgi),
        "a self-SGI never came"
    );
    assert!(model.thread().path.peek() == 0, "a path was not popped");
    assert!(model.cpu().watching.peek() == 1);
}

/// Each acknowledge had one drop and one deactivation, and no preemption was counted as lost.
fn ledger(model: &Model, cpu: usize) {
    let counters = &model.percpu(cpu).counters;
    let acknowledged = counters.of(Counter::Acknowledged);
    for counter in [Counter::Dropped, Counter::Deactivated] {
        expect_count(counter, counters.of(counter), acknowledged);
    }
    expect_count(
        Counter::PreemptionLost,
        counters.of(Counter::PreemptionLost),
        0,
    );
}

fn expect_count(counter: impl fmt::Debug, found: u64, expected: u64) {
    assert!(
        found == expected,
        "counter {counter:?} is {found}, not {expected}"
    );
}

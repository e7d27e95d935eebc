//! What the thread under test does: each way through `entry` has a program that goes it for certain,
//! so that a bound of two injections nests two more in it.

use crate::el0;
use crate::kernel::{self, block, preempt_disable, preempt_enable, wake};
use cpu::epoch;
use cpu::machine::Machine;
use cpu::mask::Mechanism;
use cpu::model::{self, Line, Source};
use cpu::plant::{Plant, planted};

/// One program, with its name in reports.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    body: fn(),
    needs: Needs,
}

/// What a machine must have for a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Anything,
    Nmis,
}

impl Program {
    /// Runs it on the modelled kernel.
    pub(crate) fn run<M: Machine>(self) {
        kernel::run::<M>(self.body);
    }
}

/// All programs that this machine can run.
pub(crate) fn all<M: Machine>() -> Vec<Program> {
    use Needs::{Anything, Nmis};
    let has_nmis = M::MECHANISM == Mechanism::Pmr;
    let all: [(&str, fn(), Needs); 30] = [
        ("thread", thread, Anything),
        ("fault", fault, Anything),
        ("fault_in_no_irq", || in_no_irq(fault), Anything),
        (
            "fault_without_preemption",
            without_preemption::<M, 0>,
            Anything,
        ),
        ("fixed_fault", || model::raise(Source::FixedFault), Anything),
        ("tick", || model::raise(Source::Tick), Anything),
        (
            "tick_without_preemption",
            without_preemption::<M, 1>,
            Anything,
        ),
        ("nmi", || model::raise(Source::NmiA), Nmis),
        (
            "nmi_in_no_irq",
            || in_no_irq(|| model::raise(Source::NmiA)),
            Nmis,
        ),
        ("serror", || model::raise(Source::SError), Anything),
        (
            "serror_in_no_irq",
            || in_no_irq(|| model::raise(Source::SError)),
            Anything,
        ),
        ("debug", || model::raise(Source::Debug), Anything),
        (
            "debug_in_no_irq",
            || in_no_irq(|| model::raise(Source::Debug)),
            Anything,
        ),
        ("block", block::<M>, Anything),
        ("wake", wake::<M>, Anything),
        ("wake_in_no_irq", || in_no_irq(wake::<M>), Anything),
        ("wake_with_both_held", with_both_held::<M>, Anything),
        ("idle", idle::<M>, Anything),
        ("quiescent", quiescent::<M>, Anything),
        ("el0", || at_el0(model::touch), Anything),
        (
            "el0_null",
            || at_el0(|| model::system_call(el0::NULL)),
            Anything,
        ),
        (
            "el0_signal",
            || at_el0(|| model::system_call(el0::SIGNAL)),
            Anything,
        ),
        (
            "el0_wait",
            || at_el0(|| model::system_call(el0::WAIT)),
            Anything,
        ),
        (
            "el0_open",
            || at_el0(|| model::system_call(el0::OPEN)),
            Anything,
        ),
        (
            "el0_open_wait",
            || at_el0(|| model::system_call(el0::OPEN_WAIT)),
            Anything,
        ),
        ("el0_fault", || at_el0(fault), Anything),
        (
            "el0_debug",
            || at_el0(|| model::raise(Source::Debug)),
            Anything,
        ),
        (
            "el0_tick",
            || at_el0(|| model::raise(Source::Tick)),
            Anything,
        ),
        ("el0_nmi", || at_el0(|| model::raise(Source::NmiA)), Nmis),
        (
            "el0_serror",
            || at_el0(|| model::raise(Source::SError)),
            Anything,
        ),
    ];
    all.into_iter()
        .map(|(name, body, needs)| Program { name, body, needs })
        .filter(|program| has_nmis || program.needs == Anything)
        .collect()
}

fn thread() {
    model::touch();
    in_no_irq(model::touch);
}

fn fault() {
    model::raise(Source::Fault);
}

fn in_no_irq(work: impl FnOnce()) {
    let irqs = model::irq_save();
    work();
    model::irq_restore(irqs);
}

/// A fault (0) or a tick (1) wakes while preemption is off: who switches it on looks.
fn without_preemption<M: Machine, const WAKER: usize>() {
    preempt_disable::<M>();
    model::raise([Source::Fault, Source::Tick][WAKER]);
    preempt_enable::<M>();
}

/// Preemption comes on again while interrupts are still held: nobody looks but the self-SGI.
fn with_both_held<M: Machine>() {
    let irqs = model::irq_save();
    preempt_disable::<M>();
    wake::<M>();
    preempt_enable::<M>();
    model::irq_restore(irqs);
}

/// One round of an idle thread, as `kernel/src/thread/idle.rs` and `cpu::hw::idle`.
fn idle<M: Machine>() {
    let wakers: &[Line] = match M::MECHANISM {
        Mechanism::Pmr => &[Line::Tick, Line::NmiA, Line::NmiB],
        Mechanism::Daif => &[Line::Tick],
    };
    model::pin();
    let preempt = &M::thread().preempt;
    let irqs = model::irq_save();
    if !preempt.need_resched::<M>() {
        epoch::end_watching::<M>(M::cpu());
        if planted(Plant::WfiAtPmrOff) {
            model::wfi(wakers);
        } else {
            model::to_idle();
            if !preempt.need_resched::<M>() {
                model::wfi(wakers);
            }
            model::from_idle();
        }
        epoch::begin_watching::<M>(M::cpu());
    }
    if preempt.need_resched::<M>() {
        block::<M>();
    }
    model::irq_restore(irqs);
}

/// The thread becomes a program's, which does `work`.
fn at_el0(work: fn()) {
    in_no_irq(|| model::run_program(work));
}

/// Code that counts as quiescent and takes everything, in the kernel.
fn quiescent<M: Machine>() {
    model::pin();
    epoch::end_watching::<M>(M::cpu());
    model::touch();
    epoch::begin_watching::<M>(M::cpu());
}

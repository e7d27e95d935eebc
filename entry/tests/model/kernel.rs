//! The smallest kernel that does all that a kernel may do above `entry`.
//!
//! Its handlers wake, fault, sleep, defer, and look at everything they were promised. The rules about
//! who asks for a switch and who looks are those of `kernel/src/thread` (`wake`, `schedule`) and
//! `kernel/src/deferred`, in the same order of steps; what guards and atomics do there are steps here.

use crate::el0;
use abi::path::Path;
use cpu::context::{Cx, Error, Inherited, NoNmi, Switchable};
use cpu::machine::Machine;
use cpu::mask::Context;
use cpu::model::{self, Line, Saved, Vectors};
use cpu::plant::{Plant, planted};
use cpu::thread::{NMI_ONE, PREEMPT_ONE};
use entry::frame::Frame;
use entry::{ExitLooks, Fatal, Flow, Kernel, Syndrome};
use std::cell::Cell;

/// The kernel above the entry layer, as modelled.
pub(crate) enum ModelKernel {}

impl<M: Machine> Kernel<M> for ModelKernel {
    fn interrupt(intid: u32, _: &Frame, _: &Cx<M, Inherited>) {
        model::handler(Context::NoIrq, || {
            watching::<M>();
            assert_eq!(model::interrupted(), Some(Context::Process));
            assert!(model::off_thread_stack(), "not on the IRQ stack");
            assert!(M::thread().preempt.in_irq::<M>());
            let line = Line::from_intid(intid).expect("an interrupt of the model");
            assert!(!line.is_nmi(), "an NMI handled as an ordinary interrupt");
            model::touch();
            match line {
                Line::Tick => wake::<M>(),
                _ => do_deferred::<M>(),
            }
        });
    }

    fn nmi(intid: u32, _: &Frame, _: &Cx<M, NoNmi>) {
        model::handler(Context::NoNmi, || {
            watching::<M>();
            assert!(model::off_thread_stack(), "not on the NMI stack");
            assert!(M::thread().preempt.in_nmi::<M>());
            let line = Line::from_intid(intid).expect("an interrupt of the model");
            assert!(line.is_nmi(), "an ordinary interrupt handled as an NMI");
            model::touch_with_fix_up();
            if line == Line::NmiA {
                defer::<M>();
            }
        });
    }

    fn fault(_: &mut Frame, _: Syndrome, exit: Option<ExitLooks<'_>>) {
        let context = model::interrupted().expect("a fault interrupts a context");
        assert_eq!(exit.is_some(), context == Context::Process);
        model::handler(context, || {
            watching::<M>();
            model::touch();
            let preempt = &M::thread().preempt;
            let may_sleep = exit.is_some() && preempt.count::<M>() == 0;
            if may_sleep && model::perhaps("the fault handler sleeps") {
                block::<M>();
            }
            match &exit {
                Some(exit) => wake_on_exit::<M>(exit),
                None => wake::<M>(),
            }
            model::touch();
        });
    }

    fn fixup(frame: &mut Frame) -> bool {
        model::fix_up(&mut frame.elr)
    }

    fn serror(_: &Frame, _: Syndrome, _: &Cx<M, Error>) {
        model::handler(Context::Error, || {
            watching::<M>();
            // Inside an NMI that has not yet gone to that stack, or has come back, it stays where it is.
            let nested = M::thread().preempt.count::<M>() / NMI_ONE > 1;
            assert!(nested || model::off_thread_stack(), "not on the NMI stack");
            assert!(M::thread().preempt.in_nmi::<M>());
            model::touch_with_fix_up();
        });
    }

    fn debug(_: &mut Frame, syndrome: Syndrome) {
        assert!(syndrome.is_debug());
        model::handler(Context::Critical, || {
            watching::<M>();
            assert!(M::thread().preempt.in_nmi::<M>());
            model::touch_with_fix_up();
        });
    }

    fn preempt(_: Switchable<'_>, _: Path) {
        model::handler(Context::NoIrq, leave::<M>);
    }

    fn quick(frame: &mut Frame) -> bool {
        el0::quick(frame)
    }

    fn syscall_now(frame: &mut Frame, _: Switchable<'_>) -> Flow {
        el0::syscall_now::<M>(frame)
    }

    fn syscall(frame: &mut Frame) {
        el0::syscall::<M>(frame);
    }

    fn user_fault(_: &mut Frame, syndrome: Syndrome) {
        el0::user_fault::<M>(syndrome);
    }

    fn work(_: Switchable<'_>) {
        el0::work::<M>();
    }

    fn resumed(frame: &mut Frame, _: Switchable<'_>) {
        el0::resumed::<M>(frame);
    }

    fn fatal(_: &Frame, why: Fatal) -> ! {
        panic!("fatal: {why:?}")
    }
}

/// Handlers may look into tables that an epoch protects: their CPU must not count as quiescent.
pub(crate) fn watching<M: Machine>() {
    let watching = M::cpu().watching.get::<M>();
    assert_eq!(watching, 1, "a handler runs on a quiescent CPU");
}

/// Leaves the CPU, and comes back. Who arrives after a thread that has ended wakes whoever waits for
/// that: need_resched is set again in the middle of a preemption.
pub(crate) fn leave<M: Machine>() {
    M::thread().preempt.clear_need_resched::<M>();
    model::switch(other_thread::<M>);
    if model::perhaps("the other thread has ended, its joiner wakes") {
        wake::<M>();
    }
}

/// What another thread does until it switches back: it comes from a switch of its own.
pub(crate) fn other_thread<M: Machine>() {
    model::irq_on();
    model::touch();
    M::thread().preempt.count::<M>();
    let _irqs = model::irq_save();
    M::thread().preempt.clear_need_resched::<M>();
}

/// Makes another thread ready, and sees to it that the CPU is given to it.
pub(crate) fn wake<M: Machine>() {
    enqueue_woken::<M>();
    // With the count above 0, who takes it to 0 looks.
    if M::thread().preempt.wants_switch::<M>() {
        preempt_or_remind::<M>();
    }
}

/// Makes another thread ready; the exit of the fault being handled gives the CPU to it.
pub(crate) fn wake_on_exit<M: Machine>(_: &ExitLooks<'_>) {
    enqueue_woken::<M>();
}

pub(crate) fn enqueue_woken<M: Machine>() {
    let irqs = model::irq_save();
    M::thread().preempt.set_need_resched::<M>();
    model::irq_restore(irqs);
}

/// A switch became permitted outside any exit path: now, or with interrupts held by the self-SGI.
fn preempt_or_remind<M: Machine>() {
    if model::irqs_held() {
        if !planted(Plant::ForgetSelfSgi) {
            model::raise_self_sgi();
        }
        return;
    }
    let irqs = model::irq_save();
    while M::thread().preempt.wants_switch::<M>() {
        // SAFETY: `NoIrq` on the thread's own stack; the model checks it.
        let legal = unsafe { Switchable::assume() };
        <ModelKernel as Kernel<M>>::preempt(legal, Path::Thread);
    }
    model::irq_restore(irqs);
}

std::thread_local! {
    /// What NMIs want done outside them, per CPU.
    static DEFERRED: [Cell<bool>; 2] = const { [Cell::new(false), Cell::new(false)] };
}

/// From an NMI: has the self-SGI's handler ask for a switch. Requests merge.
fn defer<M: Machine>() {
    M::step();
    let index = M::cpu().index();
    if !DEFERRED.with(|deferred| deferred[index].replace(true)) {
        model::raise_self_sgi();
    }
}

/// The self-SGI's handler. A reminder needs nothing: its exit looks.
fn do_deferred<M: Machine>() {
    M::step();
    let index = M::cpu().index();
    if DEFERRED.with(|deferred| deferred[index].replace(false)) {
        M::thread().preempt.set_need_resched::<M>();
    }
}

/// Runs a program on this kernel; at its end nothing deferred may be left.
pub(crate) fn run<M: Machine>(program: fn()) {
    DEFERRED.with(|deferred| deferred.iter().for_each(|one| one.set(false)));
    program();
    M::step();
    let index = M::cpu().index();
    let left = DEFERRED.with(|deferred| deferred[index].get());
    assert!(!left, "what an NMI deferred was never done");
}

/// Switches preemption off.
pub(crate) fn preempt_disable<M: Machine>() {
    M::thread().preempt.add::<M>(PREEMPT_ONE);
}

/// Switches preemption on, and looks.
pub(crate) fn preempt_enable<M: Machine>() {
    let preempt = &M::thread().preempt;
    if preempt.sub::<M>(PREEMPT_ONE) == 0 && preempt.need_resched::<M>() {
        preempt_or_remind::<M>();
    }
}

/// Gives the CPU away until somebody wakes this thread.
pub(crate) fn block<M: Machine>() {
    let irqs = model::irq_save();
    leave::<M>();
    model::irq_restore(irqs);
}

/// The entry layer under test, behind the model's vectors.
pub(crate) fn vectors<M: Machine>() -> Vectors {
    Vectors {
        sync: |saved| through(saved, entry::fault::sync::<M, ModelKernel>),
        irq: |saved| through(saved, entry::interrupt::irq::<M, ModelKernel>),
        fiq: |saved| through(saved, entry::interrupt::fiq::<M, ModelKernel>),
        serror: |saved| through(saved, entry::error::serror::<M, ModelKernel>),
        el0: el0::vectors::<M>(),
    }
}

fn through<M: Machine>(
    saved: &mut Saved,
    body: fn(&mut Frame, Cx<M, cpu::context::Entry>) -> Cx<M, cpu::context::Critical>,
) {
    framed::<M>(saved, |frame| {
        // SAFETY: the model has just taken an exception, as the hardware would.
        body(frame, unsafe { Cx::assume() }).leave();
    });
}

/// What a vector's assembly does around its body: registers to the frame, and back.
pub(crate) fn framed<M: Machine>(saved: &mut Saved, body: impl FnOnce(&mut Frame)) {
    let mut frame = Frame {
        x: saved.x,
        sp: saved.sp,
        elr: saved.elr,
        spsr: saved.spsr,
        pmr: saved.pmr,
        when: M::now(),
        ..Frame::default()
    };
    body(&mut frame);
    *saved = Saved {
        x: frame.x,
        sp: frame.sp,
        elr: frame.elr,
        spsr: frame.spsr,
        pmr: frame.pmr,
    };
}

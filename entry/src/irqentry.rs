//! What every entry that is not an NMI does before the kernel proper runs, and undoes after.
//!
//! When [`irqentry_enter`] is called, the CPU is already set up for ordinary kernel code to run until
//! [`irqentry_exit`] has returned: that is what its argument, the token that `inherit` gave, says.
//! Neither function ever preempts. NMIs come in between any two instructions here; what they use
//! they put back (`nmi`), and they do not assume that this code ran.

use crate::frame::Frame;
use abi::path::{self, Path};
use abi::trace::Event;
use cpu::context::{Cx, Inherited, Interrupted, Open, Switchable};
use cpu::counters::Counter;
use cpu::epoch;
use cpu::machine::{Machine, Stack};
use cpu::plant::{Plant, planted};

/// Between `irqentry_enter` and `irqentry_exit`, with ordinary interrupts held.
#[must_use = "what irqentry_enter did, irqentry_exit must undo"]
pub struct Inside<M> {
    cx: Cx<M, Inherited>,
    entered: Entered,
}

/// Between `irqentry_enter` and `irqentry_exit`, with the interrupted context's masks.
#[must_use = "what irqentry_enter did, irqentry_exit must undo"]
pub struct InsideOpen<M> {
    cx: Cx<M, Open>,
    entered: Entered,
}

/// What `irqentry_exit` puts back.
struct Entered {
    interrupted: Interrupted,
    outer: u64,
    began_watching: bool,
}

/// Enters the kernel: pushes the path, ends quiescence, writes the trace record.
#[inline(always)]
pub fn irqentry_enter<M: Machine>(
    cx: Cx<M, Inherited>,
    frame: &Frame,
    interrupted: Interrupted,
    path: Path,
) -> Inside<M> {
    let thread = M::thread();
    let cpu = M::cpu();
    let outer = thread.path.get::<M>();
    let inner = path::push(outer, path);
    thread.path.set::<M>(inner);
    let began_watching = !planted(Plant::NotWatching) && epoch::begin_watching::<M>(cpu);
    if began_watching {
        cpu.counters.count(Counter::BeganWatching);
    }
    let id = thread.id();
    cpu.trace
        .write(frame.when, Event::Enter, id, inner, frame.elr);
    Inside {
        cx,
        entered: Entered {
            interrupted,
            outer,
            began_watching,
        },
    }
}

/// Leaves the kernel: the exact reverse. The thread may have moved to another CPU meanwhile.
#[inline(always)]
pub fn irqentry_exit<M: Machine>(inside: Inside<M>) -> Cx<M, Inherited> {
    let Inside { cx, entered } = inside;
    let thread = M::thread();
    let cpu = M::cpu();
    cx.check(entered.interrupted, "irqentry_exit");
    if entered.interrupted.is_process() && thread.preempt.wants_switch::<M>() {
        cpu.counters.count(Counter::PreemptionLost);
    }
    let inner = thread.path.get::<M>();
    let (now, id) = (M::now(), thread.id());
    cpu.trace.write(now, Event::Exit, id, inner, 0);
    if entered.began_watching {
        epoch::end_watching::<M>(cpu);
    }
    if !planted(Plant::PathNotPopped) {
        thread.path.set::<M>(entered.outer);
    }
    cx
}

impl<M: Machine> Inside<M> {
    /// Runs a handler on the IRQ stack, with the proof of the context.
    #[inline(always)]
    pub fn on_irq_stack(self, handler: impl FnOnce(&Cx<M, Inherited>)) -> Self {
        // Field by field: a structure that is moved whole is moved with its padding.
        let Self { cx, entered } = self;
        let Entered {
            interrupted,
            outer,
            began_watching,
        } = entered;
        let cx = M::call_on(Stack::Irq, move || {
            handler(&cx);
            cx
        });
        let entered = Entered {
            interrupted,
            outer,
            began_watching,
        };
        Self { cx, entered }
    }

    /// The legal switch state, if this is it.
    #[inline(always)]
    pub fn switchable(&mut self) -> Option<Switchable<'_>> {
        self.cx.switchable(self.entered.interrupted)
    }

    /// Lets ordinary interrupts in if the interrupted context did.
    #[inline(always)]
    pub fn release_irqs(self) -> InsideOpen<M> {
        InsideOpen {
            cx: self.cx.release_irqs(self.entered.interrupted),
            entered: self.entered,
        }
    }
}

impl<M: Machine> InsideOpen<M> {
    /// Holds ordinary interrupts again.
    #[inline(always)]
    pub fn hold_irqs(self) -> Inside<M> {
        Inside {
            cx: self.cx.hold_irqs(self.entered.interrupted),
            entered: self.entered,
        }
    }
}

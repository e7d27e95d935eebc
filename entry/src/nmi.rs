//! NMIs: what comes whatever the kernel was doing, entry code included.
//!
//! An NMI may land between any two instructions of any path at which DAIF is open: before
//! `irqentry_enter` ran, after `irqentry_exit`, in the middle of a switch. So [`nmi_enter`] assumes
//! nothing, writes only what [`nmi_exit`] puts back bit for bit, and is counted first in, last out.
//! It never preempts, runs no work loop, and takes no lock that others take; what it wants done
//! outside it queues and raises a self-SGI for.

use crate::Kernel;
use crate::frame::Frame;
use crate::ledger::Active;
use abi::path::{self, Path};
use abi::trace::Event;
use cpu::context::{Critical, Cx, Entry, NoNmi};
use cpu::counters::{Counter, Nest};
use cpu::epoch;
use cpu::machine::{Machine, Stack};
use cpu::percpu::PerCpu;
use cpu::plant::{Plant, planted};
use cpu::thread::{NMI_MASK, NMI_ONE};

/// What [`nmi_exit`] puts back.
#[must_use = "what nmi_enter did, nmi_exit must undo"]
pub struct NmiInside {
    outer: u64,
    began_watching: bool,
    /// Whether this is the first NMI-like handler of the nest, and so gets the stack.
    outermost: bool,
}

impl NmiInside {
    /// Runs `work` on the NMI stack, unless an outer handler is on it already.
    #[inline(always)]
    pub(crate) fn on_stack<M: Machine, R>(&self, work: impl FnOnce() -> R) -> R {
        if self.outermost {
            M::call_on(Stack::Nmi, work)
        } else {
            work()
        }
    }
}

/// Counts, pushes the path, ends quiescence, writes the trace record. `cpu` is this one.
#[inline(always)]
pub fn nmi_enter<M: Machine>(frame: &Frame, cpu: &PerCpu, path: Path) -> NmiInside {
    let thread = M::thread();
    let outermost = thread.preempt.add::<M>(NMI_ONE) & NMI_MASK == 0;
    let outer = thread.path.get::<M>();
    let inner = path::push(outer, path);
    thread.path.set::<M>(inner);
    let began_watching = epoch::begin_watching::<M>(cpu);
    let id = thread.id();
    cpu.trace
        .write(frame.when, Event::Enter, id, inner, frame.elr);
    NmiInside {
        outer,
        began_watching,
        outermost,
    }
}

/// Undoes what [`nmi_enter`] did, in the reverse order.
#[inline(always)]
pub fn nmi_exit<M: Machine>(inside: NmiInside) {
    let thread = M::thread();
    let cpu = M::cpu();
    let NmiInside {
        outer,
        began_watching,
        ..
    } = inside;
    let inner = thread.path.get::<M>();
    let (now, id) = (M::now(), thread.id());
    cpu.trace.write(now, Event::Exit, id, inner, 0);
    if began_watching {
        epoch::end_watching::<M>(cpu);
    }
    thread.path.set::<M>(outer);
    if !planted(Plant::NmiCountLeaks) {
        thread.preempt.sub::<M>(NMI_ONE);
    }
}

/// A pseudo-NMI, already acknowledged. The same from every context.
#[inline(always)]
pub(crate) fn nmi<M: Machine, K: Kernel<M>>(
    frame: &Frame,
    cx: Cx<M, Entry>,
    active: Active<M>,
) -> Cx<M, Critical> {
    let cx: Cx<M, NoNmi> = cx.no_nmi();
    let cpu = active.cpu();
    let inside = nmi_enter::<M>(frame, cpu, Path::Nmi);

    let dropped = active.drop_priority();
    // Wide, as the register had it: what goes to the other stack is then one pair of words.
    let intid = u64::from(dropped.intid());
    let cx = inside.on_stack::<M, _>(move || {
        K::nmi(intid as u32, frame, &cx);
        cx
    });
    dropped.deactivate().settle();
    cpu.counters.count_in(Nest::Nmi, Counter::Nmi);

    let preempt = &M::thread().preempt;
    if preempt.need_resched::<M>() {
        cpu.counters.count_in(Nest::Nmi, Counter::NmiSawResched);
    }
    nmi_exit::<M>(inside);
    if planted(Plant::PreemptFromNmi) && preempt.wants_switch::<M>() {
        // SAFETY: none: this is the bug, and the check at the switch must stop it.
        K::preempt(unsafe { cpu::context::Switchable::assume() }, Path::Nmi);
    }
    cx.mask_all()
}

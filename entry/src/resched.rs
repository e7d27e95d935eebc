//! The one place on the way out where a thread that did not ask is switched away from.

use crate::Kernel;
use crate::irqentry::Inside;
use abi::path::Path;
use cpu::machine::Machine;

/// Preempts if that is eligible: `Process` was interrupted, the preempt count is 0, need_resched is
/// set. Looks again until it is clear, since interrupts come in while other threads run.
///
/// The CPU is exactly in `NoIrq` here: only ordinary interrupts are masked when scheduling. Only the
/// legal switch state gets this far:
///
/// ```
/// use cpu::{context::{Critical, Cx, Entry, Interrupted, NoNmi}, machine::Machine};
/// use entry::irqentry::{irqentry_enter, irqentry_exit};
/// fn right<M: Machine, K: entry::Kernel<M>>(
///     cx: Cx<M, Entry>,
///     frame: &entry::frame::Frame,
///     i: Interrupted,
/// ) -> Cx<M, Critical> {
///     let cx = cx.hold_irqs().inherit(i);
///     let mut inside = irqentry_enter(cx, frame, i, abi::path::Path::Fault);
///     entry::resched::cond_resched::<M, K>(&mut inside, abi::path::Path::Fault);
///     irqentry_exit(inside).mask_all()
/// }
/// ```
/// From an NMI handler's token there is no way:
///
/// ```compile_fail,E0308
/// use cpu::{context::{Cx, NoNmi}, machine::Machine};
/// fn wrong<M: Machine, K: entry::Kernel<M>>(cx: &mut Cx<M, NoNmi>) {
///     entry::resched::cond_resched::<M, K>(cx, abi::path::Path::Nmi);
/// }
/// ```
/// Nor is there one from the masked end of a path:
///
/// ```compile_fail,E0308
/// use cpu::{context::{Cx, Critical}, machine::Machine};
/// fn wrong<M: Machine, K: entry::Kernel<M>>(cx: &mut Cx<M, Critical>) {
///     entry::resched::cond_resched::<M, K>(cx, abi::path::Path::Fault);
/// }
/// ```
// ANCHOR: cond_resched
#[inline(always)]
pub fn cond_resched<M: Machine, K: Kernel<M>>(inside: &mut Inside<M>, path: Path) {
    if let Some(mut legal) = inside.switchable() {
        let thread = M::thread();
        while thread.preempt.wants_switch::<M>() {
            M::cpu().counters.preempted(path);
            K::preempt(legal.reborrow(), path);
        }
    }
}
// ANCHOR_END: cond_resched

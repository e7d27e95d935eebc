//! IRQ and FIQ taken at EL1.
//!
//! ```text
//! H   state Entry; frame saved
//!     acknowledge: special, NMI or ordinary
//!       special   return
//!       NMI       see `nmi`
//!       ordinary  A hold_irqs, B inherit, C irqentry_enter
//!                 drop, handler on the IRQ stack, deactivate
//!                 E cond_resched: eligible whenever need_resched is set and the count is 0
//!                 C' irqentry_exit, B' mask_all, A' restore PMR; eret
//! ```
//!
//! Drop and deactivate come before `cond_resched`, or the next thread would run with interrupts
//! blocked. Ordinary interrupts come by the FIQ vector where they were put in Group 0
//! (`ordinary=g0`), and the path is the same.

use crate::frame::Frame;
use crate::irqentry::{irqentry_enter, irqentry_exit};
use crate::ledger::{Acknowledged, Active, acknowledge};
use crate::resched::cond_resched;
use crate::{Fatal, Kernel, nmi};
use abi::path::Path;
use cpu::context::{Critical, Cx, Entry, Interrupted};
use cpu::machine::{Group, Machine};
use cpu::plant::{Plant, planted};
use cpu::priority::PMR_OFF;
use cpu::thread::IRQ_ONE;

/// The IRQ vector: Group 1.
#[inline(always)]
pub fn irq<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    interrupt::<M, K>(frame, cx, Group::One, Path::Irq)
}

/// The FIQ vector: Group 0.
#[inline(always)]
pub fn fiq<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    interrupt::<M, K>(frame, cx, Group::Zero, Path::Fiq)
}

#[inline(always)]
fn interrupt<M: Machine, K: Kernel<M>>(
    frame: &mut Frame,
    cx: Cx<M, Entry>,
    group: Group,
    path: Path,
) -> Cx<M, Critical> {
    let done = match acknowledge(&cx, group) {
        Acknowledged::Special => cx.critical(),
        Acknowledged::Nmi(active) => nmi::nmi::<M, K>(frame, cx, active),
        Acknowledged::Ordinary(active) => match frame.interrupted::<M>() {
            Some(interrupted) if interrupted.is_process() => {
                ordinary::<M, K>(frame, cx, active, interrupted, path)
            }
            Some(_) => K::fatal(frame, Fatal::OrdinaryWhileHeld(active.intid())),
            None => K::fatal(frame, Fatal::IllegalMasks),
        },
    };
    // ANCHOR: planted
    if planted(Plant::PmrNotRestored) {
        frame.pmr = u64::from(PMR_OFF);
    }
    // ANCHOR_END: planted
    done
}

#[inline(always)]
fn ordinary<M: Machine, K: Kernel<M>>(
    frame: &Frame,
    cx: Cx<M, Entry>,
    active: Active<M>,
    interrupted: Interrupted,
    path: Path,
) -> Cx<M, Critical> {
    let cx = cx.hold_irqs().inherit(interrupted);
    let inside = irqentry_enter(cx, frame, interrupted, path);

    let dropped = active.drop_priority();
    let intid = dropped.intid();
    let preempt = &M::thread().preempt;
    preempt.add::<M>(IRQ_ONE);
    let mut inside = inside.on_irq_stack(move |cx| K::interrupt(intid, frame, cx));
    preempt.sub::<M>(IRQ_ONE);
    let done = dropped.deactivate();

    cond_resched::<M, K>(&mut inside, path);
    done.settle();
    irqentry_exit(inside).mask_all()
}

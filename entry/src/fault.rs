//! Faults taken at EL1: the heart of the design.
//!
//! ```text
//! H   state Entry; frame saved
//! A   hold_irqs        pmr: PMR := off       daif: I and F stay set
//! B   inherit          everything but the IRQ mask comes from the interrupted context
//! C   irqentry_enter
//! D   release_irqs     only if the interrupted context had IRQs on
//!     handler          may sleep if the interrupted context could
//! D'  hold_irqs        now exactly NoIrq, if the interrupted context was Process
//! E   cond_resched     if eligible; looks again until need_resched is clear
//! C'  irqentry_exit
//! B'  mask_all         Critical
//! A'  restore PMR from the frame; eret
//! ```
//!
//! The masks are inherited *before* `irqentry_enter` and taken back *after* `irqentry_exit`, so all
//! between the two is ordinary kernel code with exactly the masks it should have, and may preempt.
//! What the interrupted context had masked stays masked throughout.

use crate::frame::Frame;
use crate::irqentry::{irqentry_enter, irqentry_exit};
use crate::resched::cond_resched;
use crate::{ExitLooks, Fatal, Kernel, Syndrome, error};
use abi::path::Path;
use cpu::context::{Critical, Cx, Entry, Interrupted};
use cpu::counters::Counter;
use cpu::machine::Machine;
use cpu::mask::Context;
use cpu::plant::{Plant, planted};

/// The synchronous vector: faults and debug exceptions.
#[inline(always)]
pub fn sync<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    let (esr, far) = M::syndrome();
    let syndrome = Syndrome { esr, far };
    if K::fixup(frame) {
        return cx.critical();
    }
    if syndrome.is_debug() {
        return error::debug::<M, K>(frame, cx, syndrome);
    }
    match frame.interrupted::<M>() {
        Some(interrupted) if may_fault(interrupted) => {
            fault::<M, K>(frame, cx, interrupted, syndrome)
        }
        Some(_) => K::fatal(frame, Fatal::FaultWhileMasked(syndrome)),
        None => K::fatal(frame, Fatal::IllegalMasks),
    }
}

/// A fault is handled where an interrupt handler or a thread could have made it.
#[inline(always)]
fn may_fault(interrupted: Interrupted) -> bool {
    matches!(interrupted.context(), Context::Process | Context::NoIrq)
}

// ANCHOR: fault
#[inline(always)]
fn fault<M: Machine, K: Kernel<M>>(
    frame: &mut Frame,
    cx: Cx<M, Entry>,
    interrupted: Interrupted,
    syndrome: Syndrome,
) -> Cx<M, Critical> {
    if planted(Plant::DaifBeforePmr) {
        M::write_daif(frame.masks().daif());
    }
    let cx = cx.hold_irqs().inherit(interrupted);
    let inside = irqentry_enter(cx, frame, interrupted, Path::Fault);

    let inside = inside.release_irqs();
    let exit = interrupted.is_process().then(ExitLooks::new);
    K::fault(frame, syndrome, exit);
    let mut inside = inside.hold_irqs();

    if interrupted.is_process() {
        M::cpu().counters.count(Counter::FaultExits);
    }
    if !planted(Plant::PreemptAfterMasks) && !planted(Plant::FaultNeverPreempts) {
        cond_resched::<M, K>(&mut inside, Path::Fault);
    }
    let done = irqentry_exit(inside).mask_all();
    if planted(Plant::PreemptAfterMasks) && M::thread().preempt.wants_switch::<M>() {
        // SAFETY: none: this is the bug of the thread, and the check at the switch must stop it.
        K::preempt(unsafe { cpu::context::Switchable::assume() }, Path::Fault);
    }
    done
}
// ANCHOR_END: fault

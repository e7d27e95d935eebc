//! From EL0 and back: system calls, faults of programs, interrupts that find a program running.
//!
//! ```text
//!     svc, number below K::QUICK             H    state Entry; what a function may change is saved
//!                                                 K::quick; eret
//!
//!     svc                                    H    state Entry; frame saved
//!                                            A    hold_irqs
//!                                            B    inherit_from_el0
//!                                            C    user_enter
//!                                                 K::syscall_now: done, or open
//!                                            D    release_irqs      if open
//!                                                 K::syscall        may sleep
//!                                            D'   hold_irqs
//!                                            E    work_loop
//!                                            C'   user_exit; B' mask_all
//!                                            A'   PMR on, from the frame; eret
//!
//!     fault                                  H A B C D, K::user_fault, D' E C' B' A'
//!
//!     IRQ, FIQ: acknowledge
//!       special                              eret
//!       NMI                                  see `nmi`; no work loop
//!       ordinary                             A B C, drop, K::interrupt on the IRQ stack, deactivate,
//!                                            E C' B' A'
//!
//!     a switch to a thread that has          K::resumed, E C' B' A'
//!     given up its Rust frames
//! ```
//!
//! A thread that waits in a system call need not come back to where it began to wait: all that it is
//! lies in its frame, at the top of its stack. So it may give up everything below
//! (`hw::switch::switch_away`), and when it is switched to again [`resume`] takes it out.

use crate::frame::Frame;
use crate::ledger::{Acknowledged, Active, acknowledge};
use crate::userentry::{UserInside, user_enter, user_exit, work_loop};
use crate::{Flow, Kernel, Syndrome, error, nmi};
use abi::path::Path;
use cpu::context::{Critical, Cx, Entry};
use cpu::machine::{Group, Machine};
use cpu::plant::{Plant, planted};
use cpu::thread::IRQ_ONE;

// ANCHOR: syscall
/// A system call that was not quick.
#[inline(always)]
pub fn syscall<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    let cx = cx.hold_irqs().inherit_from_el0();
    let mut inside = user_enter::<M, K>(cx, M::cpu(), frame, Path::Syscall);
    if let Flow::Open = K::syscall_now(frame, inside.switchable()) {
        let open = inside.release_irqs();
        K::syscall(frame);
        inside = open.hold_irqs();
    }
    leave::<M, K>(inside, frame, Path::Syscall)
}
// ANCHOR_END: syscall

/// A synchronous exception other than `svc`.
#[inline(always)]
pub fn fault<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    let (esr, far) = M::syndrome();
    let cx = cx.hold_irqs().inherit_from_el0();
    let inside = user_enter::<M, K>(cx, M::cpu(), frame, Path::UserFault);
    let open = inside.release_irqs();
    K::user_fault(frame, Syndrome { esr, far });
    leave::<M, K>(open.hold_irqs(), frame, Path::UserFault)
}

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

/// An SError: as from EL1.
#[inline(always)]
pub fn serror<M: Machine, K: Kernel<M>>(frame: &mut Frame, cx: Cx<M, Entry>) -> Cx<M, Critical> {
    error::serror::<M, K>(frame, cx)
}

#[inline(always)]
fn interrupt<M: Machine, K: Kernel<M>>(
    frame: &mut Frame,
    cx: Cx<M, Entry>,
    group: Group,
    path: Path,
) -> Cx<M, Critical> {
    match acknowledge(&cx, group) {
        Acknowledged::Special => cx.critical(),
        Acknowledged::Nmi(active) => nmi::nmi::<M, K>(frame, cx, active),
        Acknowledged::Ordinary(active) => ordinary::<M, K>(frame, cx, active, path),
    }
}

#[inline(always)]
fn ordinary<M: Machine, K: Kernel<M>>(
    frame: &mut Frame,
    cx: Cx<M, Entry>,
    active: Active<M>,
    path: Path,
) -> Cx<M, Critical> {
    let inside = user_enter::<M, K>(cx.hold_irqs().inherit_from_el0(), active.cpu(), frame, path);

    let dropped = active.drop_priority();
    let intid = dropped.intid();
    let preempt = &M::thread().preempt;
    preempt.add::<M>(IRQ_ONE);
    let shown = &*frame;
    let mut inside = inside.on_irq_stack(move |cx| K::interrupt(intid, shown, cx));
    preempt.sub::<M>(IRQ_ONE);
    let done = dropped.deactivate();

    let count = work_loop::<M, K>(&mut inside, path);
    done.settle();
    if planted(Plant::RegisterLeakOnReturn) {
        frame.x[18] = core::ptr::from_ref(M::thread()) as u64;
    }
    user_exit::<M, K>(inside, frame, path, count)
}

/// A thread that had given up its Rust frames, or that never ran, was switched to: out to EL0.
///
/// # Safety
/// The CPU was switched to this thread, parked, and is in `NoIrq`; `frame` is at the top of its stack.
#[inline(always)]
pub unsafe fn resume<M: Machine, K: Kernel<M>>(frame: &mut Frame) -> Cx<M, Critical> {
    // SAFETY: who parked the thread never comes back, and its token with it.
    let mut inside = unsafe { UserInside::<M>::assume() };
    K::resumed(frame, inside.switchable());
    // Only these two wait. (Who was parked in an interrupt's work loop leaves as from a system call.)
    let path = if M::thread().path.get::<M>() == Path::UserFault as u64 {
        Path::UserFault
    } else {
        Path::Syscall
    };
    leave::<M, K>(inside, frame, path)
}

#[inline(always)]
fn leave<M: Machine, K: Kernel<M>>(
    mut inside: UserInside<M>,
    frame: &mut Frame,
    path: Path,
) -> Cx<M, Critical> {
    let count = work_loop::<M, K>(&mut inside, path);
    user_exit::<M, K>(inside, frame, path, count)
}

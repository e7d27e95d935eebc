//! The switch of threads, with the check that is always on.
//!
//! Callee-saved registers go to the old thread's stack and come from the new one's. Masks are not
//! among them: both threads are in exactly the same state, which the check makes true. A switch in any
//! other state would leak this thread's masks into the next (Linux v6.18 to v7.0).

use super::{local, slots};
use crate::context::{Switchable, mismatch};
use crate::mask::{MaskState, Mechanism};
use crate::thread::Core;
use abi::path::Path;
use core::arch::naked_asm;
use core::mem::offset_of;

/// What the switch leaves on a stack: callee-saved registers (AAPCS64, 6.1.1).
#[derive(Default)]
#[repr(C, align(16))]
struct Saved {
    x29: u64,
    x30: u64,
    x19_28: [u64; 10],
}

const _: () = assert!(size_of::<Saved>() == 96 && offset_of!(Saved, x30) == 8);

/// The masks as they are now.
#[inline(always)]
pub fn masks() -> MaskState {
    MaskState::from_registers(
        crate::read_sysreg!("daif"),
        crate::read_sysreg!("icc_pmr_el1"),
    )
}

/// Switches from the running thread to `next`; comes back when somebody switches to this thread.
///
/// # Safety
/// `next` does not run anywhere, was prepared by [`prepare`] or left by this function, and stays
/// alive while it runs.
#[inline(always)]
pub unsafe fn switch(next: &'static Core, _legal: Switchable<'_>) {
    check();
    // SAFETY: the state is legal, as checked; the rest is the caller's promise.
    unsafe { petrel_switch(local::thread(), next) };
}

/// Stops unless this is the legal switch state: exactly `NoIrq`, on the thread's own stack.
// ANCHOR: check
#[inline(always)]
pub fn check() {
    let masks = masks();
    if masks.bits() != slots::legal_switch_state() {
        illegal(masks);
    }
    let sp: u64;
    // SAFETY: reads the stack pointer.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    if !local::thread().stack().contains(&sp) {
        foreign_stack(sp);
    }
}
// ANCHOR_END: check

#[cold]
#[inline(never)]
fn illegal(found: MaskState) -> ! {
    let pmr = crate::mask::Context::NoIrq.state(Mechanism::Pmr);
    let legal = if slots::legal_switch_state() == pmr.bits() {
        pmr
    } else {
        crate::mask::Context::NoIrq.state(Mechanism::Daif)
    };
    mismatch("switch", legal, found);
}

#[cold]
#[inline(never)]
fn foreign_stack(sp: u64) -> ! {
    panic!("switch on a stack that is not the thread's own: SP {sp:#x}");
}

/// Prepares a thread that never ran: its first switch calls `start(argument)`, in `NoIrq`, on `stack`.
///
/// # Safety
/// `stack` is mapped, and nobody else's.
pub unsafe fn prepare(
    thread: &Core,
    stack: core::ops::Range<u64>,
    start: extern "C" fn(u64) -> !,
    argument: u64,
) {
    let mut saved = Saved {
        x30: petrel_thread_start as *const () as u64,
        ..Saved::default()
    };
    saved.x19_28[0] = start as *const () as u64;
    saved.x19_28[1] = argument;
    let sp = stack.end - size_of::<Saved>() as u64;
    // SAFETY: the caller's promise; `sp` is inside the stack, 16-byte aligned.
    unsafe { (sp as *mut Saved).write(saved) };
    thread.set_stack(stack);
    thread.set_saved_sp(sp);
}

/// Prepares the thread of a program: it is parked, with `frame_bytes` of its registers at the top of
/// `stack`, and its first switch goes to `resume`, in `NoIrq`, with SP at them.
///
/// # Safety
/// `stack` is mapped, and nobody else's; `resume` is where such a thread can go on.
pub unsafe fn prepare_user(
    thread: &Core,
    stack: core::ops::Range<u64>,
    frame_bytes: usize,
    resume: u64,
) {
    let saved = Saved {
        x30: resume,
        ..Saved::default()
    };
    let sp = stack.end - (frame_bytes + size_of::<Saved>()) as u64;
    // SAFETY: the caller's promise; `sp` is inside the stack, 16-byte aligned.
    unsafe { (sp as *mut Saved).write(saved) };
    thread.set_stack(stack);
    thread.set_parked(sp, resume);
    thread.set_saved_sp(sp);
    // It goes on as if out of a system call.
    thread.path.poke(Path::Syscall as u64);
}

/// Switches from the running thread, which gives up all that is on its stack but its frame, to `next`.
/// When somebody switches to the thread again, it goes on where [`prepare_user`] said.
///
/// Nothing that is on the stack is dropped: the caller holds nothing that has to be.
///
/// # Safety
/// As for [`switch`]; and the running thread was prepared by [`prepare_user`] and is inside an
/// entry from EL0.
#[inline(always)]
pub unsafe fn switch_away(next: &'static Core, _legal: Switchable<'_>) -> ! {
    check();
    // SAFETY: the state is legal, as checked; the rest is the caller's promise.
    unsafe { petrel_switch_away(local::thread(), next) }
}

/// Parks here, loads there. In and out: `NoIrq`. NMIs may come at each instruction: SP is at the parked
/// registers before those are written, so that what an NMI uses is below.
#[unsafe(naked)]
unsafe extern "C" fn petrel_switch_away(from: &Core, to: &Core) -> ! {
    naked_asm!(
        "ldp x2, x3, [x0, #{parked}]",
        "mov x29, xzr",
        "mov sp, x2",
        "stp xzr, x3, [sp]",
        "str x2, [x0, #{sp}]",
        "b {load}",
        parked = const Core::parked_offset(),
        sp = const Core::sp_offset(),
        load = sym petrel_switch_load,
    )
}

/// Switches from the running thread, as [`switch_away`] does, to one that is parked too: it goes on where
/// [`prepare_user`] said, and nothing has to be loaded for it.
///
/// # Safety
/// As for [`switch_away`]; and `next` is parked.
#[inline(always)]
pub unsafe fn switch_parked(next: &'static Core, _legal: Switchable<'_>) -> ! {
    check();
    // SAFETY: the state is legal, as checked; the rest is the caller's promise.
    unsafe { petrel_switch_parked(local::thread(), next) }
}

/// Parks here, goes on there. In and out: `NoIrq`. NMIs may come at each instruction, as in the other two.
#[unsafe(naked)]
unsafe extern "C" fn petrel_switch_parked(from: &Core, to: &Core) -> ! {
    naked_asm!(
        "ldp x2, x3, [x0, #{parked}]",
        "mov x29, xzr",
        "mov sp, x2",
        "stp xzr, x3, [sp]",
        "str x2, [x0, #{sp}]",
        "ldp x2, x3, [x1, #{parked}]",
        "add sp, x2, #{saved}",
        "msr tpidr_el1, x1",
        "clrex",
        "br x3",
        parked = const Core::parked_offset(),
        sp = const Core::sp_offset(),
        saved = const size_of::<Saved>(),
    )
}

/// Saves here, loads there. In and out: `NoIrq`. NMIs may come at each instruction: they use what
/// stack SP points to, and give `TPIDR_EL1`'s thread back as they found it.
#[unsafe(naked)]
unsafe extern "C" fn petrel_switch(from: &Core, to: &Core) {
    naked_asm!(
        "sub sp, sp, #96",
        "stp x29, x30, [sp]",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "mov x2, sp",
        "str x2, [x0, #{sp}]",
        "b {load}",
        sp = const Core::sp_offset(),
        load = sym petrel_switch_load,
    )
}

/// The second half of both switches: the registers of `to`.
#[unsafe(naked)]
unsafe extern "C" fn petrel_switch_load(_from: &Core, to: &Core) {
    naked_asm!(
        "ldr x2, [x1, #{sp}]",
        "mov sp, x2",
        "msr tpidr_el1, x1",
        "clrex",
        "ldp x29, x30, [sp]",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "add sp, sp, #96",
        "ret",
        sp = const Core::sp_offset(),
    )
}

/// Where a thread's first switch returns to. In: `NoIrq`, x19 = start, x20 = argument.
#[unsafe(naked)]
unsafe extern "C" fn petrel_thread_start() {
    naked_asm!("mov x29, xzr", "mov x30, xzr", "mov x0, x20", "br x19",)
}

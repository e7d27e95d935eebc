//! The vector tables: one per mechanism, chosen by `VBAR_EL1` at boot.
//!
//! Each routine states the context on entry and exit. All stacks are [`STACK_BYTES`] long and begin
//! at a multiple of twice that, with an unmapped guard below, so one address bit tells an overflow:
//! it is tested before the first store, without a look at the current thread (which would be wrong
//! in the middle of a switch). `TPIDRRO_EL0` is the one scratch register; who runs at EL0 may read it,
//! so the way out to EL0 clears it.
//!
//! While a program runs, SP is the top of its thread's kernel stack, so an entry from EL0 tests
//! nothing and needs no scratch register: its frame is always the topmost thing on that stack.

use crate::frame::Frame;
use crate::{Fatal, Kernel, Syndrome, error, fault, interrupt, user};
use cpu::context::Cx;
use cpu::machine::Machine;

/// How long each kernel stack is, in bytes.
pub const STACK_BYTES: usize = 1 << STACK_SHIFT;
/// The address bit that is set exactly when SP has left its stack downwards.
pub const STACK_SHIFT: usize = 15;

/// In: `Entry`, registers saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn sync<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: the hardware left the CPU in `Entry`, and the assembly changed no mask.
    let cx = unsafe { Cx::assume() };
    fault::sync::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn irq<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    interrupt::irq::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn fiq<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    interrupt::fiq::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn serror<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    error::serror::<M, K>(frame, cx).leave();
}

/// In: as at EL0, all masked; `x[0]` to `x[18]` saved. Out: the same.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn quick<M: Machine, K: Kernel<M>>(frame: &mut Frame) -> bool {
    K::quick(frame)
}

/// In: `Entry`, registers of a program saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn syscall<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    user::syscall::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers of a program saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn user_fault<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    user::fault::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers of a program saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn user_irq<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    user::irq::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers of a program saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn user_fiq<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    user::fiq::<M, K>(frame, cx).leave();
}

/// In: `Entry`, registers of a program saved. Out: `Critical`.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn user_serror<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: as in `sync`.
    let cx = unsafe { Cx::assume() };
    user::serror::<M, K>(frame, cx).leave();
}

/// In: `NoIrq`, on the thread's own stack, just switched to. Out: `Critical`.
///
/// # Safety
/// Called where a parked thread goes on only.
pub unsafe extern "C" fn user_resume<M: Machine, K: Kernel<M>>(frame: &mut Frame) {
    // SAFETY: a switch to a parked thread came here; `frame` is the topmost thing on its stack.
    unsafe { user::resume::<M, K>(frame) }.leave();
}

/// Prepares the thread of a program that never ran: its first switch goes to `resume`, which the
/// macro [`vectors`](crate::vectors!) gives. The frame, all zeroes but for PMR, is the caller's
/// to fill.
///
/// # Safety
/// `stack` is mapped, [`STACK_BYTES`] long, and nobody else's.
pub unsafe fn prepare_user(
    thread: &cpu::thread::Core,
    stack: core::ops::Range<u64>,
    resume: u64,
) -> *mut Frame {
    let frame = (stack.end - size_of::<Frame>() as u64) as *mut Frame;
    // SAFETY: the top of a stack that is the caller's.
    unsafe {
        frame.write(Frame {
            pmr: u64::from(cpu::priority::PMR_ON),
            ..Frame::default()
        });
        cpu::hw::switch::prepare_user(thread, stack, size_of::<Frame>(), resume);
    }
    frame
}

/// In: `Entry`, registers saved. Does not return.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn unexpected<M: Machine, K: Kernel<M>>(frame: &mut Frame, index: u64) -> ! {
    let (esr, far) = M::syndrome();
    K::fatal(
        frame,
        Fatal::UnexpectedVector(index as u8, Syndrome { esr, far }),
    )
}

/// In: `Entry`, registers saved on the overflow stack. Does not return.
///
/// # Safety
/// Called by a vector only.
pub unsafe extern "C" fn overflow<M: Machine, K: Kernel<M>>(frame: &mut Frame) -> ! {
    let (esr, far) = M::syndrome();
    K::fatal(frame, Fatal::StackOverflow(Syndrome { esr, far }))
}

/// Defines the vector tables for one kernel: `vector_table` gives the address of one, `user_resume`
/// that of where a parked thread goes on.
#[macro_export]
macro_rules! vectors {
    ($kernel:ty) => {
        $crate::vector_table!(
            "pmr",
            cpu::hw::machine::PmrCpu,
            $kernel,
            save: ["mrs x5, icc_pmr_el1 // {pmr_on} in Process"],
            restore: ["ldr x2, [sp, #{pmr}]", "msr icc_pmr_el1, x2"],
        );
        // PMR lets everything in for good; the register is not touched, so that this table serves
        // before anybody knows what GIC there is.
        $crate::vector_table!(
            "daif",
            cpu::hw::machine::DaifCpu,
            $kernel,
            save: ["mov x5, #{pmr_on}"],
            restore: [],
        );

        unsafe extern "C" {
            static petrel_vectors_pmr: u8;
            static petrel_vectors_daif: u8;
            static petrel_user_resume_pmr: u8;
            static petrel_user_resume_daif: u8;
        }

        /// Where the thread of a program goes on that was parked or never ran.
        pub(crate) fn user_resume(mechanism: cpu::mask::Mechanism) -> u64 {
            match mechanism {
                cpu::mask::Mechanism::Pmr => (&raw const petrel_user_resume_pmr) as u64,
                cpu::mask::Mechanism::Daif => (&raw const petrel_user_resume_daif) as u64,
            }
        }

        /// The vector table for a mechanism, as an address for `VBAR_EL1`.
        pub(crate) fn vector_table(mechanism: cpu::mask::Mechanism) -> u64 {
            match mechanism {
                cpu::mask::Mechanism::Pmr => (&raw const petrel_vectors_pmr) as u64,
                cpu::mask::Mechanism::Daif => (&raw const petrel_vectors_daif) as u64,
            }
        }
    };
}

/// One table and its bodies, in a section of their own.
#[doc(hidden)]
#[macro_export]
macro_rules! vector_table {
    (
        $name:literal, $machine:ty, $kernel:ty,
        save: [$($save:literal),*], restore: [$($restore:literal),*],
    ) => {
        core::arch::global_asm!(
            ".pushsection .text.vectors, \"ax\"",
            // One slot, 32 instructions of room. State: Entry. Uses x0 (kept in TPIDRRO_EL0). Where
            // nothing is expected, x1 says which slot it is.
            concat!(".macro petrel_slot_", $name, " body, index"),
            ".balign 128",
            "msr tpidrro_el0, x0",
            "sub sp, sp, #{size}",
            "mov x0, sp",
            concat!("tbnz x0, #{shift}, petrel_overflow_", $name),
            "mrs x0, tpidrro_el0",
            "stp x0, x1, [sp, #{x}]",
            "mrs x0, cntvct_el0",
            ".ifnb \\index",
            "mov x1, #\\index",
            ".endif",
            "b \\body",
            ".endm",
            // The rest of the frame. In: x0 = counter; x0 and x1 are saved. Keeps x1.
            concat!(".macro petrel_save_", $name),
            "stp x2, x3, [sp, #{x} + 16]",
            "stp x4, x5, [sp, #{x} + 32]",
            "stp x6, x7, [sp, #{x} + 48]",
            "stp x8, x9, [sp, #{x} + 64]",
            "stp x10, x11, [sp, #{x} + 80]",
            "stp x12, x13, [sp, #{x} + 96]",
            "stp x14, x15, [sp, #{x} + 112]",
            "stp x16, x17, [sp, #{x} + 128]",
            "stp x18, x19, [sp, #{x} + 144]",
            "stp x20, x21, [sp, #{x} + 160]",
            "stp x22, x23, [sp, #{x} + 176]",
            "stp x24, x25, [sp, #{x} + 192]",
            "stp x26, x27, [sp, #{x} + 208]",
            "stp x28, x29, [sp, #{x} + 224]",
            "add x2, sp, #{size}",
            "stp x30, x2, [sp, #{x} + 240]",
            "mrs x3, elr_el1",
            "mrs x4, spsr_el1",
            "stp x3, x4, [sp, #{elr}]",
            $($save,)*
            "stp x5, x0, [sp, #{pmr}]",
            "stp x29, x3, [sp, #{record}]",
            "add x29, sp, #{record}",
            "mov x0, sp",
            ".endm",
            // From EL0, in pieces. x2 to x9.
            concat!(".macro petrel_user_save_low_", $name),
            "stp x2, x3, [sp, #{x} + 16]",
            "stp x4, x5, [sp, #{x} + 32]",
            "stp x6, x7, [sp, #{x} + 48]",
            "stp x8, x9, [sp, #{x} + 64]",
            ".endm",
            // x10 to x19: with those before, all that functions may change, but for x30.
            concat!(".macro petrel_user_save_temporary_", $name),
            "stp x10, x11, [sp, #{x} + 80]",
            "stp x12, x13, [sp, #{x} + 96]",
            "stp x14, x15, [sp, #{x} + 112]",
            "stp x16, x17, [sp, #{x} + 128]",
            "stp x18, x19, [sp, #{x} + 144]",
            ".endm",
            // All else but the counter and PMR, which is in x5 at the end. A backtrace ends here.
            // Keeps x1; x0 points to the frame.
            concat!(".macro petrel_user_save_rest_", $name),
            "stp x20, x21, [sp, #{x} + 160]",
            "stp x22, x23, [sp, #{x} + 176]",
            "stp x24, x25, [sp, #{x} + 192]",
            "stp x26, x27, [sp, #{x} + 208]",
            "stp x28, x29, [sp, #{x} + 224]",
            "mrs x2, sp_el0",
            "stp x30, x2, [sp, #{x} + 240]",
            "mrs x3, elr_el1",
            "mrs x4, spsr_el1",
            "stp x3, x4, [sp, #{elr}]",
            $($save,)*
            "mov x29, xzr",
            "mov x0, sp",
            ".endm",
            // x10 and all else, with the counter. In: x0 = counter; x0 to x9 are saved.
            concat!(".macro petrel_user_save_stamped_", $name),
            concat!("petrel_user_save_temporary_", $name),
            "mov x1, x0",
            concat!("petrel_user_save_rest_", $name),
            "stp x5, x1, [sp, #{pmr}]",
            ".endm",
            // A slot for EL0. All of them read the counter after as many instructions as the others.
            // SP is the top of the thread's stack: nothing to test.
            concat!(".macro petrel_user_slot_", $name, " body"),
            ".balign 128",
            "sub sp, sp, #{size}",
            "stp x0, x1, [sp, #{x}]",
            concat!("petrel_user_save_low_", $name),
            "mrs x0, cntvct_el0",
            "b \\body",
            ".endm",
            // The slot for synchronous exceptions. ESR tells a system call (DDI 0487, D24.2.36).
            concat!(".macro petrel_user_slot_sync_", $name),
            ".balign 128",
            "sub sp, sp, #{size}",
            "stp x0, x1, [sp, #{x}]",
            "mrs x0, esr_el1",
            "lsr x0, x0, #26",
            "cmp x0, #{svc}",
            concat!("b.eq petrel_user_call_", $name),
            "mrs x0, cntvct_el0",
            concat!("b petrel_user_fault_", $name),
            ".endm",
            // The way back. State: Critical. The write of ELR and SPSR is followed by loads and eret
            // only.
            concat!("petrel_return_", $name, ":"),
            $($restore,)*
            "ldp x3, x4, [sp, #{elr}]",
            "msr elr_el1, x3",
            "msr spsr_el1, x4",
            "ldp x0, x1, [sp, #{x}]",
            "ldp x2, x3, [sp, #{x} + 16]",
            "ldp x4, x5, [sp, #{x} + 32]",
            "ldp x6, x7, [sp, #{x} + 48]",
            "ldp x8, x9, [sp, #{x} + 64]",
            "ldp x10, x11, [sp, #{x} + 80]",
            "ldp x12, x13, [sp, #{x} + 96]",
            "ldp x14, x15, [sp, #{x} + 112]",
            "ldp x16, x17, [sp, #{x} + 128]",
            "ldp x18, x19, [sp, #{x} + 144]",
            "ldp x20, x21, [sp, #{x} + 160]",
            "ldp x22, x23, [sp, #{x} + 176]",
            "ldp x24, x25, [sp, #{x} + 192]",
            "ldp x26, x27, [sp, #{x} + 208]",
            "ldp x28, x29, [sp, #{x} + 224]",
            "ldr x30, [sp, #{x} + 240]",
            "add sp, sp, #{size}",
            "eret",
            // The bodies. In: state Entry, x0 and x1 saved. Out: state Critical.
            concat!("petrel_sync_", $name, ":"),
            concat!("petrel_save_", $name),
            "bl {sync}",
            concat!("b petrel_return_", $name),
            concat!("petrel_irq_", $name, ":"),
            concat!("petrel_save_", $name),
            "bl {irq}",
            concat!("b petrel_return_", $name),
            concat!("petrel_fiq_", $name, ":"),
            concat!("petrel_save_", $name),
            "bl {fiq}",
            concat!("b petrel_return_", $name),
            concat!("petrel_serror_", $name, ":"),
            concat!("petrel_save_", $name),
            "bl {serror}",
            concat!("b petrel_return_", $name),
            concat!("petrel_unexpected_", $name, ":"),
            concat!("petrel_save_", $name),
            "bl {unexpected}",
            // SP left its stack: go on with the CPU's overflow stack. In: x0 = SP, the real x0 in
            // TPIDRRO_EL0. SP_EL0 keeps the bad SP for the report.
            concat!("petrel_overflow_", $name, ":"),
            "msr sp_el0, x0",
            "mrs x0, tpidr_el1",
            "ldr x0, [x0, #{cpu}]",
            "ldr x0, [x0, #{overflow_top}]",
            "mov sp, x0",
            "sub sp, sp, #{size}",
            "mrs x0, tpidrro_el0",
            "stp x0, x1, [sp, #{x}]",
            "mrs x0, cntvct_el0",
            concat!("petrel_save_", $name),
            "mrs x1, sp_el0",
            "add x1, x1, #{size}",
            "str x1, [sp, #{sp_field}]",
            "bl {overflow}",
            // From EL0. SP is the top of the thread's stack. In: state Entry, x0 and x1 saved.
            //
            // A system call. First what functions may change; that is enough for the quick ones, during
            // which nothing can come. Keeps all else as it is.
            concat!("petrel_user_call_", $name, ":"),
            concat!("petrel_user_save_low_", $name),
            concat!("petrel_user_save_temporary_", $name),
            "cmp x8, #{quick_calls}",
            "b.hs 2f",
            "str x30, [sp, #{x} + 240]",
            "mov x0, sp",
            "bl {quick}",
            "cbz w0, 1f",
            concat!("petrel_quick_return_", $name, ":"),
            "ldp x0, x1, [sp, #{x}]",
            "ldp x2, x3, [sp, #{x} + 16]",
            "ldp x4, x5, [sp, #{x} + 32]",
            "ldp x6, x7, [sp, #{x} + 48]",
            "ldp x8, x9, [sp, #{x} + 64]",
            "ldp x10, x11, [sp, #{x} + 80]",
            "ldp x12, x13, [sp, #{x} + 96]",
            "ldp x14, x15, [sp, #{x} + 112]",
            "ldp x16, x17, [sp, #{x} + 128]",
            "ldr x18, [sp, #{x} + 144]",
            "ldr x30, [sp, #{x} + 240]",
            "add sp, sp, #{size}",
            "eret",
            "1: ldr x30, [sp, #{x} + 240]",
            "2:",
            concat!("petrel_user_save_rest_", $name),
            "str x5, [sp, #{pmr}]",
            "bl {syscall}",
            // The way back to EL0. State: Critical. As the other, and SP_EL0, and nothing of the kernel's
            // in the scratch register.
            concat!("petrel_user_return_", $name, ":"),
            "msr tpidrro_el0, xzr",
            $($restore,)*
            "ldp x30, x2, [sp, #{x} + 240]",
            "msr sp_el0, x2",
            "ldp x3, x4, [sp, #{elr}]",
            "msr elr_el1, x3",
            "msr spsr_el1, x4",
            "ldp x0, x1, [sp, #{x}]",
            "ldp x2, x3, [sp, #{x} + 16]",
            "ldp x4, x5, [sp, #{x} + 32]",
            "ldp x6, x7, [sp, #{x} + 48]",
            "ldp x8, x9, [sp, #{x} + 64]",
            "ldp x10, x11, [sp, #{x} + 80]",
            "ldp x12, x13, [sp, #{x} + 96]",
            "ldp x14, x15, [sp, #{x} + 112]",
            "ldp x16, x17, [sp, #{x} + 128]",
            "ldp x18, x19, [sp, #{x} + 144]",
            "ldp x20, x21, [sp, #{x} + 160]",
            "ldp x22, x23, [sp, #{x} + 176]",
            "ldp x24, x25, [sp, #{x} + 192]",
            "ldp x26, x27, [sp, #{x} + 208]",
            "ldp x28, x29, [sp, #{x} + 224]",
            "add sp, sp, #{size}",
            "eret",
            // What EL0 did wrong. In: x0 = counter.
            concat!("petrel_user_fault_", $name, ":"),
            concat!("petrel_user_save_low_", $name),
            concat!("petrel_user_save_stamped_", $name),
            "bl {user_fault}",
            concat!("b petrel_user_return_", $name),
            // Interrupts. In: x0 = counter; x0 to x9 are saved.
            concat!("petrel_user_irq_", $name, ":"),
            concat!("petrel_user_save_stamped_", $name),
            "bl {user_irq}",
            concat!("b petrel_user_return_", $name),
            concat!("petrel_user_fiq_", $name, ":"),
            concat!("petrel_user_save_stamped_", $name),
            "bl {user_fiq}",
            concat!("b petrel_user_return_", $name),
            concat!("petrel_user_serror_", $name, ":"),
            concat!("petrel_user_save_stamped_", $name),
            "bl {user_serror}",
            concat!("b petrel_user_return_", $name),
            // Where a parked thread goes on. State: NoIrq, SP at its frame.
            concat!(".globl petrel_user_resume_", $name),
            concat!("petrel_user_resume_", $name, ":"),
            "mov x0, sp",
            "bl {user_resume}",
            concat!("b petrel_user_return_", $name),
            // The table (DDI 0487, D1.3.1).
            ".balign 2048",
            concat!(".globl petrel_vectors_", $name),
            concat!("petrel_vectors_", $name, ":"),
            // EL1 with SP_EL0: never used.
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 0"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 1"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 2"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 3"),
            // EL1 with SP_EL1: the kernel.
            concat!("petrel_slot_", $name, " petrel_sync_", $name),
            concat!("petrel_slot_", $name, " petrel_irq_", $name),
            concat!("petrel_slot_", $name, " petrel_fiq_", $name),
            concat!("petrel_slot_", $name, " petrel_serror_", $name),
            // EL0, AArch64: programs.
            concat!("petrel_user_slot_sync_", $name),
            concat!("petrel_user_slot_", $name, " petrel_user_irq_", $name),
            concat!("petrel_user_slot_", $name, " petrel_user_fiq_", $name),
            concat!("petrel_user_slot_", $name, " petrel_user_serror_", $name),
            // EL0, AArch32: never used.
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 12"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 13"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 14"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 15"),
            ".balign 128",
            ".popsection",
            size = const size_of::<$crate::frame::Frame>(),
            shift = const $crate::vectors::STACK_SHIFT,
            x = const core::mem::offset_of!($crate::frame::Frame, x),
            sp_field = const core::mem::offset_of!($crate::frame::Frame, sp),
            elr = const core::mem::offset_of!($crate::frame::Frame, elr),
            pmr = const core::mem::offset_of!($crate::frame::Frame, pmr),
            record = const core::mem::offset_of!($crate::frame::Frame, record),
            svc = const $crate::SYSTEM_CALL,
            quick_calls = const <$kernel as $crate::Kernel<$machine>>::QUICK,
            pmr_on = const cpu::priority::PMR_ON,
            cpu = const cpu::thread::Core::cpu_offset(),
            overflow_top = const cpu::percpu::PerCpu::overflow_offset(),
            sync = sym $crate::vectors::sync::<$machine, $kernel>,
            irq = sym $crate::vectors::irq::<$machine, $kernel>,
            fiq = sym $crate::vectors::fiq::<$machine, $kernel>,
            serror = sym $crate::vectors::serror::<$machine, $kernel>,
            quick = sym $crate::vectors::quick::<$machine, $kernel>,
            syscall = sym $crate::vectors::syscall::<$machine, $kernel>,
            user_fault = sym $crate::vectors::user_fault::<$machine, $kernel>,
            user_irq = sym $crate::vectors::user_irq::<$machine, $kernel>,
            user_fiq = sym $crate::vectors::user_fiq::<$machine, $kernel>,
            user_serror = sym $crate::vectors::user_serror::<$machine, $kernel>,
            user_resume = sym $crate::vectors::user_resume::<$machine, $kernel>,
            unexpected = sym $crate::vectors::unexpected::<$machine, $kernel>,
            overflow = sym $crate::vectors::overflow::<$machine, $kernel>,
        );
    };
}

// The assembly stores these fields in pairs.
const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Frame, sp) == offset_of!(Frame, x) + 248);
    assert!(offset_of!(Frame, spsr) == offset_of!(Frame, elr) + 8);
    assert!(offset_of!(Frame, when) == offset_of!(Frame, pmr) + 8);
    assert!(size_of::<Frame>().is_multiple_of(16));
};

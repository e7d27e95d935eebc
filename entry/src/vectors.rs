//! The vector tables: one per mechanism, chosen by `VBAR_EL1` at boot.
//!
//! Each routine states the context on entry and exit. All stacks are [`STACK_BYTES`] long and begin
//! at a multiple of twice that, with an unmapped guard below, so one address bit tells an overflow:
//! it is tested before the first store, without a look at the current thread (which would be wrong
//! in the middle of a switch). `TPIDRRO_EL0` is the one scratch register; who runs at EL0 may read it,
//! so the way out to EL0 clears it.

use crate::frame::Frame;
use crate::{Fatal, Kernel, Syndrome, error, fault, interrupt};
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

/// Defines the vector tables for one kernel: functions `vectors_pmr` and `vectors_daif` give their
/// addresses.
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
            // EL0, AArch64: nobody runs there yet.
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 8"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 9"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 10"),
            concat!("petrel_slot_", $name, " petrel_unexpected_", $name, ", 11"),
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
            pmr_on = const cpu::priority::PMR_ON,
            cpu = const cpu::thread::Core::cpu_offset(),
            overflow_top = const cpu::percpu::PerCpu::overflow_offset(),
            sync = sym $crate::vectors::sync::<$machine, $kernel>,
            irq = sym $crate::vectors::irq::<$machine, $kernel>,
            fiq = sym $crate::vectors::fiq::<$machine, $kernel>,
            serror = sym $crate::vectors::serror::<$machine, $kernel>,
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

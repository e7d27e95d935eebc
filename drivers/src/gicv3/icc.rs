//! The names of the CPU interface's system registers, and the way to them.
//!
//! Two things are wanted of this: that set-up can run on the host against a fake which refuses
//! what real firmware has been seen to refuse, and that on AArch64 each access is exactly one
//! instruction (the register's name is a constant at every call, so the match folds away).
//!
//! The accesses are our own `asm!` without `nomem`: `arm-gic`'s and `arm-sysregs`' have it, and
//! the compiler moves stores across them. Writing is unsafe, so that nobody gets a mask verb by the
//! back door: masks belong to `cpu`.

/// The system registers of the CPU interface that set-up and SGIs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the names are the architecture's: ICC_<name>_EL1, IHI 0069, 12.2"
)]
pub enum Icc {
    Sre,
    Ctlr,
    Pmr,
    Bpr0,
    Bpr1,
    Igrpen0,
    Igrpen1,
    Ap0r0,
    Ap0r1,
    Ap0r2,
    Ap0r3,
    Ap1r0,
    Ap1r1,
    Ap1r2,
    Ap1r3,
    Sgi0r,
    Sgi1r,
}

/// Access to this CPU's interface: `SystemRegisters` on AArch64, a fake in tests.
pub trait IccRegisters {
    /// Reads a register.
    fn read(&self, register: Icc) -> u64;

    /// Writes a register.
    ///
    /// # Safety
    ///
    /// The write must not open or close a mask, or drop a priority, that code elsewhere holds a
    /// proof about.
    unsafe fn write(&self, register: Icc, value: u64);

    /// Makes earlier writes effective for the next instruction (ISB).
    fn synchronize(&self);
}

/// The real system registers of the CPU that executes the access.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug)]
pub struct SystemRegisters;

#[cfg(target_arch = "aarch64")]
mod hardware {
    use super::{Icc, IccRegisters, SystemRegisters};
    use core::arch::asm;

    macro_rules! read {
        ($register:literal) => {{
            let value: u64;
            // SAFETY: reading this register changes nothing.
            unsafe {
                asm!(concat!("mrs {}, ", $register), out(reg) value, options(nostack, preserves_flags));
            }
            value
        }};
    }

    macro_rules! write {
        ($register:literal, $value:expr) => {
            // SAFETY: what the write does to masks and priorities is the caller's promise; it
            // touches no memory.
            unsafe {
                asm!(concat!("msr ", $register, ", {}"), in(reg) $value, options(nostack, preserves_flags));
            }
        };
    }

    impl IccRegisters for SystemRegisters {
        #[inline(always)]
        fn read(&self, register: Icc) -> u64 {
            match register {
                Icc::Sre => read!("ICC_SRE_EL1"),
                Icc::Ctlr => read!("ICC_CTLR_EL1"),
                Icc::Pmr => read!("ICC_PMR_EL1"),
                Icc::Bpr0 => read!("ICC_BPR0_EL1"),
                Icc::Bpr1 => read!("ICC_BPR1_EL1"),
                Icc::Igrpen0 => read!("ICC_IGRPEN0_EL1"),
                Icc::Igrpen1 => read!("ICC_IGRPEN1_EL1"),
                Icc::Ap0r0 => read!("ICC_AP0R0_EL1"),
                Icc::Ap0r1 => read!("ICC_AP0R1_EL1"),
                Icc::Ap0r2 => read!("ICC_AP0R2_EL1"),
                Icc::Ap0r3 => read!("ICC_AP0R3_EL1"),
                Icc::Ap1r0 => read!("ICC_AP1R0_EL1"),
                Icc::Ap1r1 => read!("ICC_AP1R1_EL1"),
                Icc::Ap1r2 => read!("ICC_AP1R2_EL1"),
                Icc::Ap1r3 => read!("ICC_AP1R3_EL1"),
                // Write-only: there is nothing to read.
                Icc::Sgi0r | Icc::Sgi1r => 0,
            }
        }

        #[inline(always)]
        unsafe fn write(&self, register: Icc, value: u64) {
            match register {
                Icc::Sre => write!("ICC_SRE_EL1", value),
                Icc::Ctlr => write!("ICC_CTLR_EL1", value),
                Icc::Pmr => write!("ICC_PMR_EL1", value),
                Icc::Bpr0 => write!("ICC_BPR0_EL1", value),
                Icc::Bpr1 => write!("ICC_BPR1_EL1", value),
                Icc::Igrpen0 => write!("ICC_IGRPEN0_EL1", value),
                Icc::Igrpen1 => write!("ICC_IGRPEN1_EL1", value),
                Icc::Ap0r0 => write!("ICC_AP0R0_EL1", value),
                Icc::Ap0r1 => write!("ICC_AP0R1_EL1", value),
                Icc::Ap0r2 => write!("ICC_AP0R2_EL1", value),
                Icc::Ap0r3 => write!("ICC_AP0R3_EL1", value),
                Icc::Ap1r0 => write!("ICC_AP1R0_EL1", value),
                Icc::Ap1r1 => write!("ICC_AP1R1_EL1", value),
                Icc::Ap1r2 => write!("ICC_AP1R2_EL1", value),
                Icc::Ap1r3 => write!("ICC_AP1R3_EL1", value),
                Icc::Sgi0r => write!("ICC_SGI0R_EL1", value),
                Icc::Sgi1r => write!("ICC_SGI1R_EL1", value),
            }
        }

        #[inline(always)]
        fn synchronize(&self) {
            // SAFETY: a barrier changes no state.
            unsafe { asm!("isb", options(nostack, preserves_flags)) };
        }
    }
}

//! Plain reads and writes of system registers, by name.
//!
//! For registers that mask nothing; mask registers are written in `slots` and `machine` only. Where
//! nothing depends on the place of the access, crate `aarch64-cpu` does it: its accessors are `nomem`,
//! so the compiler may move memory accesses across them.

use aarch64_cpu::registers::{MPIDR_EL1, Readable};

/// Reads a system register.
#[macro_export]
macro_rules! read_sysreg {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a register that exists at EL1 changes nothing.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value,
                options(nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register and makes the write take effect (`isb`).
///
/// The caller says in a `SAFETY` comment why the new value is right: it can change anything.
#[macro_export]
macro_rules! write_sysreg {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value,
            options(nostack, preserves_flags));
    }};
}

/// The affinity of this CPU: the fields of `MPIDR_EL1` that the device tree and PSCI name a CPU by.
pub fn affinity() -> u64 {
    MPIDR_EL1.get() & 0xff_00ff_ffff
}

/// The virtual counter, in ticks, read after everything before it (DDI 0487, D12.2.1).
#[inline(always)]
pub fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reading the counter changes nothing; `isb` keeps the read in its place.
    unsafe {
        core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks,
            options(nostack, preserves_flags));
    }
    ticks
}

/// The virtual counter without a barrier: for trace records, where order is known anyway.
#[inline(always)]
pub fn counter_loose() -> u64 {
    let ticks: u64;
    // SAFETY: reading the counter changes nothing.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks,
            options(nostack, preserves_flags));
    }
    ticks
}

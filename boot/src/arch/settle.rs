//! The last step of each CPU's set-up: where the two halves of the address space end for each other.
//!
//! The kernel does not reach into the lower half by accident (PAN, where there is one), and what is
//! writable is never executable. EL0 may do for itself what harms nobody and would only cost an
//! exception: read the virtual counter, zero memory by cache lines, ask how long those are, wait for
//! an event or an interrupt. Timers, performance and activity counters, the debugger's channel,
//! interrupt masks and cache maintenance are closed to it; what a CPU has and this kernel does not
//! know of was closed at reset ([`head`](super) writes all of `SCTLR_EL1`).

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTKCTL_EL1, ID_AA64DFR0_EL1, ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1,
    ReadWriteable, Readable, SCTLR_EL1, TCR_EL1, TTBR0_EL1, Writeable,
};
use core::arch::asm;

/// `SCTLR_EL1` (DDI 0487, D24.2.176). SP is checked at EL0 as well.
const SA0: u64 = 1 << 4;
/// EL0 may use `DC ZVA`.
const DZE: u64 = 1 << 14;
/// EL0 may read `CTR_EL0`.
const UCT: u64 = 1 << 15;
/// `WFI` and `WFE` at EL0 wait: the next interrupt ends it.
const NO_TRAP_OF_WFI: u64 = 1 << 16;
const NO_TRAP_OF_WFE: u64 = 1 << 18;
/// Writable is never executable.
const WXN: u64 = 1 << 19;
/// An exception leaves `PSTATE.PAN` as it is.
const SPAN: u64 = 1 << 23;
/// EL0 does not get at registers of the implementation, if there is such a switch (FEAT_TIDCP1).
const TIDCP: u64 = 1 << 63;

/// `TCR_EL1`: what EL0 tries in the upper half faults without a look at the tables, so that how long it
/// takes tells nothing about them (FEAT_E0PD).
const E0PD1: u64 = 1 << 56;

/// `MDSCR_EL1`: the debugger's channel is not EL0's.
const TDCC: u64 = 1 << 12;

/// How many bits of an ASID count (`ID_AA64MMFR0_EL1.ASIDBits`).
pub fn asid_bits() -> u32 {
    match ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::ASIDBits) {
        0b0010 => 16,
        _ => 8,
    }
}

/// Whether the kernel's own loads and stores cannot reach memory that EL0 can (FEAT_PAN).
pub fn has_pan() -> bool {
    ID_AA64MMFR1_EL1.read(ID_AA64MMFR1_EL1::PAN) != 0
}

/// Settles this CPU: from here on the lower half is translated by the table at physical address
/// `ttbr0`, and the rules above hold.
///
/// # Safety
/// The CPU runs in the high half, in `Critical`, the kernel's text is sealed, and the table is empty
/// and stays.
pub unsafe fn settle(ttbr0: u64) {
    TTBR0_EL1.set(ttbr0);
    if asid_bits() == 8 {
        TCR_EL1.modify(TCR_EL1::AS::ASID8Bits);
    }
    if ID_AA64MMFR2_EL1.read(ID_AA64MMFR2_EL1::E0PD) != 0 {
        TCR_EL1.set(TCR_EL1.get() | E0PD1);
    }
    let mut sctlr = SCTLR_EL1.get() | SA0 | DZE | UCT | NO_TRAP_OF_WFI | NO_TRAP_OF_WFE | WXN;
    if has_pan() {
        sctlr &= !SPAN;
    }
    if ID_AA64MMFR1_EL1.get() >> 52 & 0xf != 0 {
        sctlr |= TIDCP;
    }
    SCTLR_EL1.set(sctlr);
    close_counters();
    barrier::isb(barrier::SY);
    // SAFETY: nothing uses the lower half from here on, and no mapping is both writable and executable
    // once the text is sealed.
    unsafe { asm!("tlbi vmalle1", "dsb nsh", "isb", options(nostack)) };
    if has_pan() {
        // `msr pan, #1`, which the assembler does not know for this target.
        // SAFETY: the kernel uses the lower half by unprivileged loads and stores only.
        unsafe { asm!(".inst 0xd500419f", options(nostack)) };
    }
}

/// Of all counters EL0 gets the virtual one, to read.
fn close_counters() {
    CNTKCTL_EL1.write(CNTKCTL_EL1::EL0VCTEN::SET);
    // SAFETY: a register that every CPU has; nothing of the debugger's is switched on.
    unsafe { asm!("msr mdscr_el1, {}", in(reg) TDCC, options(nostack)) };
    let pmu = ID_AA64DFR0_EL1.get() >> 8 & 0xf;
    if pmu != 0 && pmu != 0xf {
        // SAFETY: the CPU has performance counters; from now on they are not EL0's.
        unsafe { asm!("msr pmuserenr_el0, xzr", options(nostack)) };
    }
    let pfr0: u64;
    // SAFETY: reading it changes nothing.
    unsafe { asm!("mrs {}, id_aa64pfr0_el1", out(reg) pfr0, options(nostack, nomem)) };
    if pfr0 >> 44 & 0xf != 0 {
        // `amuserenr_el0`.
        // SAFETY: the CPU has activity monitors; from now on they are not EL0's.
        unsafe { asm!("msr s3_3_c13_c2_3, xzr", options(nostack)) };
    }
}

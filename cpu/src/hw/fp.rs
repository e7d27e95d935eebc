//! The FP/SIMD registers of programs, and `TPIDR_EL0`: what a switch between programs moves beside the
//! registers in the frame.
//!
//! The kernel is compiled without these registers, so they are the running program's from one switch to
//! the next: they are moved there, eagerly, and nowhere else. Only the functions here touch them;
//! the binary checker holds that. A program that says it needs none has them trapped.

use crate::plant::{Plant, planted};
use core::arch::{asm, naked_asm};

/// V0 to V31, FPCR and FPSR.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FpState {
    /// V0 to V31.
    pub v: [u128; 32],
    /// Rounding, traps, flush to zero.
    pub fpcr: u64,
    /// Cumulative flags.
    pub fpsr: u64,
}

impl FpState {
    /// All zero, which is round to nearest without traps.
    pub const ZERO: Self = Self {
        v: [0; 32],
        fpcr: 0,
        fpsr: 0,
    };

    /// What a program begins with: [`FpState::ZERO`].
    pub fn initial() -> Self {
        let mut state = Self::ZERO;
        if planted(Plant::FpLeaked) {
            save(&mut state);
        }
        state
    }
}

/// Who may use FP/SIMD registers (`CPACR_EL1.FPEN`, DDI 0487, D24.2.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Permit {
    /// The kernel's switch; an access of a program is a fault of class 0x07.
    Kernel = 0b01 << 20,
    /// The running program, too.
    Program = 0b11 << 20,
}

/// Says who may. Takes effect for EL0 at the next `eret` to it, at EL1 at once. `NoIrq`.
#[inline(always)]
pub fn permit(who: Permit) {
    let value = who as u64;
    // SAFETY: the kernel itself may use them in both cases, and does so here only.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) value, options(nostack, preserves_flags)) };
}

/// Stores the registers as they are. `NoIrq`, or wherever the thread cannot be switched out;
/// [`permit`] was called on this CPU.
#[inline(always)]
pub fn save(state: &mut FpState) {
    // SAFETY: stores into what the caller gave.
    unsafe { petrel_fp_save(state) };
    if planted(Plant::FpRegisterLost) {
        state.v[31] = 0;
    }
}

/// Loads the registers. As for [`save`].
#[inline(always)]
pub fn restore(state: &FpState) {
    // SAFETY: the registers are the running program's, whose switch this is.
    unsafe { petrel_fp_restore(state) };
}

/// The running program's `TPIDR_EL0`.
#[inline(always)]
pub fn tpidr() -> u64 {
    crate::read_sysreg!("tpidr_el0")
}

/// Sets `TPIDR_EL0`, which the kernel does not use.
#[inline(always)]
pub fn set_tpidr(value: u64) {
    // SAFETY: only programs read it.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
}

#[unsafe(naked)]
unsafe extern "C" fn petrel_fp_save(state: &mut FpState) {
    naked_asm!(
        ".arch_extension fp",
        "stp q0, q1, [x0]",
        "stp q2, q3, [x0, #32]",
        "stp q4, q5, [x0, #64]",
        "stp q6, q7, [x0, #96]",
        "stp q8, q9, [x0, #128]",
        "stp q10, q11, [x0, #160]",
        "stp q12, q13, [x0, #192]",
        "stp q14, q15, [x0, #224]",
        "stp q16, q17, [x0, #256]",
        "stp q18, q19, [x0, #288]",
        "stp q20, q21, [x0, #320]",
        "stp q22, q23, [x0, #352]",
        "stp q24, q25, [x0, #384]",
        "stp q26, q27, [x0, #416]",
        "stp q28, q29, [x0, #448]",
        "stp q30, q31, [x0, #480]",
        "mrs x1, fpcr",
        "mrs x2, fpsr",
        "add x0, x0, #512",
        "stp x1, x2, [x0]",
        ".arch_extension nofp",
        "ret",
    )
}

#[unsafe(naked)]
unsafe extern "C" fn petrel_fp_restore(state: &FpState) {
    naked_asm!(
        ".arch_extension fp",
        "ldp q0, q1, [x0]",
        "ldp q2, q3, [x0, #32]",
        "ldp q4, q5, [x0, #64]",
        "ldp q6, q7, [x0, #96]",
        "ldp q8, q9, [x0, #128]",
        "ldp q10, q11, [x0, #160]",
        "ldp q12, q13, [x0, #192]",
        "ldp q14, q15, [x0, #224]",
        "ldp q16, q17, [x0, #256]",
        "ldp q18, q19, [x0, #288]",
        "ldp q20, q21, [x0, #320]",
        "ldp q22, q23, [x0, #352]",
        "ldp q24, q25, [x0, #384]",
        "ldp q26, q27, [x0, #416]",
        "ldp q28, q29, [x0, #448]",
        "ldp q30, q31, [x0, #480]",
        "add x0, x0, #512",
        "ldp x1, x2, [x0]",
        "msr fpcr, x1",
        "msr fpsr, x2",
        ".arch_extension nofp",
        "ret",
    )
}

const _: () = assert!(core::mem::offset_of!(FpState, fpcr) == 512);

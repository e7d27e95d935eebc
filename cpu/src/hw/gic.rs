//! The GIC's CPU interface: the registers of the hot path (IHI 0069 H, 12.2).
//!
//! Barriers are kept by rule, since QEMU cannot show their absence: `dsb sy` after an acknowledge, so
//! that what the handler writes to a device comes after it; `isb` after a priority drop and a
//! deactivation, so that they took place before the next instruction. SGIs and set-up are the
//! driver's.

use crate::machine::Group;

/// Acknowledges: `ICC_IAR0_EL1` or `ICC_IAR1_EL1`.
#[inline(always)]
pub fn acknowledge(group: Group) -> u32 {
    let intid: u64;
    // SAFETY: the acknowledge makes an interrupt active; the caller drops and deactivates it.
    unsafe {
        match group {
            Group::Zero => core::arch::asm!("mrs {}, icc_iar0_el1", "dsb sy", out(reg) intid,
                options(nostack, preserves_flags)),
            Group::One => core::arch::asm!("mrs {}, icc_iar1_el1", "dsb sy", out(reg) intid,
                options(nostack, preserves_flags)),
        }
    }
    intid as u32
}

/// Drops the running priority: `ICC_EOIR0_EL1` or `ICC_EOIR1_EL1`, with EOImode 1.
#[inline(always)]
pub fn drop_priority(group: Group, intid: u32) {
    let intid = u64::from(intid);
    // SAFETY: ends the priority of the interrupt that the caller acknowledged last.
    unsafe {
        match group {
            Group::Zero => core::arch::asm!("msr icc_eoir0_el1, {}", "isb", in(reg) intid,
                options(nostack, preserves_flags)),
            Group::One => core::arch::asm!("msr icc_eoir1_el1, {}", "isb", in(reg) intid,
                options(nostack, preserves_flags)),
        }
    }
}

/// Deactivates: `ICC_DIR_EL1`.
#[inline(always)]
pub fn deactivate(intid: u32) {
    let intid = u64::from(intid);
    // SAFETY: lets the interrupt that the caller handled become pending again.
    unsafe {
        core::arch::asm!("msr icc_dir_el1, {}", "isb", in(reg) intid,
            options(nostack, preserves_flags));
    }
}

/// The running priority: the low 8 bits of `ICC_RPR_EL1`.
#[inline(always)]
pub fn running_priority() -> u8 {
    crate::read_sysreg!("icc_rpr_el1") as u8
}

/// The most urgent interrupt of `group` that is pending for this CPU, PMR or not: `ICC_HPPIR0_EL1` or
/// `ICC_HPPIR1_EL1`. Ask [`is_interrupt`] whether there is one. Changes nothing.
#[inline(always)]
pub fn highest_pending(group: Group) -> u32 {
    match group {
        Group::Zero => crate::read_sysreg!("icc_hppir0_el1") as u32,
        Group::One => crate::read_sysreg!("icc_hppir1_el1") as u32,
    }
}

/// Whether `intid` names an interrupt: 1020 to 1023 say that there is none (IHI 0069 H, 2.2.1).
#[inline(always)]
pub const fn is_interrupt(intid: u32) -> bool {
    !matches!(intid, 1020..=1023)
}

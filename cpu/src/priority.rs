//! The one set of interrupt priorities, right in every security view of the GIC.
//!
//! An interrupt is signalled to the CPU when its priority is numerically *below* `ICC_PMR_EL1`.
//! Where the GIC has two security states and firmware keeps Group 0 for itself, what the
//! distributor stores as priority `p` acts as `(p >> 1) | 0x80` towards a non-secure CPU
//! interface, while PMR and RPR are not shifted (IHI 0069 H, 4.8.6). The four numbers below keep
//! their order in both views: `NMI < PMR_OFF <= ordinary < PMR_ON`. The boot self-test proves it on
//! each CPU; nothing compares for equality with what was programmed.

/// Priority of an ordinary interrupt, as written to the distributor and redistributors.
pub const ORDINARY: u8 = 0xc0;
/// Priority of a pseudo-NMI, as written to the distributor and redistributors.
pub const NMI: u8 = 0x20;
/// `ICC_PMR_EL1` with ordinary interrupts let in.
pub const PMR_ON: u8 = 0xf0;
/// `ICC_PMR_EL1` with ordinary interrupts held and NMIs let in.
pub const PMR_OFF: u8 = 0xb0;
/// `ICC_RPR_EL1` when no interrupt is active on this CPU.
pub const IDLE: u8 = 0xff;

/// What the non-secure view makes of a priority stored in the distributor when
/// `GICD_CTLR.DS` = 0 (IHI 0069 H, 4.8.6).
pub const fn non_secure_view(stored: u8) -> u8 {
    (stored >> 1) | 0x80
}

// The order that everything stands on, in both views.
const _: () = {
    assert!(NMI < PMR_OFF && PMR_OFF <= ORDINARY && ORDINARY < PMR_ON);
    assert!(non_secure_view(NMI) < PMR_OFF);
    assert!(PMR_OFF <= non_secure_view(ORDINARY) && non_secure_view(ORDINARY) < PMR_ON);
};

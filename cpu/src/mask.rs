//! What masks interrupts, as one number: DAIF and PMR together.
//!
//! Every check in Petrel compares the hardware with a context. Folding both registers into one
//! 12-bit number makes that a single compare, and lets a `match` over constants tell which context
//! was interrupted.

use crate::priority::{PMR_OFF, PMR_ON};
use core::fmt;

/// Bits of `DAIF` (and of an SPSR), as the hardware places them (DDI 0487, C5.2.3).
pub mod daif {
    /// Debug exceptions masked.
    pub const D: u32 = 1 << 9;
    /// SError masked.
    pub const A: u32 = 1 << 8;
    /// IRQ masked.
    pub const I: u32 = 1 << 7;
    /// FIQ masked.
    pub const F: u32 = 1 << 6;
    /// Everything masked.
    pub const ALL: u32 = D | A | I | F;
}

/// How ordinary interrupts are masked, chosen at boot (`mask=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// By `DAIF.I` and `DAIF.F`. There are no NMIs.
    Daif,
    /// By priority: `ICC_PMR_EL1`. What is more urgent than the mask is a pseudo-NMI.
    Pmr,
}

impl Mechanism {
    /// The name as in the boot argument.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daif => "daif",
            Self::Pmr => "pmr",
        }
    }
}

/// DAIF and PMR as one number: DAIF bits 9:6 at 11:8, PMR at 7:0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MaskState(u32);

impl MaskState {
    /// From the bits of `DAIF` or of an SPSR (others are ignored) and a value of `ICC_PMR_EL1`.
    #[inline(always)]
    pub const fn new(daif: u32, pmr: u8) -> Self {
        Self((daif & daif::ALL) << 2 | pmr as u32)
    }

    /// From the two registers themselves. What is reserved in them reads as zero; if one day it does
    /// not, no context is equal to it, and the checks stop rather than look away.
    #[inline(always)]
    pub const fn from_registers(daif: u64, pmr: u64) -> Self {
        Self((daif << 2 | pmr) as u32)
    }

    /// The bits as in `DAIF`.
    #[inline(always)]
    pub const fn daif(self) -> u32 {
        self.0 >> 2 & daif::ALL
    }

    /// The value of `ICC_PMR_EL1`.
    #[inline(always)]
    pub const fn pmr(self) -> u8 {
        self.0 as u8
    }

    /// The number itself.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for MaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |bit, name| if self.daif() & bit != 0 { name } else { '-' };
        write!(
            f,
            "DAIF {}{}{}{} PMR {:#04x}",
            bit(daif::D, 'D'),
            bit(daif::A, 'A'),
            bit(daif::I, 'I'),
            bit(daif::F, 'F'),
            self.pmr()
        )
    }
}

impl fmt::Debug for MaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What may still interrupt the CPU (`docs/src/architecture.md`, "Words").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Everything may: threads.
    Process,
    /// NMI, SError and debug may: critical sections, the scheduler, ordinary handlers.
    NoIrq,
    /// SError and debug may: NMI handlers.
    NoNmi,
    /// Debug may: SError handlers.
    Error,
    /// Nothing may: vector entry and return.
    Critical,
    /// As `NoNmi`, but PMR lets ordinary interrupts wake a WFI. Passing, in the idle loop only.
    Idle,
}

impl Context {
    /// All contexts, the most open first.
    pub const ALL: [Self; 6] = [
        Self::Process,
        Self::NoIrq,
        Self::NoNmi,
        Self::Error,
        Self::Critical,
        Self::Idle,
    ];

    /// How `mechanism` expresses this context in the hardware.
    #[inline(always)]
    pub const fn state(self, mechanism: Mechanism) -> MaskState {
        use daif::{A, ALL, F, I};
        match mechanism {
            Mechanism::Pmr => match self {
                Self::Process => MaskState::new(0, PMR_ON),
                Self::NoIrq => MaskState::new(0, PMR_OFF),
                Self::NoNmi => MaskState::new(I | F, PMR_OFF),
                Self::Error => MaskState::new(A | I | F, PMR_OFF),
                Self::Critical => MaskState::new(ALL, PMR_OFF),
                Self::Idle => MaskState::new(I | F, PMR_ON),
            },
            Mechanism::Daif => match self {
                Self::Process => MaskState::new(0, PMR_ON),
                Self::NoIrq | Self::NoNmi | Self::Idle => MaskState::new(I | F, PMR_ON),
                Self::Error => MaskState::new(A | I | F, PMR_ON),
                Self::Critical => MaskState::new(ALL, PMR_ON),
            },
        }
    }

    /// The context that `state` is, exactly; the least masked one where a mechanism has one
    /// expression for several; `None` where it is none.
    ///
    /// Everything masked is `Critical` at either PMR: that is how a vector finds the CPU.
    #[inline(always)]
    pub const fn of(mechanism: Mechanism, state: MaskState) -> Option<Self> {
        let mut at = 0;
        while at < Self::ALL.len() {
            if state.0 == Self::ALL[at].state(mechanism).0 {
                return Some(Self::ALL[at]);
            }
            at += 1;
        }
        if state.daif() == daif::ALL {
            return Some(Self::Critical);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_come_back() {
        let state = MaskState::new(daif::A | daif::F, 0xb0);
        assert_eq!(state.daif(), daif::A | daif::F);
        assert_eq!(state.pmr(), 0xb0);
        assert_eq!(state.to_string(), "DAIF -A-F PMR 0xb0");
    }

    #[test]
    fn contexts_come_back_under_pmr() {
        for context in Context::ALL {
            let state = context.state(Mechanism::Pmr);
            assert_eq!(Context::of(Mechanism::Pmr, state), Some(context));
        }
    }

    #[test]
    fn under_daif_the_least_masked_answers() {
        for (context, answer) in [
            (Context::Process, Context::Process),
            (Context::NoIrq, Context::NoIrq),
            (Context::NoNmi, Context::NoIrq),
            (Context::Idle, Context::NoIrq),
            (Context::Error, Context::Error),
            (Context::Critical, Context::Critical),
        ] {
            let state = context.state(Mechanism::Daif);
            assert_eq!(Context::of(Mechanism::Daif, state), Some(answer));
        }
    }

    #[test]
    fn a_state_that_is_no_context_is_refused() {
        let half = MaskState::new(daif::I, PMR_ON);
        assert_eq!(Context::of(Mechanism::Pmr, half), None);
        assert_eq!(Context::of(Mechanism::Daif, half), None);
        let between = MaskState::new(0, 0xa0);
        assert_eq!(Context::of(Mechanism::Pmr, between), None);
    }
}

//! The words of the interrupt controller: what an interrupt is called and how it is classed.
//!
//! INTIDs 1020 to 1023 are not interrupts. The acknowledge register returns them to say that there
//! is nothing to handle, and writing one to an end-of-interrupt register is unpredictable
//! (IHI 0069, 2.2.1). So they are no [`IntId`]: [`Ack::from_iar`] is the one place where a raw
//! value becomes an interrupt, and a special one takes the other arm of the match.

use core::fmt;
use cpu::priority;

/// The identity of an interrupt that can be active, and therefore must be ended: any INTID except
/// the special ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntId(u32);

/// What sort of line an [`IntId`] names (IHI 0069, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Software-generated, private to a CPU: INTID 0 to 15.
    Sgi,
    /// Private peripheral interrupt of a CPU: INTID 16 to 31.
    Ppi,
    /// Shared peripheral interrupt, routed to a CPU: INTID 32 to 1019.
    Spi,
    /// Extended or message-based (1024 and up). This driver enables none; if firmware left one on
    /// and it is acknowledged, it is counted and ended like any other.
    Other,
}

const PPI_START: u32 = 16;
pub(super) const SPI_START: u32 = 32;
const SPECIAL_START: u32 = 1020;
const SPECIAL_END: u32 = 1024;
/// The acknowledge registers hold the INTID in 24 bits (IHI 0069, ICC_IAR1_EL1).
const INTID_BITS: u32 = 0x00ff_ffff;

impl IntId {
    /// Software-generated interrupt `number`, 0 to 15.
    pub const fn sgi(number: u32) -> Option<Self> {
        if number < PPI_START {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Private peripheral interrupt `number`, 0 to 15: the number in a device tree, INTID − 16.
    pub const fn ppi(number: u32) -> Option<Self> {
        if number < SPI_START - PPI_START {
            Some(Self(PPI_START + number))
        } else {
            None
        }
    }

    /// Shared peripheral interrupt `number`, 0 to 987: the number in a device tree, INTID − 32.
    /// How many of them exist is for the distributor to say.
    pub const fn spi(number: u32) -> Option<Self> {
        if number < SPECIAL_START - SPI_START {
            Some(Self(SPI_START + number))
        } else {
            None
        }
    }

    /// The interrupt with this INTID; `None` if it is special (1020 to 1023) or wider than 24 bits.
    pub const fn from_raw(intid: u32) -> Option<Self> {
        match intid {
            SPECIAL_START..SPECIAL_END => None,
            0..=INTID_BITS => Some(Self(intid)),
            _ => None,
        }
    }

    /// The INTID, as the end-of-interrupt and deactivate registers take it.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// What sort of line it is.
    pub const fn kind(self) -> Kind {
        match self.0 {
            0..PPI_START => Kind::Sgi,
            PPI_START..SPI_START => Kind::Ppi,
            SPI_START..SPECIAL_START => Kind::Spi,
            _ => Kind::Other,
        }
    }

    /// The same interrupt as `arm-gic` calls it; `None` for a reserved number.
    pub(super) fn for_arm_gic(self) -> Option<arm_gic::IntId> {
        arm_gic::IntId::try_from(self.0).ok()
    }
}

impl fmt::Display for IntId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Sgi => write!(f, "SGI {}", self.0),
            Kind::Ppi => write!(f, "PPI {}", self.0 - PPI_START),
            Kind::Spi => write!(f, "SPI {}", self.0 - SPI_START),
            Kind::Other => write!(f, "INTID {}", self.0),
        }
    }
}

impl fmt::Debug for IntId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an acknowledge returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// This interrupt is now active: it must be dropped and deactivated, once each.
    Interrupt(IntId),
    /// Nothing was acknowledged; the number (1020 to 1023) says why. To be counted, never ended.
    Special(u32),
}

impl Ack {
    /// Decodes what ICC_IAR0_EL1, ICC_IAR1_EL1 or ICC_NMIAR1_EL1 returned (IHI 0069, ICC_IAR1_EL1); the
    /// bits above the INTID are ignored. Usable in any context.
    #[inline]
    pub const fn from_iar(iar: u64) -> Self {
        let intid = iar as u32 & INTID_BITS;
        match IntId::from_raw(intid) {
            Some(interrupt) => Self::Interrupt(interrupt),
            None => Self::Special(intid),
        }
    }
}

/// Whether an interrupt respects the ordinary interrupt mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Held while the priority mask is at `PMR_OFF`.
    Ordinary,
    /// Let in there: a pseudo-NMI.
    Nmi,
}

impl Class {
    /// The priority to program for the class, in the distributor's view of it.
    pub const fn priority(self) -> u8 {
        match self {
            Self::Ordinary => priority::ORDINARY,
            Self::Nmi => priority::NMI,
        }
    }
}

/// The interrupt group, which decides how an interrupt is signalled to EL1 (IHI 0069, 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Signalled as FIQ, acknowledged by IAR0. Ours only where `GICD_CTLR.DS` is 1.
    Zero,
    /// Signalled as IRQ, acknowledged by IAR1.
    One,
}

/// Which group each class of interrupt is in: the boot arguments `mask=` and `ordinary=` in the
/// controller's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The group of ordinary interrupts; also that of every line nobody configured.
    pub ordinary: Group,
    /// The group of NMIs.
    pub nmi: Group,
}

impl Groups {
    /// Everything is an IRQ: the default, and the only choice where `GICD_CTLR.DS` is 0.
    pub const ALL_IRQ: Self = Self {
        ordinary: Group::One,
        nmi: Group::One,
    };
    /// `ordinary=g0`: ordinary interrupts by the FIQ vector, NMIs by the IRQ vector.
    pub const ORDINARY_FIQ: Self = Self {
        ordinary: Group::Zero,
        nmi: Group::One,
    };
    /// `mask=fiq`: NMIs by the FIQ vector, ordinary interrupts by the IRQ vector.
    pub const NMI_FIQ: Self = Self {
        ordinary: Group::One,
        nmi: Group::Zero,
    };

    /// The group of interrupts of `class`.
    pub const fn of(self, class: Class) -> Group {
        match class {
            Class::Ordinary => self.ordinary,
            Class::Nmi => self.nmi,
        }
    }

    /// Whether any interrupt is in Group 0.
    pub const fn use_group0(self) -> bool {
        matches!(self.ordinary, Group::Zero) || matches!(self.nmi, Group::Zero)
    }
}

/// When a line makes its interrupt pending. SGIs are always edge-triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// For as long as the device asserts the line.
    Level,
    /// When the line rises.
    Edge,
}

/// How many security states the distributor shows (`GICD_CTLR.DS`, IHI 0069, GICD_CTLR): it decides
/// whether Group 0 is ours and how priorities are seen (see [`cpu::priority`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// DS = 1: both groups are ours, priorities mean what they say.
    OneState,
    /// DS = 0: Group 0 belongs to firmware, and what we store as a priority is shifted.
    TwoStates,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_intids_are_not_interrupts() {
        for special in 1020..=1023 {
            assert_eq!(IntId::from_raw(special), None);
            assert_eq!(Ack::from_iar(special.into()), Ack::Special(special));
        }
        for around in [0, 15, 16, 31, 32, 1019, 1024, 8192, 0xff_ffff] {
            let interrupt = IntId::from_raw(around).unwrap();
            assert_eq!(Ack::from_iar(around.into()), Ack::Interrupt(interrupt));
        }
        assert_eq!(IntId::from_raw(0x100_0000), None);
    }

    #[test]
    fn an_acknowledge_is_its_low_24_bits() {
        let sgi = IntId::sgi(3).unwrap();
        assert_eq!(Ack::from_iar(0xffff_ffff_ff00_0003), Ack::Interrupt(sgi));
        assert_eq!(Ack::from_iar(0xffff_ffff_ff00_03ff), Ack::Special(1023));
    }

    #[test]
    fn every_number_below_the_special_ones_has_one_constructor() {
        let sgis = (0..16).map(|n| IntId::sgi(n).unwrap());
        let ppis = (0..16).map(|n| IntId::ppi(n).unwrap());
        let spis = (0..988).map(|n| IntId::spi(n).unwrap());
        let all = sgis.chain(ppis).chain(spis).map(IntId::raw);
        assert!(all.eq(0..1020));
        assert_eq!(
            (IntId::sgi(16), IntId::ppi(16), IntId::spi(988)),
            (None, None, None)
        );
    }

    #[test]
    fn kinds_and_names() {
        let named = [
            (15, Kind::Sgi, "SGI 15"),
            (27, Kind::Ppi, "PPI 11"),
            (33, Kind::Spi, "SPI 1"),
        ];
        for (intid, kind, name) in named {
            let interrupt = IntId::from_raw(intid).unwrap();
            assert_eq!(
                (interrupt.kind(), interrupt.to_string().as_str()),
                (kind, name)
            );
        }
        assert_eq!(IntId::from_raw(8192).unwrap().kind(), Kind::Other);
    }

    #[test]
    fn classes_have_the_priorities_of_the_house() {
        assert_eq!(Class::Nmi.priority(), 0x20);
        assert_eq!(Class::Ordinary.priority(), 0xc0);
    }

    #[test]
    fn group_plans() {
        assert!(!Groups::ALL_IRQ.use_group0());
        assert_eq!(Groups::ORDINARY_FIQ.of(Class::Ordinary), Group::Zero);
        assert_eq!(Groups::ORDINARY_FIQ.of(Class::Nmi), Group::One);
        assert_eq!(Groups::NMI_FIQ.of(Class::Nmi), Group::Zero);
        assert!(Groups::ORDINARY_FIQ.use_group0() && Groups::NMI_FIQ.use_group0());
    }
}

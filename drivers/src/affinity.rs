//! Which CPU: the affinity fields of MPIDR_EL1, the one name that hardware and firmware share.
//!
//! The device tree (`cpu@101`), PSCI, the redistributors, `GICD_IROUTER` and the SGI registers all
//! name a CPU by the same four bytes, but each packs them differently, and MPIDR_EL1 itself has
//! flag bits between them. [`Affinity`] keeps the four bytes and nothing else, so that two names of
//! one CPU are equal and a flag bit can never reach a router register.

use core::fmt;

/// The affinity of one CPU: Aff3..Aff0 at the positions that MPIDR_EL1 gives them
/// (DDI 0487, MPIDR_EL1), all other bits zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Affinity(u64);

/// The bits of MPIDR_EL1 that are affinity: Aff3 in 39:32, Aff2..Aff0 in 23:0.
const AFFINITY_BITS: u64 = 0xff_00ff_ffff;

impl Affinity {
    /// The affinity in a value of MPIDR_EL1, or in the `reg` of a device tree's CPU node. Bits
    /// that are not affinity (U, MT, RES1) are dropped.
    pub const fn from_mpidr(mpidr: u64) -> Self {
        Self(mpidr & AFFINITY_BITS)
    }

    /// The four levels in MPIDR_EL1's layout: what PSCI and `GICD_IROUTER` take.
    pub const fn mpidr(self) -> u64 {
        self.0
    }

    /// Affinity level 0: the CPU within its cluster.
    pub const fn aff0(self) -> u8 {
        self.0 as u8
    }

    /// Affinity level 1: the cluster.
    pub const fn aff1(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Affinity level 2.
    pub const fn aff2(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Affinity level 3.
    pub const fn aff3(self) -> u8 {
        (self.0 >> 32) as u8
    }
}

impl fmt::Display for Affinity {
    /// As the device tree and QEMU name a CPU: `CPU 0x101`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {:#x}", self.0)
    }
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_mpidr_do_not_make_another_cpu() {
        let from_register = Affinity::from_mpidr(0x12_c134_5678);
        let from_device_tree = Affinity::from_mpidr(0x12_0034_5678);
        assert_eq!(from_register, from_device_tree);
        assert_eq!(from_register.mpidr(), 0x12_0034_5678);
    }

    #[test]
    fn levels_are_taken_apart() {
        let cpu = Affinity::from_mpidr(0x12_0034_5678);
        let levels = [cpu.aff3(), cpu.aff2(), cpu.aff1(), cpu.aff0()];
        assert_eq!(levels, [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(cpu.to_string(), "CPU 0x1200345678");
    }
}

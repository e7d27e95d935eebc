//! The GIC's numbers for interrupts, and sets of them.

use core::fmt;

use crate::dt::ValueFault;

/// Number of SPIs that a GIC can have without the extended ranges: INTIDs 32 to 1019.
pub const SPI_COUNT: u32 = 988;
const FIRST_PPI: u32 = 16;
const PPI_COUNT: u32 = 16;
const FIRST_SPI: u32 = 32;
const FIRST_EXTENDED_PPI: u32 = 1056;
const EXTENDED_PPI_COUNT: u32 = 64;
const FIRST_EXTENDED_SPI: u32 = 4096;
const EXTENDED_SPI_COUNT: u32 = 1024;

/// The number by which the GIC knows an interrupt (IHI 0069 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intid(u32);

impl Intid {
    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether each CPU has its own, as PPIs and extended PPIs.
    pub const fn is_per_cpu(self) -> bool {
        (FIRST_PPI <= self.0 && self.0 < FIRST_SPI)
            || (FIRST_EXTENDED_PPI <= self.0 && self.0 < FIRST_EXTENDED_PPI + EXTENDED_PPI_COUNT)
    }

    /// From the first two cells of a GICv3 specifier: 0 SPI, 1 PPI, 2 extended SPI, 3 extended PPI,
    /// then the number within that kind.
    const fn from_cells(kind: u32, number: u32) -> Option<Self> {
        let (first, count) = match kind {
            0 => (FIRST_SPI, SPI_COUNT),
            1 => (FIRST_PPI, PPI_COUNT),
            2 => (FIRST_EXTENDED_SPI, EXTENDED_SPI_COUNT),
            3 => (FIRST_EXTENDED_PPI, EXTENDED_PPI_COUNT),
            _ => return None,
        };
        if number < count {
            Some(Self(first + number))
        } else {
            None
        }
    }
}

impl fmt::Display for Intid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interrupt line as the tree describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub intid: Intid,
    /// What it signals by.
    pub trigger: Trigger,
}

/// What an interrupt line signals by. The GIC knows no polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An edge makes it pending.
    Edge,
    /// It is pending while the line is asserted.
    Level,
}

impl Line {
    /// From a specifier's first three cells. The low four bits of the third are the trigger (1, 2
    /// edges; 4, 8 levels), the rest is the CPU mask of GICv2 PPIs.
    pub(super) fn from_cells(kind: u32, number: u32, flags: u32) -> Result<Self, ValueFault> {
        let intid =
            Intid::from_cells(kind, number).ok_or(ValueFault::BadInterrupt { kind, number })?;
        let trigger = match flags & 0xf {
            1..=3 => Trigger::Edge,
            4 | 8 => Trigger::Level,
            _ => return Err(ValueFault::NotOneOf("trigger 1, 2, 4, 8 in the third cell")),
        };
        Ok(Self { intid, trigger })
    }
}

/// A set of SPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiSet {
    words: [u32; SPI_COUNT.div_ceil(u32::BITS) as usize],
}

impl SpiSet {
    /// The set without any.
    pub const EMPTY: Self = Self {
        words: [0; SPI_COUNT.div_ceil(u32::BITS) as usize],
    };

    /// Whether `intid` is in the set; never, when it is not an SPI.
    pub fn contains(&self, intid: Intid) -> bool {
        Self::bit(intid).is_some_and(|(word, mask)| self.words[word] & mask != 0)
    }

    /// Number of SPIs in the set.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The SPIs that are not in the set, of the first `limit`, rising.
    pub(super) fn absent(&self, limit: u32) -> impl DoubleEndedIterator<Item = Intid> + '_ {
        (0..limit.min(SPI_COUNT))
            .map(|spi| Intid(FIRST_SPI + spi))
            .filter(|&intid| !self.contains(intid))
    }

    /// Adds `intid`; nothing to add when it is not an SPI.
    pub(super) fn insert(&mut self, intid: Intid) {
        if let Some((word, mask)) = Self::bit(intid) {
            self.words[word] |= mask;
        }
    }

    fn bit(intid: Intid) -> Option<(usize, u32)> {
        let spi = intid.0.checked_sub(FIRST_SPI)?;
        (spi < SPI_COUNT).then_some(((spi / u32::BITS) as usize, 1 << (spi % u32::BITS)))
    }
}

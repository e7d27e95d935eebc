//! CPUs and sets of them.
//!
//! A set is 128 bits: QEMU's `virt` machine has at most 123 CPUs with GICv3, and two registers are
//! still cheaper than a pointer. As text a set is what Linux calls a CPU list, `0-3,7`: a person
//! writes it in the boot arguments and reads it in reports, so it must come back as it went out.

use core::fmt;
use core::iter::FusedIterator;
use core::str::FromStr;

/// A CPU by its number, 0 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(u8);

impl CpuId {
    /// How many CPUs can be named.
    pub const COUNT: usize = 128;

    /// The CPU of that number, or `None` from [`CpuId::COUNT`] on.
    #[inline]
    pub const fn new(number: usize) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// The number, to index per-CPU tables with.
    #[inline]
    pub const fn index(self) -> usize {
        (self.0 & 127) as usize
    }

    #[inline]
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_low_bits(bits: u8) -> Self {
        Self(bits & 127)
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of CPUs: those a task may run on, or those that are up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuSet(u128);

impl CpuSet {
    /// No CPU.
    pub const EMPTY: Self = Self(0);
    /// Every CPU that can be named: no restriction.
    pub const ALL: Self = Self(u128::MAX);

    /// The set whose CPU n is bit n.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The set of `cpu` alone.
    #[inline]
    pub const fn only(cpu: CpuId) -> Self {
        Self(1 << cpu.index())
    }

    /// This set and `cpu`.
    #[inline]
    #[must_use]
    pub const fn with(self, cpu: CpuId) -> Self {
        Self(self.0 | 1 << cpu.index())
    }

    /// This set without `cpu`.
    #[inline]
    #[must_use]
    pub const fn without(self, cpu: CpuId) -> Self {
        Self(self.0 & !(1 << cpu.index()))
    }

    /// Whether `cpu` is in the set.
    #[inline]
    pub const fn contains(self, cpu: CpuId) -> bool {
        self.0 & (1 << cpu.index()) != 0
    }

    /// Whether no CPU is in the set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many CPUs are in the set.
    #[inline]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The CPUs that are in both sets.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The CPUs that are in either set.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The CPUs of the set, lowest number first.
    #[inline]
    pub const fn iter(self) -> CpuSetIter {
        CpuSetIter(self)
    }

    /// The low and the high half, as they are stored in a task's node.
    #[inline]
    pub(crate) const fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    #[inline]
    pub(crate) const fn from_halves([low, high]: [u64; 2]) -> Self {
        Self(low as u128 | (high as u128) << 64)
    }
}

impl IntoIterator for CpuSet {
    type Item = CpuId;
    type IntoIter = CpuSetIter;

    fn into_iter(self) -> CpuSetIter {
        self.iter()
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        cpus.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The CPUs of a [`CpuSet`], lowest number first.
#[derive(Clone, Debug)]
pub struct CpuSetIter(CpuSet);

impl Iterator for CpuSetIter {
    type Item = CpuId;

    #[inline]
    fn next(&mut self) -> Option<CpuId> {
        let cpu = CpuId::new(self.0.0.trailing_zeros() as usize)?;
        self.0 = self.0.without(cpu);
        Some(cpu)
    }
}

impl FusedIterator for CpuSetIter {}

/// The set as a CPU list, `0-3,7`; the empty set is `none`. [`CpuSet::from_str`] reads it back.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut rest = self.0;
        let mut separator = "";
        while rest != 0 {
            let first = rest.trailing_zeros();
            let count = (rest >> first).trailing_ones();
            match count {
                1 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{}", first + count - 1)?,
            }
            // Adding one at the start of a run carries through it; what is left above are the other
            // runs.
            rest &= rest.wrapping_add(1 << first);
            separator = ",";
        }
        Ok(())
    }
}

/// Why a text is no CPU list, and where: `at` counts bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseCpuSetError {
    /// No number where one must stand.
    ExpectedNumber {
        /// Where the number is missing.
        at: usize,
    },
    /// A number beyond the last CPU that can be named.
    NoSuchCpu {
        /// Where the number starts.
        at: usize,
    },
    /// A range whose end is below its start, as in `7-3`.
    BackwardRange {
        /// Where the range starts.
        at: usize,
    },
}

impl fmt::Display for ParseCpuSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpectedNumber { at } => {
                write!(f, "CPU list: expected a number at byte {at}, as in 0-3,7")
            }
            Self::NoSuchCpu { at } => {
                let last = CpuId::COUNT - 1;
                write!(f, "CPU list: the number at byte {at} is above {last}")
            }
            Self::BackwardRange { at } => {
                write!(f, "CPU list: the range at byte {at} runs backward")
            }
        }
    }
}

impl core::error::Error for ParseCpuSetError {}

/// Reads a CPU list: numbers and ranges (`first-last`) with commas between, no spaces, in any
/// order; or `none`.
impl FromStr for CpuSet {
    type Err = ParseCpuSetError;

    fn from_str(text: &str) -> Result<Self, ParseCpuSetError> {
        if text == "none" {
            return Ok(Self::EMPTY);
        }
        let mut set = Self::EMPTY;
        let mut at = 0;
        for item in text.split(',') {
            let (first, last) = match item.split_once('-') {
                None => {
                    let cpu = cpu_number(item, at)?;
                    (cpu, cpu)
                }
                Some((first, last)) => {
                    let last_at = at + first.len() + 1;
                    (cpu_number(first, at)?, cpu_number(last, last_at)?)
                }
            };
            if first > last {
                return Err(ParseCpuSetError::BackwardRange { at });
            }
            for number in first.0..=last.0 {
                set = set.with(CpuId(number));
            }
            at += item.len() + 1;
        }
        Ok(set)
    }
}

/// The CPU that `digits` names, found at byte `at`.
fn cpu_number(digits: &str, at: usize) -> Result<CpuId, ParseCpuSetError> {
    // `usize::from_str` would take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseCpuSetError::ExpectedNumber { at });
    }
    let number = digits.parse().ok().and_then(CpuId::new);
    number.ok_or(ParseCpuSetError::NoSuchCpu { at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    fn set(text: &str) -> Result<CpuSet, ParseCpuSetError> {
        text.parse()
    }

    #[test]
    fn text_is_the_usual_cpu_list() {
        for text in ["none", "0", "0-3,7", "5,7-8,127", "0-127", "63-64"] {
            assert_eq!(set(text).unwrap().to_string(), text);
        }
        assert_eq!(set("7,0-2,1-3").unwrap().to_string(), "0-3,7");
        assert_eq!(set("007").unwrap(), CpuSet::only(CpuId(7)));
    }

    #[test]
    fn errors_say_what_and_where() {
        use ParseCpuSetError::*;
        assert_eq!(set(""), Err(ExpectedNumber { at: 0 }));
        assert_eq!(set("0,,1"), Err(ExpectedNumber { at: 2 }));
        assert_eq!(set("0,1-"), Err(ExpectedNumber { at: 4 }));
        assert_eq!(set("0, 1"), Err(ExpectedNumber { at: 2 }));
        assert_eq!(set("+3"), Err(ExpectedNumber { at: 0 }));
        assert_eq!(set("1-2-3"), Err(ExpectedNumber { at: 2 }));
        assert_eq!(set("1,128"), Err(NoSuchCpu { at: 2 }));
        assert_eq!(set("99999999999999999999"), Err(NoSuchCpu { at: 0 }));
        assert_eq!(set("2,7-3"), Err(BackwardRange { at: 2 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_set_is_a_set(
            cpus in proptest::collection::vec(0usize..128, 0..40),
            gone in 0usize..128,
        ) {
            let model: BTreeSet<usize> = cpus.iter().copied().filter(|&cpu| cpu != gone).collect();
            let all: CpuSet = cpus.iter().map(|&cpu| CpuId::new(cpu).unwrap()).collect();
            let set = all.without(CpuId::new(gone).unwrap());
            prop_assert_eq!(set.len() as usize, model.len());
            prop_assert!(set.iter().map(CpuId::index).eq(model));
            prop_assert_eq!(CpuSet::from_halves(set.halves()), set);
        }

        #[test]
        fn what_is_printed_reads_back(bits: u128, thin: u128) {
            for set in [CpuSet(bits), CpuSet(bits & thin), CpuSet(bits | thin)] {
                prop_assert_eq!(set.to_string().parse(), Ok(set));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9,-]{0,12}|\\PC{0,12}") {
            let _ = set(&text);
        }
    }
}

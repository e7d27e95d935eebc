//! The 32 fixed priority levels.
//!
//! Thirty-two, because a set of them is then one register: the highest ready level is one
//! count-leading-zeros away (`CLZ`, Arm ARM DDI 0487 C6.2), and no operation ever searches.

use core::fmt;

/// A fixed priority level, 0 (lowest) to 31 (highest). Only its owner changes it: the scheduler
/// never boosts or decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// How many levels there are.
    pub const COUNT: usize = 32;
    /// Level 0: runs when nobody else wants to.
    pub const LOWEST: Self = Self(0);
    /// Level 31: is preempted by nobody.
    pub const HIGHEST: Self = Self(Self::COUNT as u8 - 1);

    /// The level of that number, or `None` above [`Level::HIGHEST`].
    #[inline]
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT as u8 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, 0 to 31.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The level in the low five bits of `bits`.
    #[inline]
    pub(crate) const fn from_low_bits(bits: u8) -> Self {
        Self(bits & Self::HIGHEST.0)
    }

    /// The number as an index below [`Level::COUNT`]; the mask shows the compiler that it is.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        (self.0 & Self::HIGHEST.0) as usize
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of levels, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LevelSet(u32);

impl LevelSet {
    pub(crate) const EMPTY: Self = Self(0);

    #[inline]
    pub(crate) const fn insert(&mut self, level: Level) {
        self.0 |= 1 << level.index();
    }

    #[inline]
    pub(crate) const fn remove(&mut self, level: Level) {
        self.0 &= !(1 << level.index());
    }

    #[inline]
    pub(crate) const fn contains(self, level: Level) -> bool {
        self.0 & (1 << level.index()) != 0
    }

    /// The highest level in the set.
    #[inline]
    pub(crate) const fn highest(self) -> Option<Level> {
        if self.0 == 0 {
            None
        } else {
            Some(Level::from_low_bits(31 - self.0.leading_zeros() as u8))
        }
    }

    /// Whether `level` or a higher one is in the set.
    #[inline]
    pub(crate) const fn reaches(self, level: Level) -> bool {
        self.0 >> level.index() != 0
    }

    /// Whether a higher level than `level` is in the set.
    #[inline]
    pub(crate) const fn exceeds(self, level: Level) -> bool {
        self.0 >> level.index() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_highest_are_refused() {
        assert_eq!(Level::new(0), Some(Level::LOWEST));
        assert_eq!(Level::new(31), Some(Level::HIGHEST));
        assert_eq!(Level::new(32), None);
        assert_eq!(Level::new(255), None);
    }

    /// Every pair of levels: the bit tricks agree with plain comparison.
    #[test]
    fn a_set_compares_as_its_members_do() {
        let all = (0..32).map(|number| Level::new(number).unwrap());
        for low in all.clone() {
            for high in all.clone() {
                let mut set = LevelSet::EMPTY;
                set.insert(low);
                set.insert(high);
                let top = low.max(high);
                assert_eq!(set.highest(), Some(top));
                for level in all.clone() {
                    assert_eq!(set.reaches(level), top >= level);
                    assert_eq!(set.exceeds(level), top > level);
                    assert_eq!(set.contains(level), level == low || level == high);
                }
                set.remove(high);
                set.remove(low);
                assert_eq!(set, LevelSet::EMPTY);
                assert_eq!(set.highest(), None);
            }
        }
    }
}

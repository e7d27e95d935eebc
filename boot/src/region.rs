//! A range of physical memory, the one way all of this crate speaks of one.

use core::fmt;

/// Bytes `base .. base + size` of physical address space.
///
/// Whoever makes a `Region` from foreign numbers goes through [`Region::new`] or
/// [`Region::from_bounds`], which refuse a range that wraps; [`Region::end`] may rely on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region {
    base: u64,
    size: u64,
}

impl Region {
    /// The region of `size` bytes from physical address `base`; `None` when it would end beyond
    /// `u64::MAX`.
    pub const fn new(base: u64, size: u64) -> Option<Self> {
        match base.checked_add(size) {
            Some(_) => Some(Self { base, size }),
            None => None,
        }
    }

    /// The region from `base` up to, not including, `end`; `None` when `end < base`.
    pub const fn from_bounds(base: u64, end: u64) -> Option<Self> {
        match end.checked_sub(base) {
            Some(size) => Some(Self { base, size }),
            None => None,
        }
    }

    /// First physical address.
    pub const fn base(self) -> u64 {
        self.base
    }

    /// Length in bytes.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// First physical address behind the region.
    pub const fn end(self) -> u64 {
        self.base + self.size
    }

    /// Whether the region holds no byte.
    pub const fn is_empty(self) -> bool {
        self.size == 0
    }

    /// Whether the two have a byte in common.
    pub const fn overlaps(self, other: Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.base < other.end() && other.base < self.end()
    }

    /// Whether every byte of `other` is in this region.
    pub const fn contains(self, other: Self) -> bool {
        self.base <= other.base && other.end() <= self.end()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.base, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::Region;

    #[test]
    fn a_region_that_wraps_does_not_exist() {
        assert!(Region::new(u64::MAX, 1).is_none());
        assert!(Region::new(1, u64::MAX).is_none());
        assert!(Region::from_bounds(2, 1).is_none());
        assert_eq!(Region::new(u64::MAX, 0).unwrap().end(), u64::MAX);
    }

    #[test]
    fn touching_is_not_overlapping() {
        let low = Region::from_bounds(0x1000, 0x2000).unwrap();
        let high = Region::from_bounds(0x2000, 0x3000).unwrap();
        let across = Region::from_bounds(0x1fff, 0x2001).unwrap();
        assert!(!low.overlaps(high) && !high.overlaps(low));
        assert!(across.overlaps(low) && across.overlaps(high));
        assert!(!across.overlaps(Region::new(0x2000, 0).unwrap()));
        assert!(low.contains(low) && !low.contains(across));
    }
}

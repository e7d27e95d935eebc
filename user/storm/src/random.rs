//! Numbers drawn from a seed.

use core::cell::Cell;

/// A generator: xorshift64*, by G. Marsaglia and S. Vigna.
pub(crate) struct Random(Cell<u64>);

impl Random {
    /// The same numbers for the same seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// The next.
    pub(crate) fn number(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next, from 0 to below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.number() % bound
    }
}

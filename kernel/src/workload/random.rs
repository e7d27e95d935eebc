//! Random numbers that follow from a seed: the same seed gives the same run under exact time.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Its state is
//! a mere counter, so one draw is one atomic addition: a generator may be shared with whatever
//! interrupts its user, NMI handlers included. Streams of one seed are independent, so each thread
//! and each CPU has its own, and what one draws does not depend on how often another did.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers. Any context.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    /// Stream number `stream` of `seed`.
    pub(crate) const fn new(seed: u64, stream: u64) -> Self {
        Self(AtomicU64::new(start(seed, stream)))
    }

    /// Begins again, as stream number `stream` of `seed`.
    pub(crate) fn restart(&self, seed: u64, stream: u64) {
        self.0.store(start(seed, stream), Relaxed);
    }

    /// The next number, of 64 random bits.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        mix(self.0.fetch_add(GAMMA, Relaxed).wrapping_add(GAMMA))
    }

    /// A number below `end`, each as likely as the next; 0 if there is none.
    #[inline]
    pub(crate) fn below(&self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number in `range`; its start if it is empty.
    #[inline]
    pub(crate) fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }
}

const fn start(seed: u64, stream: u64) -> u64 {
    mix(mix(seed) ^ stream.wrapping_mul(GAMMA))
}

/// Spreads each bit of `z` over all bits: a bijection.
#[inline]
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

// The published sequence of seed 0.
const _: () = assert!(mix(GAMMA) == 0xe220_a839_7b1d_cdaf);

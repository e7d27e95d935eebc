//! Histograms that an NMI handler may fill: fixed size, no lock, no allocation.
//!
//! Values below 16 have a bucket each; above, every power of two is cut into eight, so a percentile is
//! right to an eighth of its value. The worst value is kept exactly.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

const LINEAR: u64 = 16;
const STEPS: usize = 8;
/// Everything from 2^40 on falls into the last bucket.
const BUCKETS: usize = LINEAR as usize + (40 - 4) * STEPS;

/// Counts of values.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU32; BUCKETS],
    worst: AtomicU64,
}

impl Histogram {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self {
            counts: [const { AtomicU32::new(0) }; BUCKETS],
            worst: AtomicU64::new(0),
        }
    }

    /// Empties it. Nobody records meanwhile.
    pub(crate) fn clear(&self) {
        for count in &self.counts {
            count.store(0, Relaxed);
        }
        self.worst.store(0, Relaxed);
    }

    /// Counts `value`; gives whether it is the worst so far. Any context.
    #[inline]
    pub(crate) fn record(&self, value: u64) -> bool {
        self.counts[bucket(value)].fetch_add(1, Relaxed);
        self.worst.fetch_max(value, Relaxed) < value
    }
}

/// Several histograms looked at as one: those of all CPUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// How many values there are.
    pub(crate) count: u64,
    /// Half of the values are not above this.
    pub(crate) median: u64,
    /// 99 of 100 values are not above this.
    pub(crate) percentile_99: u64,
    /// The highest value, exactly.
    pub(crate) worst: u64,
}

impl Summary {
    /// Of what `histograms` hold together.
    pub(crate) fn of<'a>(histograms: impl Iterator<Item = &'a Histogram> + Clone) -> Self {
        let in_bucket = |at: usize| -> u64 {
            let counts = histograms.clone().map(|h| h.counts[at].load(Relaxed));
            counts.map(u64::from).sum()
        };
        let count: u64 = (0..BUCKETS).map(in_bucket).sum();
        let worst = histograms.clone().map(|h| h.worst.load(Relaxed)).max();
        let worst = worst.unwrap_or(0);
        let not_above = |rank: u64| {
            let mut seen = 0;
            let mut buckets = (0..BUCKETS).skip_while(|at| {
                seen += in_bucket(*at);
                seen < rank
            });
            buckets.next().map_or(0, |at| last_of(at).min(worst))
        };
        Self {
            count,
            median: not_above(count.div_ceil(2)),
            percentile_99: not_above(count - count / 100),
            worst,
        }
    }
}

/// The bucket that `value` falls into.
#[inline]
const fn bucket(value: u64) -> usize {
    if value < LINEAR {
        return value as usize;
    }
    let power = value.ilog2();
    let step = (value >> (power - 3)) as usize % STEPS;
    let at = LINEAR as usize + (power as usize - 4) * STEPS + step;
    if at < BUCKETS { at } else { BUCKETS - 1 }
}

/// The highest value that falls into a bucket.
const fn last_of(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(LINEAR as usize) else {
        return bucket as u64;
    };
    let shift = above / STEPS + 1;
    (((above % STEPS + STEPS) as u64 + 1) << shift) - 1
}

// Buckets follow one another without gap or overlap.
const _: () = {
    let mut at = 0;
    while at + 1 < BUCKETS {
        assert!(bucket(last_of(at)) == at);
        assert!(bucket(last_of(at) + 1) == at + 1);
        at += 1;
    }
};

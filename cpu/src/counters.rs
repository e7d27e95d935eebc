//! What each CPU counts about its own entries: the ledger that reports and verdicts are made from.
//!
//! Several of them are counted at each entry, so a count is a load, an add and a store, not an atomic
//! add. That loses nothing because nobody comes in the middle who counts the same word: one set is
//! counted with ordinary interrupts held, the other by NMI handlers, which nothing interrupts that
//! counts. Both are summed when they are read.

use abi::path::Path;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted once per CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Interrupts acknowledged, NMIs included; specials not.
    Acknowledged,
    /// Priority drops.
    Dropped,
    /// Deactivations.
    Deactivated,
    /// Acknowledges that gave a special INTID (1020 to 1023).
    Special,
    /// NMIs handled.
    Nmi,
    /// NMIs whose interrupted thread had need_resched set when they returned.
    NmiSawResched,
    /// Exits with an eligible preemption that was not made. Must stay 0.
    PreemptionLost,
    /// Exits to `Process` of a fault: each was looked at for preemption.
    FaultExits,
    /// Times a quiescent CPU began watching at entry; entries from EL0, which always do, aside.
    BeganWatching,
    /// Switches of thread.
    Switches,
    /// Self-SGIs raised because a wake-up was made with IRQs masked.
    SelfSgis,
    /// Waits for an interrupt in idle.
    Waits,
}

const COUNTERS: usize = Counter::Waits as usize + 1;

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nest {
    /// Whoever holds ordinary interrupts: NMIs come in the middle, and count in their own set.
    Ordinary,
    /// An NMI handler.
    Nmi,
}

/// The counters of one CPU. Read from anywhere.
#[derive(Debug)]
pub struct Counters {
    counts: [[AtomicU64; COUNTERS]; 2],
    preemptions: [AtomicU64; Path::ALL.len()],
}

#[inline(always)]
fn add_one(count: &AtomicU64) {
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}

impl Counters {
    /// All at zero.
    pub const fn new() -> Self {
        Self {
            counts: [const { [const { AtomicU64::new(0) }; COUNTERS] }; 2],
            preemptions: [const { AtomicU64::new(0) }; Path::ALL.len()],
        }
    }

    /// Counts one more, on the counters' own CPU. Ordinary interrupts are held.
    #[inline(always)]
    pub fn count(&self, counter: Counter) {
        self.count_in(Nest::Ordinary, counter);
    }

    /// Counts one more, as `nest`, on the counters' own CPU.
    #[inline(always)]
    pub fn count_in(&self, nest: Nest, counter: Counter) {
        add_one(&self.counts[nest as usize][counter as usize]);
    }

    /// How many so far.
    #[inline]
    pub fn of(&self, counter: Counter) -> u64 {
        let [ordinary, nmi] = &self.counts;
        ordinary[counter as usize].load(Relaxed) + nmi[counter as usize].load(Relaxed)
    }

    /// Counts a preemption made on the way out of `path`; `Thread` for one made by
    /// `preempt_enable` or after a wake-up. On the counters' own CPU, ordinary interrupts held.
    #[inline(always)]
    pub fn preempted(&self, path: Path) {
        add_one(&self.preemptions[path as usize]);
    }

    /// Preemptions made on the way out of `path`.
    pub fn preemptions(&self, path: Path) -> u64 {
        self.preemptions[path as usize].load(Relaxed)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

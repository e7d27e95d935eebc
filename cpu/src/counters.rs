//! What each CPU counts about its own entries: the ledger that reports and verdicts are made from.

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
    /// Times a quiescent CPU began watching at entry.
    BeganWatching,
    /// Switches of thread.
    Switches,
    /// Self-SGIs raised because a wake-up was made with IRQs masked.
    SelfSgis,
    /// Waits for an interrupt in idle.
    Waits,
}

const COUNTERS: usize = Counter::Waits as usize + 1;

/// The counters of one CPU. Incremented in any context, read from anywhere.
#[derive(Debug)]
pub struct Counters {
    counts: [AtomicU64; COUNTERS],
    preemptions: [AtomicU64; Path::ALL.len()],
}

impl Counters {
    /// All at zero.
    pub const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; COUNTERS],
            preemptions: [const { AtomicU64::new(0) }; Path::ALL.len()],
        }
    }

    /// Counts one more. Any context: an NMI may come in the middle and count, too.
    #[inline(always)]
    pub fn count(&self, counter: Counter) {
        self.counts[counter as usize].fetch_add(1, Relaxed);
    }

    /// How many so far.
    pub fn of(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].load(Relaxed)
    }

    /// Counts a preemption made on the way out of `path`; `Thread` for one made by
    /// `preempt_enable` or after a wake-up.
    #[inline(always)]
    pub fn preempted(&self, path: Path) {
        self.preemptions[path as usize].fetch_add(1, Relaxed);
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

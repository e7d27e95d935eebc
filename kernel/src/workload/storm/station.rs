//! What the storm keeps for each CPU, and the storm itself: made once, written in any context.
//!
//! A station is written by its own CPU; handlers find it by their CPU's number, without a lock.

use super::landing::{Landing, TextMap};
use super::sources::Source;
use crate::irq::Spi;
use crate::smp::Cpu;
use crate::thread::{self, Thread};
use crate::workload::histogram::Histogram;
use crate::workload::random::Random;
use crate::workload::support::ThreadSlot;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use drivers::timer::{Physical, Timer};

/// One CPU's part.
pub(super) struct Station {
    /// What handlers on this CPU draw from.
    pub(super) random: Random,
    /// What the free timer is set to, in ticks; `u64::MAX` when it is off.
    pub(super) due: AtomicU64,
    /// When the last stretch ended in which NMIs were held on purpose: an NMI handler, or a section
    /// with an `NmiGuard`.
    pub(super) held_until: AtomicU64,
    /// The longest of those stretches, in ticks, from the vector's first instruction on.
    pub(super) longest_held: AtomicU64,
    /// Storm interrupts by source.
    pub(super) arrivals: [AtomicU64; Source::ALL.len()],
    /// Storm interrupts by where they landed.
    pub(super) landings: [AtomicU64; Landing::ALL.len()],
    /// The paths of the deepest nest.
    pub(super) deepest: AtomicU64,
    /// How late timer NMIs were that nothing held on purpose.
    pub(super) latency: Histogram,
    /// How late those were that came due while NMIs were held on purpose.
    pub(super) behind: Histogram,
    /// How late the scheduler's ticks were.
    pub(super) ticks: Histogram,
    /// Where the latest of `latency` landed.
    pub(super) worst: Worst,
    /// Ordinary calls handled.
    pub(super) calls: AtomicU64,
    /// The thread that faults, calls and masked sections on this CPU wake.
    pub(super) partner: ThreadSlot,
    /// How often it was woken for something that it has not seen yet.
    mail: AtomicU32,
}

/// Where the worst NMI landed, and what the CPU had just done.
#[derive(Debug, Default)]
pub(super) struct Worst {
    pub(super) late_ticks: AtomicU64,
    pub(super) elr: AtomicU64,
    pub(super) landing: AtomicU32,
    /// The path that had just been left when the NMI came due, as its number; 0: none.
    pub(super) left: AtomicU32,
}

impl Station {
    const fn new() -> Self {
        Self {
            random: Random::new(0, 0),
            due: AtomicU64::new(u64::MAX),
            held_until: AtomicU64::new(0),
            longest_held: AtomicU64::new(0),
            arrivals: [const { AtomicU64::new(0) }; Source::ALL.len()],
            landings: [const { AtomicU64::new(0) }; Landing::ALL.len()],
            deepest: AtomicU64::new(0),
            latency: Histogram::new(),
            behind: Histogram::new(),
            ticks: Histogram::new(),
            worst: Worst {
                late_ticks: AtomicU64::new(0),
                elr: AtomicU64::new(0),
                landing: AtomicU32::new(0),
                left: AtomicU32::new(0),
            },
            calls: AtomicU64::new(0),
            partner: ThreadSlot::new(),
            mail: AtomicU32::new(0),
        }
    }

    fn reset(&self, seed: u64, cpu: usize) {
        self.random.restart(seed, cpu as u64);
        self.due.store(u64::MAX, Relaxed);
        let counts = [&self.held_until, &self.longest_held, &self.deepest];
        let worst = [&self.worst.late_ticks, &self.worst.elr, &self.calls];
        let many = self.arrivals.iter().chain(&self.landings);
        for count in counts.into_iter().chain(worst).chain(many) {
            count.store(0, Relaxed);
        }
        for histogram in [&self.latency, &self.behind, &self.ticks] {
            histogram.clear();
        }
        self.worst.landing.store(0, Relaxed);
        self.worst.left.store(0, Relaxed);
        self.mail.store(0, Relaxed);
    }

    /// Storm interrupts so far.
    pub(super) fn total(&self) -> u64 {
        self.arrivals.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// NMIs were held on purpose from `from` until now, in ticks. While they still are.
    #[inline]
    pub(super) fn held(&self, from: u64, until: u64) {
        self.held_until.store(until, Relaxed);
        let length = until.saturating_sub(from);
        if length > self.longest_held.load(Relaxed) {
            self.longest_held.store(length, Relaxed);
        }
    }

    /// The thread to wake, with a letter in its box. Not in an NMI handler.
    #[inline]
    pub(super) fn poke(&self) -> Option<&'static Thread> {
        let partner = self.partner.get()?;
        self.mail.fetch_add(1, Release);
        Some(partner)
    }

    /// Has a letter for the running thread wake it, from now on.
    pub(super) fn enlist(&self) {
        self.partner.set(Some(thread::current()));
    }

    /// Whether there is a letter; takes it.
    pub(super) fn take_letter(&self) -> bool {
        self.mail.swap(0, Acquire) != 0
    }
}

/// Which threads go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crew {
    /// None.
    Nobody,
    /// Only those that are woken by others.
    Partners,
    /// All.
    All,
}

/// All that the storm is.
pub(super) struct Storm {
    /// One for each CPU.
    pub(super) stations: Vec<Station>,
    /// The shared interrupts that are pended.
    pub(super) spis: Vec<Spi>,
    /// The free timer of whichever CPU uses it.
    pub(super) timer: Timer<Physical>,
    /// Which floor each instruction belongs to.
    pub(super) map: TextMap,
    /// How many instructions a vector executes before its stamp, in ticks.
    pub(super) stamp_ticks: u64,
    /// The mean time between two timer NMIs on a CPU, in ticks.
    pub(super) mean_ticks: AtomicU64,
    /// When it began, in ticks.
    pub(super) began: AtomicU64,
    /// Whether the sources rain.
    pub(super) raining: AtomicBool,
    /// Which threads go on.
    crew: AtomicU32,
    /// The seed of this run.
    pub(super) seed: AtomicU64,
}

impl Storm {
    /// With a station for each of `cpus` CPUs.
    pub(super) fn new(
        cpus: usize,
        spis: Vec<Spi>,
        timer: Timer<Physical>,
        map: TextMap,
        stamp_ticks: u64,
    ) -> Self {
        let mut stations = Vec::new();
        stations.resize_with(cpus, Station::new);
        Self {
            stations,
            spis,
            timer,
            map,
            stamp_ticks,
            mean_ticks: AtomicU64::new(0),
            began: AtomicU64::new(0),
            raining: AtomicBool::new(false),
            crew: AtomicU32::new(Crew::Nobody as u32),
            seed: AtomicU64::new(0),
        }
    }

    /// Forgets an earlier run.
    pub(super) fn reset(&self, seed: u64, mean_ticks: u64) {
        self.seed.store(seed, Relaxed);
        self.mean_ticks.store(mean_ticks, Relaxed);
        for (cpu, station) in self.stations.iter().enumerate() {
            station.reset(seed, cpu);
        }
    }

    /// The station of `cpu`.
    #[inline]
    pub(super) fn at(&self, cpu: &Cpu) -> &Station {
        &self.stations[cpu.index()]
    }

    /// Storm interrupts so far, on all CPUs.
    pub(super) fn total(&self) -> u64 {
        self.stations.iter().map(Station::total).sum()
    }

    /// Says which threads go on.
    pub(super) fn muster(&self, crew: Crew) {
        self.crew.store(crew as u32, Release);
    }

    /// Whether the threads of `crew` go on.
    #[inline]
    pub(super) fn works(&self, crew: Crew) -> bool {
        self.crew.load(Acquire) >= crew as u32
    }

    /// Whether the sources are to go on.
    #[inline]
    pub(super) fn rains(&self) -> bool {
        self.raining.load(Relaxed)
    }
}

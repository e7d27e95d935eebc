//! Who works in the storm: threads of every habit, made at the start and joined at the end.
//!
//! On each CPU two equal spinners (their run times are compared), a sleeper, a yielder, one that faults
//! and the partner that each fault wakes, one that masks in every way there is, and one that makes
//! and joins threads. What each does is in `life`.

use super::life::{live, on_fault, on_late_call};
use super::station::{Crew, Storm};
use crate::fault;
use crate::irq::{self, Sgi};
use crate::thread::{self, JoinHandle, SpawnError, Spec};
use crate::workload::Failure;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use sched::{CpuId, CpuSet, Level};

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Computes, and is equal to the other one of its CPU.
    Spin,
    /// Sleeps for short times.
    Sleep,
    /// Computes a little and yields.
    Yield,
    /// Faults.
    Fault,
    /// Waits to be woken by faults, calls and masked sections.
    Partner,
    /// Holds preemption, ordinary interrupts and NMIs off; calls other CPUs; raises storm interrupts.
    Mask,
    /// Makes threads and joins them.
    Make,
    /// Is made, checks itself, and ends.
    Child,
}

/// What runs on each CPU.
const HABITS: [Habit; 8] = [
    Habit::Partner,
    Habit::Spin,
    Habit::Spin,
    Habit::Sleep,
    Habit::Yield,
    Habit::Fault,
    Habit::Mask,
    Habit::Make,
];

impl Habit {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 8] = [
        Self::Spin,
        Self::Sleep,
        Self::Yield,
        Self::Fault,
        Self::Partner,
        Self::Mask,
        Self::Make,
        Self::Child,
    ];

    /// What such a thread is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spinner",
            Self::Sleep => "sleeper",
            Self::Yield => "yielder",
            Self::Fault => "faulter",
            Self::Partner => "partner",
            Self::Mask => "masker",
            Self::Make => "maker",
            Self::Child => "child",
        }
    }

    fn level(self) -> Level {
        let number = match self {
            Self::Partner => 20,
            Self::Sleep => 16,
            _ => 8,
        };
        Level::new(number).unwrap_or(Level::LOWEST)
    }

    /// Whether it stays on its CPU.
    const fn is_pinned(self) -> bool {
        matches!(self, Self::Spin | Self::Fault | Self::Partner)
    }
}

/// Rounds that threads did, each checked.
pub(super) static ROUNDS: AtomicU64 = AtomicU64::new(0);
/// Threads made and joined by the makers.
pub(super) static CHILDREN: AtomicU64 = AtomicU64::new(0);
/// The deepest use of a thread's stack, in bytes.
pub(super) static DEEPEST_STACK: AtomicU64 = AtomicU64::new(0);

/// A thread of the crew.
pub(super) struct Member {
    pub(super) habit: Habit,
    pub(super) cpu: usize,
    pub(super) handle: JoinHandle,
}

/// How many threads there are for each CPU.
pub(super) const fn crew_size() -> usize {
    HABITS.len()
}

/// Starts all threads.
///
/// # Errors
/// What kept one from being made.
pub(super) fn start(storm: &Storm) -> Result<Vec<Member>, Failure> {
    for counter in [&ROUNDS, &CHILDREN, &DEEPEST_STACK] {
        counter.store(0, Relaxed);
    }
    fault::observe(Some(on_fault));
    storm.muster(Crew::All);
    let mut members = Vec::new();
    for cpu in 0..storm.stations.len() {
        for (number, habit) in HABITS.into_iter().enumerate() {
            let handle = spawn(habit, cpu, number)?;
            members.push(Member { habit, cpu, handle });
        }
    }
    Ok(members)
}

/// Starts a thread of that habit, which is number `number` on `cpu`.
///
/// # Errors
/// What kept it from being made.
pub(super) fn spawn(habit: Habit, cpu: usize, number: usize) -> Result<JoinHandle, SpawnError> {
    let allowed = match CpuId::new(cpu) {
        Some(id) if habit.is_pinned() => CpuSet::only(id),
        _ => CpuSet::ALL,
    };
    thread::spawn(&Spec {
        name: habit.name(),
        level: habit.level(),
        allowed,
        entry: live,
        argument: habit as usize | number << 8 | cpu << 16,
    })
}

/// Has all threads end, and joins them: those that wake others first. Gives the spread of the run
/// times of equal spinners, in ticks: the largest difference on any CPU.
///
/// # Errors
/// Out of memory.
pub(super) fn stop(storm: &Storm, members: Vec<Member>) -> Result<u64, Failure> {
    storm.muster(Crew::Partners);
    let spread = spinner_spread(storm, &members);
    let (partners, others): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|member| member.habit == Habit::Partner);
    for member in others {
        member.handle.join();
    }
    fault::observe(None);
    // Waits until no handler runs any more that could wake a partner.
    irq::set_handler(Sgi::Call.intid(), on_late_call, 0)?;
    storm.muster(Crew::Nobody);
    for station in &storm.stations {
        station.partner.set(None);
    }
    for member in partners {
        thread::wake(member.handle.waker());
        member.handle.join();
    }
    Ok(spread)
}

fn spinner_spread(storm: &Storm, members: &[Member]) -> u64 {
    let spinners = members.iter().filter(|member| member.habit == Habit::Spin);
    for spinner in spinners.clone() {
        while !spinner.handle.is_done() {
            thread::sleep(Duration::from_micros(100));
        }
    }
    let on = |cpu| {
        let own = spinners.clone().filter(move |member| member.cpu == cpu);
        own.map(|member| member.handle.thread().ran_ticks.load(Relaxed))
    };
    let spread = |cpu| on(cpu).max().unwrap_or(0) - on(cpu).min().unwrap_or(0);
    (0..storm.stations.len()).map(spread).max().unwrap_or(0)
}

//! Does it all hold with every CPU in one space, and is what was unmapped gone?
//!
//! Each CPU maps and unmaps at random in a part of its own, and knows what must be there; their tables
//! and the list of regions are shared. Then one unmaps what all others read: after it has, nobody may
//! read it. Then all unmap the same: one of them did.

use super::{AT, READ, inside, numbered, quota, word};
use crate::mm::space::Space;
use crate::mm::user;
use crate::object::quota::Quota;
use crate::object::{Memory, Ref};
use crate::smp;
use crate::workload::Failure;
use crate::workload::random::Random;
use crate::workload::support::{LOW, ensure, expect_eq, here, join_all, spawn_on};
use abi::error::Error;
use abi::memory::PAGE;
use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Pages of a CPU's own part. Parts meet in the middle of tables.
const SLOTS: usize = 24;
/// The most of them that are mapped or unmapped at once.
const MOST_PAGES: u64 = 4;
/// How often all CPUs meet at a page that is to go.
const MEETINGS: u64 = 30;
/// Where they do.
const SHARED: u64 = AT + (1 << 30);

/// What the threads share.
struct Stage {
    space: Space,
    memory: Ref<Memory>,
    quota: Ref<Quota>,
    seed: u64,
    rounds: u64,
    cpus: u64,
    /// Arrivals at the barrier.
    arrived: AtomicU64,
    /// Meetings whose page is gone.
    gone: AtomicU64,
    /// CPUs that have seen the page of a meeting, all meetings together.
    seen: AtomicU64,
    /// Reads that found the page, and calls that unmapped it.
    reads: AtomicU64,
    unmapped: AtomicU64,
    maps: AtomicU64,
}

impl Stage {
    /// Waits until all CPUs are here, for the `turn`th time.
    fn meet(&self, turn: &mut u64) {
        *turn += self.cpus;
        self.arrived.fetch_add(1, AcqRel);
        while self.arrived.load(Acquire) < *turn {
            smp::spin();
        }
    }
}

/// How often something was mapped.
pub(super) fn run(seed: u64, rounds: u64) -> Result<u64, Failure> {
    let quota = quota(4 << 20)?;
    let stage = Stage {
        space: Space::new(&quota)?,
        memory: numbered(SLOTS as u64, 0, &quota)?,
        quota: quota.clone(),
        seed,
        rounds,
        cpus: smp::all().count() as u64,
        arrived: AtomicU64::new(0),
        gone: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        unmapped: AtomicU64::new(0),
        maps: AtomicU64::new(0),
    };
    let mut threads = Vec::new();
    for cpu in smp::all() {
        let argument = (&raw const stage) as usize;
        threads.push(spawn_on(cpu, "churn", LOW, entry, argument)?);
    }
    join_all(threads);
    let (maps, reads) = (stage.maps.load(Relaxed), stage.reads.load(Relaxed));
    let unmapped = stage.unmapped.load(Relaxed);
    ensure!(
        unmapped == MEETINGS,
        "{MEETINGS} pages were unmapped by all CPUs at once, {unmapped} times"
    );
    ensure!(maps > 0 && reads > 0, "nothing was mapped, or read");
    drop(stage);
    ensure!(
        quota.used() == 0,
        "after the churn {} bytes are still used",
        quota.used()
    );
    Ok(maps)
}

fn entry(argument: usize) {
    // SAFETY: `run` waits for the end of this thread before its stage goes.
    let stage = unsafe { &*(argument as *const Stage) };
    let cpu = here().index() as u64;
    at_random(stage, cpu);
    let mut turn = 0;
    for meeting in 0..MEETINGS {
        one_unmaps(stage, cpu, meeting, &mut turn);
    }
    for _ in 0..MEETINGS {
        all_unmap(stage, cpu, &mut turn);
    }
}

fn must<T>(result: Result<T, Error>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Maps and unmaps runs of slots, and looks at one of them each time.
fn at_random(stage: &Stage, cpu: u64) {
    let random = Random::new(stage.seed, cpu);
    let base = AT + cpu * SLOTS as u64 * PAGE;
    // The page of the memory that each slot shows.
    let mut shows: [Option<u64>; SLOTS] = [None; SLOTS];
    for _ in 0..stage.rounds {
        let start = random.below(SLOTS as u64);
        let pages = random.within(1..MOST_PAGES.min(SLOTS as u64 - start) + 1);
        let range = start as usize..(start + pages) as usize;
        let (address, bytes) = (base + start * PAGE, pages * PAGE);
        // Mostly what can be done, and sometimes what cannot.
        let wants_map = match random.below(4) {
            0 => random.below(2) == 0,
            _ => shows[start as usize].is_none(),
        };
        if wants_map {
            let first = random.below(SLOTS as u64 - pages + 1);
            let free = shows[range.clone()].iter().all(Option::is_none);
            let found = stage
                .space
                .map(stage.memory.clone(), first * PAGE, bytes, address, READ);
            let expected = if free { Ok(address) } else { Err(Error::Busy) };
            expect_eq!(found, expected, "map of {pages} slots at {start}");
            if free {
                stage.maps.fetch_add(1, Relaxed);
                for (slot, page) in shows[range].iter_mut().zip(first..) {
                    *slot = Some(page);
                }
            }
        } else {
            let all = shows[range.clone()].iter().all(Option::is_some);
            let found = stage.space.unmap(address, bytes);
            let expected = if all { Ok(()) } else { Err(Error::BadAddress) };
            expect_eq!(found, expected, "unmap of {pages} slots at {start}");
            if all {
                shows[range].fill(None);
            }
        }
        let slot = random.below(SLOTS as u64);
        let expected = shows[slot as usize].ok_or(Error::BadAddress);
        let found = word(&stage.space, base + slot * PAGE);
        expect_eq!(found, expected, "slot {slot}");
    }
    for (slot, shown) in shows.iter().enumerate() {
        if shown.is_some() {
            must(
                stage.space.unmap(base + slot as u64 * PAGE, PAGE),
                "the last unmap",
            );
        }
    }
}

/// One CPU, another each time, unmaps the page that all read.
fn one_unmaps(stage: &Stage, cpu: u64, meeting: u64, turn: &mut u64) {
    let mine = meeting % stage.cpus == cpu;
    if mine {
        let memory = match numbered(1, meeting, &stage.quota) {
            Ok(memory) => memory,
            Err(Failure(why)) => panic!("{why}"),
        };
        must(
            stage.space.map(memory, 0, PAGE, SHARED, READ),
            "the shared page",
        );
    }
    if mine {
        let found = word(&stage.space, SHARED);
        expect_eq!(found, Ok(meeting), "the shared page");
        stage.reads.fetch_add(1, Relaxed);
    }
    stage.meet(turn);
    if mine {
        // All remember the translation when it goes.
        while stage.seen.load(Acquire) < (meeting + 1) * (stage.cpus - 1) {
            smp::spin();
        }
        must(stage.space.unmap(SHARED, PAGE), "the shared page");
        stage.gone.store(meeting + 1, Release);
    }
    inside(&stage.space, || {
        let mut seen = mine;
        loop {
            let gone = stage.gone.load(Acquire) > meeting;
            let found = user::copy_in::<u64>(SHARED);
            if gone {
                expect_eq!(found, Err(Error::BadAddress), "a page that is gone");
                break;
            }
            if let Ok(found) = found {
                expect_eq!(found, meeting, "the shared page");
                if !seen {
                    seen = true;
                    stage.seen.fetch_add(1, AcqRel);
                }
                stage.reads.fetch_add(1, Relaxed);
            }
            smp::spin();
        }
    });
    stage.meet(turn);
}

/// All unmap the same: one does, the others hear that it is busy or gone.
fn all_unmap(stage: &Stage, cpu: u64, turn: &mut u64) {
    let pages = SLOTS as u64;
    if cpu == 0 {
        must(
            stage
                .space
                .map(stage.memory.clone(), 0, pages * PAGE, SHARED, READ),
            "the shared pages",
        );
    }
    stage.meet(turn);
    match stage.space.unmap(SHARED, pages * PAGE) {
        Ok(()) => {
            stage.unmapped.fetch_add(1, Relaxed);
        }
        Err(Error::Busy | Error::BadAddress) => {}
        Err(error) => panic!("the shared pages: {error}"),
    }
    stage.meet(turn);
}

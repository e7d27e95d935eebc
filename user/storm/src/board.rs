//! The page that all processes of the storm share: who goes on, and how often everybody did his thing.

use alloc::format;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use rt::object::Object;
use rt::{Memory, Process, Rights};

use crate::random::Random;
use crate::{Wrong, ensure};

/// How many processes there can be.
pub(crate) const LINES: usize = 96;
/// On how many CPUs processes are pinned.
pub(crate) const CPUS: usize = 16;

/// The page. Only atomics, so whoever sees it may write it.
#[repr(C)]
pub(crate) struct Board {
    stop: AtomicU64,
    /// A number that many increment with load-exclusive and store-exclusive.
    pub(crate) shared: AtomicU64,
    /// On each CPU: which of the equal FP processes ran last.
    pub(crate) ran_last: [AtomicU64; CPUS],
    pub(crate) lines: [Line; LINES],
}

/// What one process notes.
#[repr(C)]
pub(crate) struct Line {
    /// Rounds, each checked.
    pub(crate) rounds: AtomicU64,
    /// What its role counts besides.
    pub(crate) events: AtomicU64,
}

const _: () = assert!(size_of::<Board>() <= rt::object::PAGE as usize);

impl Board {
    /// The board in this memory; it stays mapped.
    pub(crate) fn map(memory: &Memory) -> Result<&'static Self, Wrong> {
        let place = memory.map(Rights::READ.with(Rights::WRITE))?.leak();
        // SAFETY: a page, mapped for ever, of which all only use the atomics.
        Ok(unsafe { &*place.cast() })
    }

    /// Whether all are to go on.
    pub(crate) fn goes_on(&self) -> bool {
        self.stop.load(Acquire) == 0
    }

    /// All are to stop at the end of their rounds.
    pub(crate) fn stop(&self) {
        self.stop.store(1, Release);
    }

    /// As it was at first.
    pub(crate) fn clear(&self) {
        self.stop.store(0, Release);
        self.shared.store(0, Relaxed);
        for line in &self.lines {
            line.rounds.store(0, Relaxed);
            line.events.store(0, Relaxed);
        }
    }
}

/// What a process is told, and where it notes what it did.
pub(crate) struct Post {
    pub(crate) board: &'static Board,
    pub(crate) line: &'static Line,
    /// Its line's number, from 1: nobody else has it.
    pub(crate) number: u64,
    /// The CPU of a role that is pinned.
    pub(crate) cpu: usize,
    pub(crate) random: Random,
}

impl Post {
    /// Of this process: line, CPU, seed.
    pub(crate) fn mine(arguments: &[&str]) -> Result<Self, Wrong> {
        let number = |at: usize| arguments.get(at)?.parse::<u64>().ok();
        let (Some(line), Some(cpu), Some(seed)) = (number(0), number(1), number(2)) else {
            return Err(Wrong::from("a line, a CPU and a seed are needed"));
        };
        let memory: Memory =
            rt::start::take("board").ok_or_else(|| Wrong::from("no board was granted"))?;
        let board = Board::map(&memory)?;
        ensure!(
            (line as usize) < LINES && (cpu as usize) < CPUS,
            "there is no line {line}, or no CPU {cpu}"
        );
        Ok(Self {
            board,
            line: &board.lines[line as usize],
            number: line + 1,
            cpu: cpu as usize,
            random: Random::new(seed ^ (line + 1) << 32),
        })
    }

    /// The handle that was granted under that name.
    pub(crate) fn grant<T: Object>(&self, name: &str) -> Result<T, Wrong> {
        rt::start::take(name).ok_or_else(|| Wrong(format!("no {name} was granted")))
    }

    /// This process stays on its CPU.
    pub(crate) fn pin(&self) -> Result<(), Wrong> {
        Ok(rt::start::first_thread().set_cpus(1 << self.cpu)?)
    }

    /// Counts a round.
    pub(crate) fn count(&self) {
        self.line.rounds.fetch_add(1, Relaxed);
    }

    /// Counts events.
    pub(crate) fn events(&self, count: u64) {
        self.line.events.fetch_add(count, Relaxed);
    }

    /// Has `round` done until all stop. What is made once is made in the first rounds; after them, no
    /// handle may be left over.
    pub(crate) fn work(&self, mut round: impl FnMut() -> Result<(), Wrong>) -> Result<(), Wrong> {
        for _ in 0..2 {
            round()?;
            self.count();
        }
        let before = Process::own().report()?.handles;
        while self.board.goes_on() {
            round()?;
            self.count();
        }
        let after = Process::own().report()?.handles;
        ensure!(after <= before, "{before} handles became {after}");
        Ok(())
    }
}

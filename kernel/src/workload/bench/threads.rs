//! Threads of the kernel: switch, life and death, wake-up.

use super::Failure;
use super::stretch::{HINTS, Reading, Samples, TIMES, begin, end};
use crate::clock;
use crate::thread::{self, Spec};
use core::time::Duration;
use cpu::hw::sysreg;
use sched::{CpuSet, Level};

fn spec(entry: fn(usize)) -> Spec<'static> {
    Spec {
        name: "bench",
        level: Level::HIGHEST,
        allowed: CpuSet::ALL,
        entry,
        argument: 0,
    }
}

/// From one thread's call of `yield_now` to the return of another's of the same level: one way.
pub(super) fn switch<const K: u32>() -> Result<Samples, Failure> {
    /// When a thread began the latest stretch; the other one ends it.
    static BEGAN: Reading = Reading::new();
    fn yields<const K: u32>(_: usize) {
        for _ in 0..TIMES {
            BEGAN.put(begin::<K>());
            thread::yield_now();
            let _ = BEGAN.take();
        }
    }
    let other = thread::spawn(&spec(yields::<K>))?;
    let mut samples = Samples::new()?;
    thread::yield_now();
    while !other.is_done() {
        let ended = end::<K>();
        samples.add([BEGAN.take(), ended])?;
        thread::yield_now();
    }
    other.join();
    Ok(samples)
}

/// From the call of `spawn` to the return of `join`, for a thread that does nothing.
pub(super) fn create_join<const K: u32>() -> Result<Samples, Failure> {
    fn nothing(_: usize) {}
    // The first thread pays for its stack's mapping; stacks are used again.
    thread::spawn(&spec(nothing))?.join();
    let mut failed = None;
    let samples = Samples::of(|| {
        let start = begin::<K>();
        match thread::spawn(&spec(nothing)) {
            Ok(thread) => thread.join(),
            Err(error) => failed = Some(error),
        }
        [start, end::<K>()]
    });
    match failed {
        Some(error) => Err(error.into()),
        None => samples,
    }
}

/// From the moment a sleeping thread is due to its first instruction after `sleep_until`, on a CPU that
/// is idle meanwhile. It begins at no instruction, in the middle of a WFI, so no hint can stand there.
pub(super) fn wake_up() -> Result<Samples, Failure> {
    Samples::of(|| {
        let due = clock::now() + clock::ticks(Duration::from_micros(100));
        thread::sleep_until(due);
        // `due` is as if it had been read just before the first instruction; there are no hints.
        [due, sysreg::counter_loose() + HINTS]
    })
}

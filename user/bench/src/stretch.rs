//! A measured stretch: two reads of the counter with two hints between them.
//!
//! As in the kernel: an empty stretch differs by [`OVERHEAD`] instructions, which is subtracted, so
//! that what remains is what lies between the hints.

use alloc::string::String;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often each operation is done. Odd, so that the median is one of the values.
pub(crate) const TIMES: usize = 301;

/// What the two reads of an empty stretch differ by: two hints and a read.
pub(crate) const OVERHEAD: u64 = 3;

/// The marker of the calibration, which is no row's.
const OWN: u32 = 31;

/// Where a stretch begins. Gives the counter just before.
#[inline(always)]
pub(crate) fn begin<const K: u32>() -> u64 {
    let counter: u64;
    // SAFETY: reads the counter; the hint does nothing. Not `nomem`: what is measured stays inside.
    unsafe {
        asm!("mrs {counter}, cntvct_el0", "hint #(0x40 + {k})",
            counter = out(reg) counter, k = const K, options(nostack, preserves_flags));
    }
    counter
}

/// Where a stretch ends. Gives the counter just after.
#[inline(always)]
pub(crate) fn end<const K: u32>() -> u64 {
    let counter: u64;
    // SAFETY: as in `begin`.
    unsafe {
        asm!("hint #(0x60 + {k})", "mrs {counter}, cntvct_el0",
            counter = out(reg) counter, k = const K, options(nostack, preserves_flags));
    }
    counter
}

/// A reading of the counter that one thread leaves for another.
pub(crate) struct Reading(AtomicU64);

impl Reading {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline(always)]
    pub(crate) fn put(&self, counter: u64) {
        self.0.store(counter, Relaxed);
    }

    /// Takes the reading; 0 if there was none since it was taken last.
    #[inline(always)]
    pub(crate) fn take(&self) -> u64 {
        let counter = self.0.load(Relaxed);
        self.0.store(0, Relaxed);
        counter
    }
}

/// How many instructions an operation took, each time.
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    /// Of differences between two readings, in which `more` instructions beside the operation are.
    pub(crate) fn of_differences(mut differences: Vec<u64>, more: u64) -> Result<Self, String> {
        for difference in &mut differences {
            *difference = difference
                .checked_sub(more)
                .ok_or("a stretch was not passed from its beginning to its end")?;
        }
        Ok(Self(differences))
    }

    /// Does `once` [`TIMES`] times; it gives the two readings of its stretch.
    pub(crate) fn of(mut once: impl FnMut() -> Result<[u64; 2], String>) -> Result<Self, String> {
        let mut differences = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let [start, end] = once()?;
            differences.push(if start == 0 {
                0
            } else {
                end.saturating_sub(start)
            });
        }
        Self::of_differences(differences, OVERHEAD)
    }

    /// The least, the median, the most; `None` if there is nothing.
    pub(crate) fn sorted(mut self) -> Option<[u64; 3]> {
        self.0.sort_unstable();
        let median = self.0.get(self.0.len() / 2)?;
        Some([*self.0.first()?, *median, *self.0.last()?])
    }
}

/// Proves that the counter counts instructions here, by stretches of known length.
pub(crate) fn calibrate() -> Result<(), String> {
    let hundred = Samples::of(|| {
        let start = begin::<OWN>();
        // SAFETY: nothing, a hundred times.
        unsafe {
            asm!(
                ".rept 100",
                "nop",
                ".endr",
                options(nostack, preserves_flags)
            );
        };
        Ok([start, end::<OWN>()])
    })?;
    match hundred.sorted() {
        Some([100, 100, 100]) => Ok(()),
        other => Err(alloc::format!(
            "the counter does not count instructions on this machine: a hundred were {other:?}; \
             use `petrel bench`, which runs QEMU with -icount and one CPU"
        )),
    }
}

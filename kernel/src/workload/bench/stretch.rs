//! A measured stretch: two reads of the counter with two hints between them.
//!
//! ```text
//! mrs  start, cntvct_el0
//! hint #(0x40 + k)
//! ...                      what is measured
//! hint #(0x60 + k)
//! mrs  end, cntvct_el0
//! ```
//!
//! The counter says how many instructions have been executed, the reading one included. So the reads
//! of an *empty* stretch differ by [`OVERHEAD`] instructions, two hints and a read, and that is
//! subtracted from every stretch: what remains is what an outside counter finds between the hints.
//! The hints are unallocated, and do nothing at any exception level (DDI 0487, C6.2.121).

use crate::workload::Failure;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How often each operation is done. Odd, so that the median is one of the values.
pub(super) const TIMES: usize = 1001;

/// What the two reads of an empty stretch differ by; [`calibrate`] proves it.
const OVERHEAD: u64 = HINTS + 1;

/// How many of them are hints.
pub(super) const HINTS: u64 = 2;

/// The marker of the calibration, which is no row's.
const OWN: u32 = 31;

/// Where a stretch begins. Gives the counter just before.
#[inline(always)]
pub(super) fn begin<const K: u32>() -> u64 {
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
pub(super) fn end<const K: u32>() -> u64 {
    let counter: u64;
    // SAFETY: as in `begin`.
    unsafe {
        asm!("hint #(0x60 + {k})", "mrs {counter}, cntvct_el0",
            counter = out(reg) counter, k = const K, options(nostack, preserves_flags));
    }
    counter
}

/// A reading of the counter that one side of a measurement leaves for the other.
pub(super) struct Reading(AtomicU64);

impl Reading {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline(always)]
    pub(super) fn put(&self, counter: u64) {
        self.0.store(counter, Relaxed);
    }

    /// Takes the reading; 0 if there was none since it was taken last.
    #[inline(always)]
    pub(super) fn take(&self) -> u64 {
        let counter = self.0.load(Relaxed);
        self.0.store(0, Relaxed);
        counter
    }
}

/// How many instructions an operation took, each time.
pub(super) struct Samples(Vec<u64>);

impl Samples {
    /// Room for all of them: nothing is allocated while measuring.
    ///
    /// # Errors
    /// Out of memory.
    pub(super) fn new() -> Result<Self, Failure> {
        let mut values = Vec::new();
        values.try_reserve_exact(TIMES)?;
        Ok(Self(values))
    }

    /// Does `once` [`TIMES`] times; it gives the two readings of its stretch.
    ///
    /// # Errors
    /// Out of memory; or a reading is missing: what should have been measured did not happen.
    pub(super) fn of(mut once: impl FnMut() -> [u64; 2]) -> Result<Self, Failure> {
        let mut samples = Self::new()?;
        for _ in 0..TIMES {
            samples.add(once())?;
        }
        Ok(samples)
    }

    /// Adds one stretch.
    ///
    /// # Errors
    /// A reading is missing.
    pub(super) fn add(&mut self, [start, end]: [u64; 2]) -> Result<(), Failure> {
        match end.checked_sub(start) {
            Some(ticks) if start != 0 && ticks >= OVERHEAD => self.0.push(ticks - OVERHEAD),
            _ => {
                return Err(Failure::new(format_args!(
                    "a stretch was not passed from its beginning ({start}) to its end ({end})"
                )));
            }
        }
        Ok(())
    }

    /// The least, the median, the most; `None` if there is nothing.
    pub(super) fn sorted(mut self) -> Option<[u64; 3]> {
        self.0.sort_unstable();
        let median = self.0.get(self.0.len() / 2)?;
        Some([*self.0.first()?, *median, *self.0.last()?])
    }
}

/// Proves that the counter counts instructions here, by stretches of known length.
///
/// # Errors
/// It does not: a sentence that says what to do.
pub(super) fn calibrate() -> Result<(), Failure> {
    let empty = Samples::of(|| [begin::<OWN>(), end::<OWN>()]);
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
        [start, end::<OWN>()]
    });
    let all = |samples: Result<Samples, Failure>, instructions| {
        samples.is_ok_and(|samples| samples.sorted() == Some([instructions; 3]))
    };
    if all(empty, 0) && all(hundred, 100) {
        return Ok(());
    }
    Err(
        "the counter does not count instructions on this machine: use `petrel bench`, which \
         runs QEMU with -icount and one CPU"
            .into(),
    )
}

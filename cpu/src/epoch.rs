//! Epochs: tables that handlers in any context read without a lock, and that can still change.
//!
//! A reader holds a [`Pinned`] proof and so cannot be switched out; an NMI handler is such a reader by
//! nature. Who replaces a table waits in [`synchronize`] until every CPU has either passed a switch
//! since, or is *quiescent* (idle, EL0), and frees the old one then. `irqentry_enter` and
//! `nmi_enter` end quiescence before any handler looks ([`begin_watching`]).
//!
//! The order that matters (the store of `watching` against the load of the table on the reader's side;
//! the store of the table against the load of `watching` on the other) is held by a full barrier on
//! each side, as in any Dekker-like protocol (DDI 0487, B2.3).

use crate::cell::Steps;
use crate::guard::Pinned;
use crate::local;
use crate::percpu::{self, PerCpu};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

static EPOCH: AtomicU64 = AtomicU64::new(1);

/// Ends quiescence. Gives whether this call did, which is whether [`end_watching`] is due.
#[inline(always)]
pub fn begin_watching<M: Steps>(cpu: &PerCpu) -> bool {
    if cpu.watching.get::<M>() != 0 {
        return false;
    }
    cpu.watching.set::<M>(1);
    fence(Ordering::SeqCst);
    true
}

/// The same on entry from EL0, where a CPU is quiescent without exception.
#[inline(always)]
pub fn begin_watching_from_el0<M: Steps>(cpu: &PerCpu) {
    cpu.watching.set::<M>(1);
    fence(Ordering::SeqCst);
}

/// Makes the CPU quiescent: from here on it holds no reference into a table.
#[inline(always)]
pub fn end_watching<M: Steps>(cpu: &PerCpu) {
    fence(Ordering::Release);
    cpu.watching.set::<M>(0);
}

/// A quiescent point: the scheduler calls it at each switch.
#[inline(always)]
pub fn pass(proof: &impl Pinned) {
    let now = EPOCH.load(Ordering::Acquire);
    proof.cpu().quiet_epoch.store(now, Ordering::Release);
}

/// Waits until nobody can hold a reference that was taken before this call. Threads only; `relax` is
/// called while waiting, and should let others run.
///
/// The CPU that the caller runs on needs no waiting for: a reader there is pinned, so it is done.
pub fn synchronize(mut relax: impl FnMut()) {
    fence(Ordering::SeqCst);
    let mine = EPOCH.fetch_add(1, Ordering::SeqCst) + 1;
    for cpu in percpu::all() {
        let is_here = || core::ptr::eq(cpu, local::thread().cpu_ptr());
        while cpu.quiet_epoch.load(Ordering::Acquire) < mine
            && cpu.watching.peek() != 0
            && !is_here()
        {
            relax();
        }
    }
    fence(Ordering::SeqCst);
}

/// A table that is read in any context and replaced as a whole.
#[derive(Debug)]
pub struct EpochCell<T: 'static> {
    current: AtomicPtr<T>,
    table: PhantomData<&'static T>,
}

impl<T: Sync> EpochCell<T> {
    /// Begins with `table`.
    pub const fn new(table: &'static T) -> Self {
        Self {
            current: AtomicPtr::new(core::ptr::from_ref(table).cast_mut()),
            table: PhantomData,
        }
    }

    /// The table as it is now. Any context; lasts as long as the proof.
    #[inline(always)]
    pub fn read<'a>(&self, _: &'a impl Pinned) -> &'a T {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: `current` always comes from a `&'static T`. Its owner takes it back only through
        // the reference `replace` returned, after `synchronize`: then no proof from before lives.
        unsafe { &*current }
    }

    /// Puts `table` in its place and gives the old one, which readers may still see until
    /// [`synchronize`] has returned.
    pub fn replace(&self, table: &'static T) -> &'static T {
        let old = self
            .current
            .swap(core::ptr::from_ref(table).cast_mut(), Ordering::AcqRel);
        // SAFETY: as in `read`, it comes from a `&'static T`.
        unsafe { &*old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::NoSteps;
    use crate::guard::PreemptGuard;
    use std::sync::atomic::AtomicBool;

    /// A table that says whether it was freed.
    struct Table {
        freed: AtomicBool,
        words: [u64; 4],
    }

    impl Table {
        fn leak(word: u64) -> &'static Self {
            Box::leak(Box::new(Self {
                freed: AtomicBool::new(false),
                words: [word; 4],
            }))
        }
    }

    // One test, since the list of CPUs is one for the process.
    #[test]
    fn no_reader_sees_a_freed_or_torn_table() {
        const READERS: usize = 3;
        static STOP: AtomicBool = AtomicBool::new(false);
        static SEEN: AtomicU64 = AtomicU64::new(0);
        let cpus: Vec<&'static PerCpu> = (0..READERS as u32)
            .map(|index| &*Box::leak(Box::new(PerCpu::new(index, 0, Default::default()))))
            .collect();
        for cpu in &cpus {
            percpu::publish(cpu);
        }
        let cell: &'static EpochCell<Table> = Box::leak(Box::new(EpochCell::new(Table::leak(0))));
        let readers: Vec<_> = cpus
            .iter()
            .map(|cpu| {
                let cpu: &'static PerCpu = cpu;
                std::thread::spawn(move || {
                    local::thread().set_cpu(cpu);
                    let mut seen = 0_u64;
                    while !STOP.load(Ordering::Relaxed) {
                        // As an interrupt from a quiescent CPU: watch, look, go back.
                        let began = begin_watching::<NoSteps>(cpu);
                        let guard = PreemptGuard::new();
                        let table = cell.read(&guard);
                        for word in table.words {
                            assert_eq!(word, table.words[0]);
                            assert!(!table.freed.load(Ordering::SeqCst), "read after free");
                        }
                        seen = seen.max(table.words[0]);
                        SEEN.fetch_max(seen, Ordering::Relaxed);
                        drop(guard);
                        if began || seen.is_multiple_of(2) {
                            end_watching::<NoSteps>(cpu);
                        } else {
                            pass(&PreemptGuard::new());
                        }
                        std::thread::yield_now();
                    }
                    end_watching::<NoSteps>(cpu);
                })
            })
            .collect();
        // At least so often, and until a reader was fast enough to see a new table.
        let mut round = 0;
        while round < 200 || SEEN.load(Ordering::Relaxed) == 0 {
            round += 1;
            let old = cell.replace(Table::leak(round));
            synchronize(std::thread::yield_now);
            old.freed.store(true, Ordering::SeqCst);
        }
        STOP.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

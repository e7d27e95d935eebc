//! The trace ring: what happened on a CPU, written from any context, NMI included.
//!
//! A writer takes a slot with one atomic add and then fills it with plain stores. An NMI in between
//! takes the next slot and is done before the first writer goes on, so no slot has two writers, as long
//! as a writer is not migrated; entry code never is, others hold a guard. The oldest records are
//! overwritten, and how many were is always known: the head counts all that were ever written.

use abi::trace::{Event, Record};
use core::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};

/// Records in a ring.
pub const RECORDS: usize = 1024;
const _: () = assert!(RECORDS.is_power_of_two());

/// One slot: a [`Record`] as four words.
type Slot = [AtomicU64; 4];

/// The trace of one CPU.
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    head: AtomicU64,
    /// Whose ring it is; filled into the records when they are read.
    cpu: AtomicU16,
    slots: [Slot; RECORDS],
}

/// What and who, for a record: event in bits 15:0, thread in 63:32.
#[inline(always)]
fn origin(event: Event, thread: u32) -> u64 {
    event as u64 | u64::from(thread) << 32
}

impl Ring {
    /// An empty ring of CPU `cpu`.
    pub const fn new(cpu: u16) -> Self {
        Self {
            head: AtomicU64::new(0),
            cpu: AtomicU16::new(cpu),
            slots: [const { [const { AtomicU64::new(0) }; 4] }; RECORDS],
        }
    }

    /// Says whose ring it is. Before it is used.
    pub fn set_cpu(&self, cpu: u16) {
        self.cpu.store(cpu, Relaxed);
    }

    /// Writes one record. Any context, on the ring's own CPU, not migratable.
    #[inline(always)]
    pub fn write(&self, when: u64, event: Event, thread: u32, a: u64, b: u64) {
        let slot = &self.slots[self.head.fetch_add(1, Relaxed) as usize % RECORDS];
        slot[0].store(when, Relaxed);
        slot[1].store(origin(event, thread), Relaxed);
        slot[2].store(a, Relaxed);
        slot[3].store(b, Relaxed);
    }

    /// How many records were ever written.
    pub fn written(&self) -> u64 {
        self.head.load(Relaxed)
    }

    /// How many were overwritten since.
    pub fn lost(&self) -> u64 {
        self.written().saturating_sub(RECORDS as u64)
    }

    /// The records still there, oldest first. Exact when the CPU has stopped; while it runs, the
    /// newest may be half written.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record> + '_ {
        let written = self.written();
        (self.lost()..written).map(|at| {
            let slot = &self.slots[at as usize % RECORDS];
            let origin = slot[1].load(Relaxed);
            Record {
                when: slot[0].load(Relaxed),
                event: origin as u16,
                cpu: self.cpu.load(Relaxed),
                thread: (origin >> 32) as u32,
                a: slot[2].load(Relaxed),
                b: slot[3].load(Relaxed),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_counts_the_lost() {
        let ring = Ring::new(3);
        assert_eq!(ring.records().count(), 0);
        let all = RECORDS as u64 + 10;
        for at in 0..all {
            ring.write(at, Event::Mark, 77, at * 2, at * 3);
        }
        assert_eq!(ring.lost(), 10);
        let records: Vec<_> = ring.records().collect();
        assert_eq!(records.len(), RECORDS);
        assert!(records.iter().map(|record| record.when).eq(10..all));
        let first = records[0];
        assert_eq!((first.cpu, first.thread, first.a, first.b), (3, 77, 20, 30));
        assert_eq!(Event::from_number(first.event), Some(Event::Mark));
    }
}

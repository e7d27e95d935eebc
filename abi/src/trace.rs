//! The trace record: what a ring holds, what a dump file holds.
//!
//! A dump is a [`DumpHeader`] followed, for each CPU, by a [`CpuHeader`] and that CPU's records,
//! oldest first; all little-endian. `make trace` and the panic report read the same records.

/// One thing that happened on one CPU. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// `CNTVCT_EL0` when it happened, in counter ticks.
    pub when: u64,
    /// Number of an [`Event`].
    pub event: u16,
    /// Index of the CPU.
    pub cpu: u16,
    /// Id of the thread that ran, or was interrupted.
    pub thread: u32,
    /// First argument; its meaning is the event's.
    pub a: u64,
    /// Second argument; its meaning is the event's.
    pub b: u64,
}

const _: () = assert!(size_of::<Record>() == 32);

/// What happened. The arguments are given as (a, b).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Event {
    /// Nothing: a slot that was never written.
    Empty = 0,
    /// A path was entered: (path stack with the new path, ELR).
    Enter = 1,
    /// A path is about to return: (path stack with the path still on it, 0).
    Exit = 2,
    /// The CPU switched threads: (id of the next thread, why: a path number).
    Switch = 3,
    /// A thread was woken: (its id, CPU it was queued on).
    Wake = 4,
    /// An interrupt was acknowledged: (INTID, RPR).
    Acknowledge = 5,
    /// Free for workloads.
    Mark = 6,
}

impl Event {
    /// All events, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Empty,
        Self::Enter,
        Self::Exit,
        Self::Switch,
        Self::Wake,
        Self::Acknowledge,
        Self::Mark,
    ];

    /// The event with this number; `None` for a number that no event has.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// First bytes of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DumpHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// `CNTFRQ_EL0`, in Hz.
    pub frequency_hz: u64,
    /// How many CPUs follow.
    pub cpus: u64,
}

/// What a dump begins with.
pub const MAGIC: [u8; 8] = *b"PTRLTRC1";

/// First bytes of one CPU's part of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CpuHeader {
    /// Index of the CPU.
    pub cpu: u64,
    /// How many records follow.
    pub records: u64,
    /// How many older records the ring had to overwrite.
    pub lost: u64,
}

const _: () = assert!(size_of::<DumpHeader>() == 24 && size_of::<CpuHeader>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_numbers_come_back() {
        for (number, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, number);
            assert_eq!(Event::from_number(number as u16), Some(event));
        }
        assert_eq!(Event::from_number(Event::ALL.len() as u16), None);
    }
}

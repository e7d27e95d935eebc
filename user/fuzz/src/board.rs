//! The board: a page that the watcher and its process share, on which the process says what it does.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Room for the numbers of calls that are counted.
pub const CALLS: usize = 96;
/// Room for the numbers of errors.
pub const ERRORS: usize = 32;

/// The page.
#[repr(C)]
#[derive(Debug)]
pub struct Board {
    /// Calls that were made.
    made: AtomicU64,
    /// What [`verify`](crate::verify) said, if it said something: number of the call and 1 in the upper
    /// half, which register in the lower.
    broken: AtomicU64,
    /// How often each call was granted.
    granted: [AtomicU64; CALLS],
    /// How often each error came back.
    refused: [AtomicU64; ERRORS],
}

const _: () = assert!(size_of::<Board>() <= 4096);

impl Board {
    /// Notes a call and its status.
    pub fn note(&self, call: u64, status: u64) {
        self.made.fetch_add(1, Relaxed);
        let (list, index): (&[AtomicU64], u64) = match status {
            0 => (&self.granted, call),
            _ => (&self.refused, status),
        };
        if let Some(count) = usize::try_from(index).ok().and_then(|at| list.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Notes that a call broke a promise.
    pub fn note_broken(&self, call: u64, register: usize) {
        let number = u64::from(call as u32).wrapping_add(1) << 32 | register as u64;
        self.broken.store(number, Relaxed);
    }

    /// Calls that were made.
    pub fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Which call broke a promise about which register.
    pub fn broken(&self) -> Option<(u64, u64)> {
        match self.broken.load(Relaxed) {
            0 => None,
            number => Some(((number >> 32) - 1, number & 0xffff_ffff)),
        }
    }

    /// How often that call was granted.
    pub fn granted(&self, call: usize) -> u64 {
        self.granted
            .get(call)
            .map_or(0, |count| count.load(Relaxed))
    }

    /// How often that error came back.
    pub fn refused(&self, error: usize) -> u64 {
        self.refused
            .get(error)
            .map_or(0, |count| count.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read() {
        // SAFETY: atomics, for which zeroes are numbers.
        let board: Board = unsafe { core::mem::zeroed() };
        board.note(13, 0);
        board.note(13, 0);
        board.note(17, 2);
        board.note(u64::MAX, u64::MAX);
        assert_eq!(board.made(), 4);
        assert_eq!(
            (board.granted(13), board.granted(17), board.refused(2)),
            (2, 0, 1)
        );
        assert_eq!(board.broken(), None);
        board.note_broken(0, 9);
        assert_eq!(board.broken(), Some((0, 9)));
    }
}

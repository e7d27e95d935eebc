//! The last lines that the kernel printed.

use alloc::vec::Vec;

/// How much is kept.
pub const BYTES: usize = 32 << 10;

/// A ring of text. What is written overwrites the oldest.
pub struct Log {
    /// The last [`BYTES`] of them; byte `n` at `n % BYTES`.
    bytes: Vec<u8>,
    /// How many bytes were ever written.
    written: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            bytes: alloc::vec![0; BYTES],
            written: 0,
        }
    }

    /// Adds text.
    pub fn add(&mut self, text: &[u8]) {
        for byte in text {
            self.bytes[self.written as usize % BYTES] = *byte;
            self.written += 1;
        }
    }

    /// Where the last `lines` lines begin: a position for [`Log::read`]. What follows the last line
    /// feed is a line, too.
    pub fn last(&self, lines: usize) -> u64 {
        if lines == 0 {
            return self.written;
        }
        let oldest = self.oldest();
        let mut wanted = lines;
        let mut at = self.written;
        if at > oldest && self.at(at - 1) == b'\n' {
            at -= 1;
        }
        while at > oldest {
            if self.at(at - 1) == b'\n' {
                wanted -= 1;
                if wanted == 0 {
                    break;
                }
            }
            at -= 1;
        }
        at
    }

    /// Copies what stands from `position` on; where it begins, which is later if that is overwritten,
    /// and how many bytes it is: 0 at the end.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> (u64, usize) {
        let start = position.clamp(self.oldest(), self.written);
        let count = buffer.len().min((self.written - start) as usize);
        for (place, at) in buffer[..count].iter_mut().zip(start..) {
            *place = self.at(at);
        }
        (start, count)
    }

    fn oldest(&self) -> u64 {
        self.written.saturating_sub(BYTES as u64)
    }

    fn at(&self, position: u64) -> u8 {
        self.bytes[position as usize % BYTES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    fn read(log: &Log, lines: usize) -> String {
        let mut text = Vec::new();
        let mut at = log.last(lines);
        let mut buffer = [0; 7];
        loop {
            let (start, count) = log.read(at, &mut buffer);
            if count == 0 {
                return String::from_utf8(text).unwrap();
            }
            text.extend_from_slice(&buffer[..count]);
            at = start + count as u64;
        }
    }

    #[test]
    fn the_last_lines() {
        let mut log = Log::new();
        assert_eq!(read(&log, 3), "");
        log.add(b"one\ntwo\n");
        log.add(b"three\n");
        assert_eq!(read(&log, 0), "");
        assert_eq!(read(&log, 1), "three\n");
        assert_eq!(read(&log, 2), "two\nthree\n");
        assert_eq!(read(&log, 3), "one\ntwo\nthree\n");
        assert_eq!(read(&log, usize::MAX), "one\ntwo\nthree\n");
        log.add(b"half");
        assert_eq!(read(&log, 2), "three\nhalf");
    }

    #[test]
    fn the_oldest_are_overwritten() {
        let mut log = Log::new();
        for _ in 0..BYTES {
            log.add(b"0123456789\n");
        }
        let all = read(&log, usize::MAX);
        assert_eq!(all.len(), BYTES);
        assert!(all.ends_with("\n0123456789\n"));
        assert_eq!(log.read(0, &mut [0; 4]), (log.written - BYTES as u64, 4));
    }
}

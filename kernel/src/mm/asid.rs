//! Address space identifiers: what TLB entries of a user address space are told apart by.
//!
//! Each living space has one of its own, so that a switch flushes nothing. The lowest free one is
//! taken: a number that was given back is soon used again, and a flush that was forgotten shows at
//! once and not after 65,535 spaces. Number 0 belongs to the empty space.

use abi::error::Error;
use boot::arch;
use cpu::lock::{Irq, Lock};
use cpu::plant::{Plant, planted};

/// Words of the largest set of numbers there is.
const WORDS: usize = (1 << 16) / 64;

/// Which numbers are taken.
struct Numbers {
    taken: [u64; WORDS],
    /// Bit n: no number in word n is free.
    full: [u64; WORDS / 64],
}

static NUMBERS: Lock<Numbers, Irq> = Lock::new(Numbers {
    taken: {
        let mut taken = [0; WORDS];
        taken[0] = 1;
        taken
    },
    full: [0; WORDS / 64],
});

impl Numbers {
    fn take(&mut self) -> Option<u16> {
        let group = self.full.iter().position(|group| *group != u64::MAX)?;
        let word = group * 64 + (!self.full[group]).trailing_zeros() as usize;
        let number = word * 64 + (!self.taken[word]).trailing_zeros() as usize;
        if number >= 1 << arch::asid_bits() {
            return None;
        }
        self.taken[word] |= 1 << (number % 64);
        if self.taken[word] == u64::MAX {
            self.full[group] |= 1 << (word % 64);
        }
        Some(number as u16)
    }

    fn give_back(&mut self, number: u16) {
        let word = usize::from(number) / 64;
        self.taken[word] &= !(1 << (number % 64));
        self.full[word / 64] &= !(1 << (word % 64));
    }
}

/// A number that nobody else has. It comes back when this is dropped: by then, no CPU may have a
/// translation under it any more ([`Asid::flush`]).
pub(crate) struct Asid(u16);

impl Asid {
    /// The lowest free number. Any context but NMIs.
    ///
    /// # Errors
    /// [`Error::TooMany`]: all are taken.
    pub(crate) fn new() -> Result<Self, Error> {
        if planted(Plant::WrongAsid) {
            return Ok(Self(1));
        }
        NUMBERS.lock().take().map(Self).ok_or(Error::TooMany)
    }

    /// As the field of `TTBR0_EL1`, and of the operand of a TLB invalidation.
    #[inline(always)]
    pub(crate) fn field(&self) -> u64 {
        u64::from(self.0) << 48
    }

    /// Has all CPUs forget what they know of translations under this number, and waits until they
    /// have (DDI 0487, D8.17).
    pub(crate) fn flush(&self) {
        // SAFETY: forgetting a translation is always permitted.
        unsafe {
            core::arch::asm!("dsb ishst", "tlbi aside1is, {}", "dsb ish", "isb",
                in(reg) self.field(), options(nostack, preserves_flags));
        }
    }
}

impl Drop for Asid {
    fn drop(&mut self) {
        NUMBERS.lock().give_back(self.0);
    }
}

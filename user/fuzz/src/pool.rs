//! Handles that the threads know: a few of every kind, some of them closed or revoked meanwhile.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::random::Random;

/// How many are known at a time.
pub const SLOTS: usize = 96;

/// The handles.
#[derive(Debug)]
pub struct Pool([AtomicU32; SLOTS]);

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// None yet.
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; SLOTS])
    }

    /// Puts a handle somewhere; returns the one that was there, of which nobody knows any more.
    pub fn put(&self, handle: u32, random: &mut Random) -> u32 {
        self.0[random.below(SLOTS as u64) as usize].swap(handle, Relaxed)
    }

    /// One of them; or, less often, something like one.
    pub fn pick(&self, random: &mut Random) -> u64 {
        let known = self.0[random.below(SLOTS as u64) as usize].load(Relaxed);
        let known = u64::from(known);
        match random.below(40) {
            0 => known ^ 1 << random.below(32),
            1 => known.wrapping_add(random.below(8)),
            2 => known | random.number() << 32,
            3 => random.of(&[0, 1, u64::from(u32::MAX), u64::MAX, 1 << 17, (1 << 17) - 1]),
            4 => random.number(),
            _ => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_picked() {
        let (pool, mut random) = (Pool::new(), Random::new(1));
        for handle in 1..2000 {
            pool.put(handle, &mut random);
        }
        let known = (0..1000).filter(|_| (1..2000).contains(&pool.pick(&mut random)));
        let known = known.count();
        assert!((800..1000).contains(&known), "{known}");
    }
}

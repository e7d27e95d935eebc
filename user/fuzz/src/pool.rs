//! Handles that the threads know: a few of every kind, some of them closed or revoked meanwhile.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rt::abi::handle::Kind;

use crate::random::Random;

/// How many of a kind are known at a time.
pub const SLOTS: usize = 12;
/// How many kinds there are, and what came in messages and may be anything.
const KINDS: usize = Kind::ALL.len() + 1;

/// The handles.
#[derive(Debug)]
pub struct Pool([[AtomicU32; SLOTS]; KINDS]);

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// None yet.
    pub const fn new() -> Self {
        Self([const { [const { AtomicU32::new(0) }; SLOTS] }; KINDS])
    }

    fn of(&self, kind: Option<Kind>) -> &[AtomicU32; SLOTS] {
        &self.0[kind.map_or(0, |kind| kind as usize)]
    }

    /// Puts a handle somewhere; returns the one that was there, of which nobody knows any more.
    pub fn put(&self, kind: Option<Kind>, handle: u32, random: &mut Random) -> u32 {
        self.of(kind)[random.below(SLOTS as u64) as usize].swap(handle, Relaxed)
    }

    /// One of that kind; or, less often, of another, or something like one.
    pub fn pick(&self, kind: Kind, random: &mut Random) -> u64 {
        let kind = match random.below(10) {
            0 => Some(random.of(&Kind::ALL)),
            1 => None,
            _ => Some(kind),
        };
        let known = self.of(kind)[random.below(SLOTS as u64) as usize].load(Relaxed);
        let known = u64::from(known);
        match random.below(80) {
            0 => known ^ 1 << random.below(32),
            1 => known.wrapping_add(random.below(8)),
            2 => known | random.number() << 32,
            3 => random.of(&[0, 1, u64::from(u32::MAX), u64::MAX, 1 << 17, (1 << 17) - 1]),
            4 => random.number(),
            _ => known,
        }
    }

    /// Of which kind a handle is that is known.
    pub fn kind(&self, handle: u32) -> Option<Kind> {
        Kind::ALL
            .into_iter()
            .find(|kind| self.all(*kind).any(|known| known == handle))
    }

    /// All of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = u32> {
        self.of(Some(kind)).iter().map(|slot| slot.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mostly_the_kind_that_is_wanted_is_picked() {
        let (pool, mut random) = (Pool::new(), Random::new(1));
        for number in 0..2000 {
            let kind = Kind::ALL[number % Kind::ALL.len()];
            pool.put(Some(kind), 1000 * kind as u32 + 7, &mut random);
        }
        let count = |pool: &Pool, random: &mut Random, kind| {
            let right = 1000 * u64::from(kind as u8) + 7;
            (0..1000)
                .filter(|_| pool.pick(kind, random) == right)
                .count()
        };
        for kind in Kind::ALL {
            let right = count(&pool, &mut random, kind);
            assert!((700..950).contains(&right), "{kind:?}: {right}");
        }
    }
}

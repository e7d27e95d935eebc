//! Memory keeps what was written, and new memory has nothing in it.

use alloc::vec;

use rt::object::{MemoryKind, PAGE};
use rt::time::Duration;
use rt::{Error, Mapping, Memory, Rights};

use crate::board::Post;
use crate::random::Random;
use crate::{Wrong, ensure};

/// Words of the pattern that is kept over rounds.
const WORDS: usize = 8 << 10;
/// Pages that are made in each round.
const PAGES: usize = 4;

/// How often to look whether there is memory again, and how long to wait in between.
const LOOKS: u32 = 20_000;
const LOOK: Duration = Duration::from_millis(1);

/// The role.
pub(crate) fn run(post: &Post) -> Result<(), Wrong> {
    let both = Rights::READ.with(Rights::WRITE);
    let mut kept = vec![0_u64; WORDS];
    let mut seed = 0;
    post.work(|| {
        let random = Random::new(seed);
        let same = seed == 0 || kept.iter().all(|word| *word == random.number());
        ensure!(same, "a word in memory has changed");
        seed = post.random.number() | 1;
        let random = Random::new(seed);
        kept.fill_with(|| random.number());

        let memory = make()?;
        let (first, second) = (memory.map(both)?, memory.map(Rights::READ)?);
        ensure!(sum(&first) == 0, "new memory is not zero");
        for page in 0..PAGES {
            let word = seed ^ page as u64;
            first.write(page * PAGE as usize + 8 * page, &word.to_le_bytes());
        }
        let expected = (0..PAGES).fold(0, |sum: u64, page| sum.wrapping_add(seed ^ page as u64));
        ensure!(
            sum(&second) == expected,
            "one memory, mapped twice, differs"
        );
        post.events(1);
        Ok(())
    })
}

/// Makes memory. What was let go of is charged until no CPU can see it any more, so who is quick may have to
/// wait for his own.
fn make() -> Result<Memory, Wrong> {
    for _ in 0..LOOKS {
        match Memory::create(PAGES * PAGE as usize, MemoryKind::Normal) {
            Err(Error::NoMemory) => rt::time::sleep(LOOK),
            other => return Ok(other?),
        }
    }
    Err(Wrong::from("memory that was let go of is never free again"))
}

/// The sum of all words.
fn sum(mapping: &Mapping) -> u64 {
    let mut word = [0; 8];
    let offsets = (0..mapping.bytes()).step_by(8);
    offsets.fold(0, |sum: u64, offset| {
        mapping.read(offset, &mut word);
        sum.wrapping_add(u64::from_le_bytes(word))
    })
}

//! Does one space ever see what CPUs remember of another?
//!
//! What a CPU remembers it may forget at any time, and some do so whenever the ASID changes: there a
//! number that is wrong, or was not flushed, would never show. So here spaces follow each other without
//! another number in between.

use super::{AT, READ, inside, numbered, quota};
use crate::mm::asid::Asid;
use crate::mm::space::{self, Space};
use crate::mm::user;
use crate::object::quota::Quota;
use crate::object::{Memory, Ref};
use crate::workload::Failure;
use crate::workload::support::ensure;
use abi::error::Error;
use abi::memory::PAGE;
use alloc::vec::Vec;
use cpu::guard::PreemptGuard;

const FIRST: u64 = 0x1111;
const SECOND: u64 = 0x2222;
/// How often a number that comes back at once is waited for: others make spaces too.
const TRIES: u32 = 100;
/// The field of the ASID in `TTBR0_EL1`.
const ASID: u64 = 0xffff << 48;

/// How many numbers there are.
pub(super) fn check() -> Result<usize, Failure> {
    let quota = quota(1 << 20)?;
    two_at_once(&quota)?;
    used_again(&quota)?;
    exhausted(&quota)
}

/// A space that shows `value` at [`AT`].
fn showing(value: u64, quota: &Ref<Quota>) -> Result<Space, Failure> {
    let space = Space::new(quota)?;
    let memory: Ref<Memory> = numbered(1, value, quota)?;
    space.map(memory, 0, PAGE, AT, READ)?;
    Ok(space)
}

fn two_at_once(quota: &Ref<Quota>) -> Result<(), Failure> {
    let spaces = [showing(FIRST, quota)?, showing(SECOND, quota)?];
    let empty = Space::new(quota)?;
    let guard = PreemptGuard::new();
    let mut found = [Ok(0); 5];
    let order = [&spaces[0], &spaces[1], &spaces[0], &empty, &spaces[1]];
    for (found, space) in found.iter_mut().zip(order) {
        // SAFETY: they live until the empty table is installed, below.
        unsafe { space::install(space.ttbr()) };
        *found = user::copy_in(AT);
    }
    // SAFETY: it stays.
    unsafe { space::install(space::reserved_ttbr()) };
    drop(guard);
    let expected = [
        Ok(FIRST),
        Ok(SECOND),
        Ok(FIRST),
        Err(Error::BadAddress),
        Ok(SECOND),
    ];
    ensure!(
        found == expected,
        "spaces in turn show {found:x?}, not {expected:x?}: one sees what another maps"
    );
    Ok(())
}

/// A new space under a number that was just given back sees nothing of the one before.
fn used_again(quota: &Ref<Quota>) -> Result<(), Failure> {
    for (with_page, expected) in [(true, Ok(SECOND)), (false, Err(Error::BadAddress))] {
        let mut tries = 0;
        let found = loop {
            match one_after_the_other(quota, with_page)? {
                Some(found) => break found,
                None => tries += 1,
            }
            ensure!(tries < TRIES, "no ASID was used again: nothing was tested");
        };
        ensure!(
            found == expected,
            "a space whose ASID was used before shows {found:x?}, not {expected:x?}: it sees what \
             another had mapped"
        );
    }
    Ok(())
}

/// What the second of two spaces shows; `None` if it has another number than the first.
fn one_after_the_other(
    quota: &Ref<Quota>,
    with_page: bool,
) -> Result<Option<Result<u64, Error>>, Failure> {
    let first = showing(FIRST, quota)?;
    let memory = numbered(1, SECOND, quota)?;
    let number = first.ttbr() & ASID;
    let guard = PreemptGuard::new();
    // SAFETY: the space lives until the empty table is installed, under the same number: so no CPU has a
    // reason of its own to forget.
    unsafe { space::install(first.ttbr()) };
    let seen = user::copy_in::<u64>(AT);
    // SAFETY: it stays.
    unsafe { space::install(space::reserved_ttbr() | number) };
    drop(first);
    let second = Space::new(quota)?;
    if with_page {
        second.map(memory, 0, PAGE, AT, READ)?;
    }
    // SAFETY: it lives until the empty table is installed, below.
    unsafe { space::install(second.ttbr()) };
    let found = user::copy_in(AT);
    // SAFETY: it stays.
    unsafe { space::install(space::reserved_ttbr()) };
    drop(guard);
    ensure!(seen == Ok(FIRST), "the first space shows {seen:x?}");
    Ok((second.ttbr() & ASID == number).then_some(found))
}

/// When there is no number left, that is an error, and one that comes back is used.
fn exhausted(quota: &Ref<Quota>) -> Result<usize, Failure> {
    let most = 1 << boot::arch::asid_bits();
    let mut taken = Vec::new();
    taken.try_reserve_exact(most)?;
    while let Ok(asid) = Asid::new() {
        ensure!(
            taken.len() < most,
            "more ASIDs were given out than there are"
        );
        taken.push(asid);
    }
    ensure!(
        taken.len() > most / 2,
        "only {} ASIDs could be had",
        taken.len()
    );
    let refused = Space::new(quota).err();
    ensure!(
        refused == Some(Error::TooMany),
        "without an ASID, a space gives {refused:?}"
    );
    taken.swap_remove(taken.len() / 2);
    let last = showing(FIRST, quota)?;
    let found = inside(&last, || user::copy_in::<u64>(AT));
    ensure!(found == Ok(FIRST), "the last space shows {found:x?}");
    let mut fields: Vec<u64> = Vec::new();
    fields.try_reserve_exact(most)?;
    fields.extend(taken.iter().map(Asid::field));
    fields.push(last.ttbr() & ASID);
    fields.sort_unstable();
    let twice = fields.windows(2).any(|pair| pair[0] == pair[1]);
    ensure!(
        !twice && fields[0] != 0,
        "an ASID was given out twice, or that of no space was"
    );
    Ok(fields.len())
}

//! A table that is full: looking up takes as long as in one with one handle, and one revocation ends all.

use super::{Failure, quota};
use crate::clock;
use crate::object::handle::HandleTable;
use crate::object::{Notification, Object, reclaim};
use crate::workload::support::ensure;
use abi::handle::{Handle, Rights};
use alloc::vec::Vec;
use cpu::guard::IrqGuard;

/// Look-ups that are timed together.
const TIMED: u64 = 256;

/// Fills a table, and revokes all at once.
///
/// # Errors
/// A sentence.
pub(super) fn run(many: u64) -> Result<(), Failure> {
    let quota = quota()?;
    let table = HandleTable::new(quota.clone())?;
    let object = Object::Notification(Notification::create(&quota)?);
    let root = table.insert(object, Rights::ALL, 0, None)?;
    let mut sample = Vec::new();
    let every = (many / TIMED).max(1);
    let first = ticks_of(&table, &[root; TIMED as usize])?;
    for at in 0..many {
        let new = table.duplicate(root, Rights::ALL, 0)?;
        if at % every == 0 {
            sample.push(new);
        }
    }
    sample.resize(TIMED as usize, root);
    let last = ticks_of(&table, &sample)?;
    ensure!(
        last == first || !clock::is_exact(),
        "{TIMED} look-ups take {first} instructions with one handle, {last} with {many}"
    );
    let revoked = table.revoke(root)?;
    ensure!(revoked == many, "{revoked} of {many} were revoked");
    drop(table);
    reclaim::settle();
    ensure!(quota.used() == 0, "{} bytes stay charged", quota.used());
    Ok(())
}

/// How long it takes to look all of them up.
fn ticks_of(table: &HandleTable, handles: &[Handle]) -> Result<u64, Failure> {
    let held = IrqGuard::new();
    let start = clock::now();
    let mut found = 0;
    for handle in handles {
        found += usize::from(table.get(*handle, &held).is_some());
    }
    let ticks = clock::now() - start;
    drop(held);
    ensure!(
        found == handles.len(),
        "{found} of {} handles are found",
        handles.len()
    );
    Ok(ticks)
}

//! Handles.

use super::{NOTHING, Values, find, object};
use crate::object::Process;
use crate::thread::user::current_process;
use abi::error::Error;
use abi::handle::{Handle, Rights};
use cpu::guard::PreemptGuard;

fn handle(word: u64) -> Result<Handle, Error> {
    u32::try_from(word)
        .map(Handle)
        .map_err(|_| Error::BadHandle)
}

/// [`abi::syscall::Call::HandleDuplicate`].
pub(super) fn duplicate(word: u64, rights: u64, badge: u64) -> Result<Values, Error> {
    let rights = u32::try_from(rights).map_err(|_| Error::BadArgument)?;
    let new = current_process()
        .handles
        .duplicate(handle(word)?, Rights(rights), badge)?;
    Ok([u64::from(new.0), 0, 0])
}

/// [`abi::syscall::Call::HandleClose`].
pub(super) fn close(word: u64) -> Result<Values, Error> {
    current_process().handles.close(handle(word)?)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::HandleRevoke`].
pub(super) fn revoke(word: u64) -> Result<Values, Error> {
    current_process().handles.revoke(handle(word)?)?;
    Ok(NOTHING)
}

/// [`abi::syscall::Call::HandleGive`].
pub(super) fn give(process: u64, word: u64) -> Result<Values, Error> {
    let process = object::<Process>(process, Rights::MANAGE)?;
    if process.has_ended() {
        return Err(Error::Gone);
    }
    let new = current_process()
        .handles
        .move_to(handle(word)?, &process.handles)?;
    Ok([u64::from(new.0), 0, 0])
}

/// [`abi::syscall::Call::HandleInspect`].
pub(super) fn inspect(word: u64) -> Result<Values, Error> {
    let pinned = PreemptGuard::new();
    let entry = find(word, Rights::NONE, &pinned)?;
    let kind = entry.object().kind() as u64;
    Ok([kind, u64::from(entry.rights().0), entry.badge()])
}

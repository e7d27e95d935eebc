//! Device registers, mapped as device memory, never unmapped.

use super::table::{self, MapError};
use super::{DEVICES, PAGE};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NEXT: AtomicU64 = AtomicU64::new(DEVICES);

/// Maps the registers at `pa`, `bytes` long, and gives where they are.
///
/// # Errors
/// [`MapError`].
pub(crate) fn map(pa: u64, bytes: u64) -> Result<NonNull<u8>, MapError> {
    let offset = pa % PAGE;
    let whole = (offset + bytes).next_multiple_of(PAGE);
    // An unmapped page between devices catches who runs over an end.
    let va = NEXT.fetch_add(whole + PAGE, Relaxed);
    table::map(va, pa - offset, whole, table::REGISTERS)?;
    NonNull::new((va + offset) as *mut u8).ok_or(MapError::Occupied(0))
}

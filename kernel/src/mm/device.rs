//! Device registers, mapped as device memory. Only what is handed to a driver at EL0 is unmapped again.

use super::table::{self, MapError, REGISTERS};
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
    table::map(va, pa - offset, whole, REGISTERS)?;
    NonNull::new((va + offset) as *mut u8).ok_or(MapError::Occupied(0))
}

/// Unmaps the registers at `base`, `bytes` long, on all CPUs, if they were mapped page by page: a few
/// are. Gives the physical address of their first page.
pub(crate) fn unmap(base: NonNull<u8>, bytes: u64) -> Option<u64> {
    let mut first = None;
    for va in pages(base, bytes) {
        let pa = table::unmap_page(va)?;
        first.get_or_insert(pa);
    }
    first
}

/// Maps what [`unmap`] unmapped, and gave `pa` for, again.
///
/// # Safety
/// All other CPUs have stopped.
pub(crate) unsafe fn map_again(base: NonNull<u8>, bytes: u64, pa: u64) {
    for (va, pa) in pages(base, bytes).zip((pa..).step_by(PAGE as usize)) {
        // SAFETY: the caller's promise.
        unsafe { table::map_page_again(va, pa, REGISTERS) };
    }
}

fn pages(base: NonNull<u8>, bytes: u64) -> impl Iterator<Item = u64> {
    let start = base.as_ptr() as u64;
    (start & !(PAGE - 1)..start + bytes).step_by(PAGE as usize)
}

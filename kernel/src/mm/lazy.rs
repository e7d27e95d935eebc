//! A region whose pages appear when they are touched: what the fault workloads fault on.

use super::table::{self, DATA, MapError};
use super::{LAZY, PAGE, frames, phys_to_virt, virt_to_phys};

/// How many pages the region has.
pub(crate) const PAGES: u64 = 4096;

/// The address of page `page`.
pub(crate) fn address(page: u64) -> u64 {
    LAZY + page % PAGES * PAGE
}

/// Maps the page that `va` is in; false if `va` is not in the region, or memory is out.
#[inline(never)]
pub(crate) fn resolve(va: u64) -> bool {
    if !(LAZY..LAZY + PAGES * PAGE).contains(&va) {
        return false;
    }
    let Some(frame) = frames::allocate(PAGE) else {
        return false;
    };
    match table::map(va & !(PAGE - 1), virt_to_phys(frame), PAGE, DATA) {
        Ok(()) => true,
        Err(error) => {
            // SAFETY: just allocated, and mapped nowhere.
            unsafe { frames::free(frame, PAGE) };
            // Another CPU's fault on the same page may have come first.
            matches!(error, MapError::Occupied(_))
        }
    }
}

/// Unmaps page `page` again and frees its frame, if it is mapped.
pub(crate) fn release(page: u64) {
    if let Some(pa) = table::unmap_page(address(page)) {
        // SAFETY: the frame was allocated by `resolve`, and is mapped nowhere any more.
        unsafe { frames::free(phys_to_virt(pa), PAGE) };
    }
}

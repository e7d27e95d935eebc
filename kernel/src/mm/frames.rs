//! Physical frames, behind a lock that is right for `NoIrq`. How they are kept is crate `blocks`'s.

use super::PAGE;
use blocks::buddy::{Buddies, order_of};
use boot::memory::MAX_FREE_REGIONS;
use core::ops::Range;
use cpu::lock::{Irq, Lock};

static FRAMES: Lock<Buddies<MAX_FREE_REGIONS>, Irq> = Lock::new(Buddies::new());

const _: () = assert!(PAGE == blocks::FRAME as u64);

/// Adds mapped, unused RAM. `range` is virtual.
pub(crate) fn add(range: Range<u64>) {
    // SAFETY: the boot memory plan says that nobody uses this RAM, and it was just mapped.
    let added = unsafe { FRAMES.lock().add(range.start as usize, range.end as usize) };
    assert!(
        added,
        "there are as many areas of frames as the plan can have"
    );
}

/// Allocates `bytes` (a power of two, at least a page) at a multiple of `bytes`; the address is
/// virtual, the content arbitrary. `None` when there is not so much. `Process` or `NoIrq`.
pub(crate) fn allocate(bytes: u64) -> Option<u64> {
    let order = order_of(usize::try_from(bytes).ok()?)?;
    FRAMES.lock().allocate(order).map(|frame| frame as u64)
}

/// Gives back what [`allocate`] gave.
///
/// # Safety
/// `va` and `bytes` are those of one [`allocate`], and nobody uses the memory any more.
pub(crate) unsafe fn free(va: u64, bytes: u64) {
    if let Some(order) = order_of(bytes as usize) {
        // SAFETY: the caller's promise.
        unsafe { FRAMES.lock().free(va as usize, order) };
    }
}

/// Bytes of RAM that are free, and that there were to begin with.
pub(crate) fn usage() -> (u64, u64) {
    let frames = FRAMES.lock();
    (frames.free_bytes() as u64, frames.all_bytes() as u64)
}

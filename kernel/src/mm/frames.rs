//! Physical frames, by crate `buddy_system_allocator`, behind a lock that is right for `NoIrq`.

use alloc::alloc::Layout;
use buddy_system_allocator::Heap;
use core::ops::Range;
use core::ptr::NonNull;
use cpu::lock::{Irq, Lock};

/// Blocks of up to 2^39 bytes: all that the linear map can hold.
static FRAMES: Lock<Heap<40>, Irq> = Lock::new(Heap::empty());

/// Adds mapped, unused RAM. `range` is virtual.
pub(crate) fn add(range: Range<u64>) {
    // SAFETY: the boot memory plan says that nobody uses this RAM, and it was just mapped.
    unsafe {
        FRAMES
            .lock()
            .add_to_heap(range.start as usize, range.end as usize);
    }
}

/// Allocates `bytes` (a power of two, at least a page) at a multiple of `bytes`; the address is
/// virtual, the content arbitrary. `None` when there is not so much. `Process` or `NoIrq`.
pub(crate) fn allocate(bytes: u64) -> Option<u64> {
    let layout = layout(bytes)?;
    let frame = FRAMES.lock().alloc(layout).ok()?;
    Some(frame.as_ptr() as u64)
}

/// Gives back what [`allocate`] gave.
///
/// # Safety
/// `va` and `bytes` are those of one [`allocate`], and nobody uses the memory any more.
pub(crate) unsafe fn free(va: u64, bytes: u64) {
    if let (Some(layout), Some(frame)) = (layout(bytes), NonNull::new(va as *mut u8)) {
        // SAFETY: the caller's promise.
        unsafe { FRAMES.lock().dealloc(frame, layout) };
    }
}

/// Bytes of RAM that are free, and that there were to begin with.
pub(crate) fn usage() -> (u64, u64) {
    let frames = FRAMES.lock();
    let all = frames.stats_total_bytes() as u64;
    (all - frames.stats_alloc_actual() as u64, all)
}

fn layout(bytes: u64) -> Option<Layout> {
    let bytes = usize::try_from(bytes).ok()?;
    Layout::from_size_align(bytes, bytes).ok()
}

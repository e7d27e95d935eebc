//! The kernel heap: small objects in slabs (crate `blocks`), large ones in frames of their own.
//!
//! Usable in `Process` and `NoIrq`; the lock refuses NMI context. Out of memory is an error wherever
//! the caller asks with a `try_` function; only what cannot go on without ends in a panic.

use super::{PAGE, frames};
use alloc::alloc::{GlobalAlloc, Layout};
use alloc::boxed::Box;
use blocks::slab::{Size, Slabs};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use cpu::lock::{Irq, Lock};

/// Bytes of frames that large objects have.
static LARGE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes of frames that are the heap's.
pub(crate) fn grown_bytes() -> u64 {
    HEAP.0.lock().all_bytes() as u64 + LARGE_BYTES.load(Relaxed)
}

/// Bytes of the heap that are given out.
pub(crate) fn used_bytes() -> u64 {
    HEAP.0.lock().used_bytes() as u64 + LARGE_BYTES.load(Relaxed)
}

struct KernelHeap(Lock<Slabs, Irq>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Lock::new(Slabs::new()));

/// What an object has that is too large for a slab.
fn large_bytes(layout: Layout) -> Option<u64> {
    let least = layout.size().max(layout.align());
    least
        .checked_next_power_of_two()
        .map(|bytes| (bytes as u64).max(PAGE))
}

// SAFETY: slots and frames are given out once, under their locks.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(size) = Size::of(layout.size(), layout.align()) else {
            let Some((frame, bytes)) =
                large_bytes(layout).and_then(|bytes| Some((frames::allocate(bytes)?, bytes)))
            else {
                return core::ptr::null_mut();
            };
            LARGE_BYTES.fetch_add(bytes, Relaxed);
            return frame as *mut u8;
        };
        loop {
            if let Some(slot) = self.0.lock().allocate(size) {
                return slot as *mut u8;
            }
            let Some(frame) = frames::allocate(PAGE) else {
                return core::ptr::null_mut();
            };
            // SAFETY: the frame is ours, mapped and unused.
            unsafe { self.0.lock().add(frame as usize, size) };
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if let Some(size) = Size::of(layout.size(), layout.align()) {
            // SAFETY: the caller's promise: it came from `alloc` with this layout.
            let frame = unsafe { self.0.lock().free(place as usize, size) };
            if let Some(frame) = frame {
                // SAFETY: it was allocated above, and nothing is in it any more.
                unsafe { frames::free(frame as u64, PAGE) };
            }
        } else if let Some(bytes) = large_bytes(layout) {
            LARGE_BYTES.fetch_sub(bytes, Relaxed);
            // SAFETY: as above.
            unsafe { frames::free(place as u64, bytes) };
        }
    }
}

/// There was not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl core::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("out of memory")
    }
}

impl From<OutOfMemory> for abi::error::Error {
    fn from(_: OutOfMemory) -> Self {
        Self::NoMemory
    }
}

/// Puts `value` on the heap.
///
/// # Errors
/// [`OutOfMemory`].
pub(crate) fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    let layout = Layout::new::<T>();
    assert!(layout.size() != 0, "a box of nothing");
    // SAFETY: the layout is not of size 0.
    let place = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if place.is_null() {
        return Err(OutOfMemory);
    }
    // SAFETY: the place is new, ours, and right for a `T`.
    unsafe {
        place.write(value);
        Ok(Box::from_raw(place))
    }
}

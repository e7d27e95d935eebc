//! The kernel heap: small objects, by crate `buddy_system_allocator`, growing by frames.
//!
//! Usable in `Process` and `NoIrq`; the lock refuses NMI context. Out of memory is an error wherever
//! the caller asks with a `try_` function; only what cannot go on without ends in a panic.

use super::frames;
use alloc::alloc::{GlobalAlloc, Layout};
use alloc::boxed::Box;
use buddy_system_allocator::Heap;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use cpu::lock::{Irq, Lock};

/// What the heap grows by, if that is enough for the request.
const GROWTH: usize = 256 << 10;

/// What the heap has taken from the frames, and keeps.
static GROWN_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes of frames that are the heap's.
pub(crate) fn grown_bytes() -> u64 {
    GROWN_BYTES.load(Relaxed)
}

/// Bytes of the heap that are given out.
pub(crate) fn used_bytes() -> u64 {
    HEAP.0.lock().stats_alloc_actual() as u64
}

struct KernelHeap(Lock<Heap<32>, Irq>);

#[global_allocator]
static HEAP: KernelHeap = KernelHeap(Lock::new(Heap::empty()));

// SAFETY: the blocks come from the buddy allocator, which gives each out once, under the lock.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        loop {
            if let Ok(block) = self.0.lock().alloc(layout) {
                return block.as_ptr();
            }
            let need = layout.size().max(layout.align()).next_power_of_two();
            let bytes = need.max(GROWTH);
            let Some(frame) = frames::allocate(bytes as u64) else {
                return core::ptr::null_mut();
            };
            GROWN_BYTES.fetch_add(bytes as u64, Relaxed);
            // SAFETY: the frames are ours, mapped and unused.
            unsafe {
                self.0
                    .lock()
                    .add_to_heap(frame as usize, frame as usize + bytes);
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller's promise: it came from `alloc` with this layout.
            unsafe { self.0.lock().dealloc(block, layout) };
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

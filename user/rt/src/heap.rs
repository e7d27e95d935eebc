//! The heap: `alloc` for programs.
//!
//! Blocks come from `talc`, which finds one in constant time. What it gives out lies in one range of
//! addresses, [`HEAP`], that grows upwards by memory asked of the kernel, and so is charged to this
//! process as it is needed; it does not shrink. The lock around it is [`RawMutex`], whose waiters sleep.

use core::ops::Range;

/// Where heaps lie: below where the kernel looks for a place when it is to choose one (64 GiB), so that
/// nothing comes to lie in the way.
pub const HEAP: Range<usize> = 0x8_0000_0000..0x10_0000_0000;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod global {
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::ptr::NonNull;

    use talc::{OomHandler, Span, Talc};

    use super::HEAP;
    use crate::Rights;
    use crate::object::{Memory, Process};
    use crate::sync::RawMutex;

    /// The least the heap grows by: what is asked of the kernel at once.
    const GROWTH_BYTES: usize = 64 << 10;

    struct Heap {
        lock: RawMutex,
        talc: UnsafeCell<Talc<Grow>>,
    }

    // SAFETY: `talc` is touched only with the lock held.
    unsafe impl Sync for Heap {}

    #[global_allocator]
    static THE_HEAP: Heap = Heap {
        lock: RawMutex::new(),
        talc: UnsafeCell::new(Talc::new(Grow {
            end: HEAP.start,
            whole: Span::empty(),
        })),
    };

    /// Grows the heap.
    struct Grow {
        /// Where what is mapped ends.
        end: usize,
        /// What the allocator knows of.
        whole: Span,
    }

    impl OomHandler for Grow {
        fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
            let end = talc.oom_handler.end;
            // Room for the block, its alignment and what the allocator notes beside it.
            let wanted = layout
                .size()
                .checked_add(layout.align())
                .and_then(|bytes| bytes.checked_add(256))
                .ok_or(())?;
            // A quarter of what there is, so that a heap that grows a lot asks seldom.
            let bytes = wanted
                .max(GROWTH_BYTES)
                .max((end - HEAP.start) / 4)
                .checked_next_multiple_of(GROWTH_BYTES)
                .ok_or(())?;
            let bytes = if map(end, bytes).is_ok() {
                bytes
            } else {
                let least = wanted.checked_next_multiple_of(4096).ok_or(())?;
                map(end, least)?;
                least
            };
            talc.oom_handler.end = end + bytes;
            let base = with_address(HEAP.start);
            let wider = Span::new(base, with_address(end + bytes));
            // SAFETY: what was mapped just now nobody else knows of; `whole` is what talc has.
            talc.oom_handler.whole = unsafe {
                match talc.oom_handler.whole {
                    whole if whole.is_empty() => talc.claim(wider)?,
                    whole => talc.extend(whole, whole.fit_over(wider)),
                }
            };
            Ok(())
        }
    }

    fn with_address(address: usize) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(address)
    }

    fn map(at: usize, bytes: usize) -> Result<(), ()> {
        if HEAP.end - at < bytes {
            return Err(());
        }
        let memory = Memory::create(bytes, abi::memory::MemoryKind::Normal).map_err(drop)?;
        let rights = Rights::READ.with(Rights::WRITE);
        // SAFETY: addresses of the heap from `at` on are nobody's.
        unsafe { memory.map_into(Process::own(), rights, at, 0, bytes) }
            .map(drop)
            .map_err(drop)
    }

    // SAFETY: talc gives out blocks of mapped memory that do not overlap, and the lock keeps it whole.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.lock.lock();
            // SAFETY: the lock is held; a layout of size 0 does not come here.
            let block = unsafe { (*self.talc.get()).malloc(layout) };
            self.lock.unlock();
            block.map_or(core::ptr::null_mut(), NonNull::as_ptr)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.lock.lock();
            // SAFETY: the lock is held; the block came from `alloc` with that layout and is not null.
            unsafe { (*self.talc.get()).free(NonNull::new_unchecked(block), layout) };
            self.lock.unlock();
        }
    }
}

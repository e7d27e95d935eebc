//! Memory that the device reads and writes by itself.
//!
//! The device knows physical addresses only and asks nobody: what it is told to write to, it writes to,
//! whoever owns that by now. So there is one piece of such memory, contiguous, made before anything
//! else, and everything that the device is ever shown lies in it: the queue, the requests' heads, and
//! the room through which data passes. A client's memory is never shown to it. Data is copied once more
//! for that, and in return a client may unmap, revoke or die while its request is under way.

// ANCHOR: hal
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rt::object::PAGE;
use rt::{Mapping, Memory, Rights};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// The memory's bounds, set once by [`Arena::install`], and how much of it is given out.
pub(crate) struct Arena {
    address: AtomicUsize,
    physical: AtomicU64,
    bytes: AtomicUsize,
    used: AtomicUsize,
}

static ARENA: Arena = Arena {
    address: AtomicUsize::new(0),
    physical: AtomicU64::new(0),
    bytes: AtomicUsize::new(0),
    used: AtomicUsize::new(0),
};

impl Arena {
    /// All that is shown to the device lies in `memory` from now on.
    ///
    /// # Errors
    /// When it cannot be mapped, or is not memory for devices.
    pub(crate) fn install(memory: &Memory) -> Result<(), rt::Error> {
        let mapping: Mapping = memory.map(Rights::READ.with(Rights::WRITE))?;
        let physical = match memory.physical(0)? {
            0 => return Err(rt::Error::BadArgument),
            physical => physical,
        };
        let bytes = mapping.bytes();
        // What a predecessor left there, its queue included, says nothing any more.
        // SAFETY: it is mapped, and nobody has been given a part of it; the device was reset.
        unsafe { mapping.pointer().write_bytes(0, bytes) };
        ARENA.physical.store(physical, Ordering::Relaxed);
        ARENA.bytes.store(bytes, Ordering::Relaxed);
        ARENA
            .address
            .store(mapping.leak().expose_provenance(), Ordering::Release);
        Ok(())
    }

    /// Zeroed pages that nobody else has, for ever; `None` if there are not so many left.
    pub(crate) fn take(pages: usize) -> Option<NonNull<u8>> {
        let bytes = pages.checked_mul(PAGE as usize)?;
        let have = ARENA.bytes.load(Ordering::Relaxed);
        let taken = |used: usize| used.checked_add(bytes).filter(|end| *end <= have);
        let at = ARENA
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .ok()?;
        let address = ARENA.address.load(Ordering::Acquire) + at;
        NonNull::new(core::ptr::with_exposed_provenance_mut(address))
    }

    /// Where the device finds what lies at `pointer`.
    ///
    /// # Panics
    /// If it does not lie in the arena: the device must not be shown anything else.
    fn physical(pointer: NonNull<u8>, bytes: usize) -> PhysAddr {
        let offset = pointer
            .addr()
            .get()
            .wrapping_sub(ARENA.address.load(Ordering::Acquire));
        let end = offset.checked_add(bytes);
        assert!(
            end.is_some_and(|end| end <= ARENA.bytes.load(Ordering::Relaxed)),
            "what is shown to the device lies in its memory"
        );
        ARENA.physical.load(Ordering::Relaxed) + offset as u64
    }
}

// SAFETY: what `dma_alloc` gives is page-aligned, zeroed (by the kernel, or by `install`), inside a
// mapping that is never undone, and given out once. There are no other mappings: `mmio_phys_to_virt` is
// for PCI.
unsafe impl Hal for Arena {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match Self::take(pages) {
            Some(pointer) => (Self::physical(pointer, pages * PAGE as usize), pointer),
            // The crate takes the address 0 for an error.
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // A driver sets up its device once, and dies with it.
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("no PCI")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        Self::physical(buffer.cast(), buffer.len())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
// ANCHOR_END: hal

//! Memory: frames, the kernel heap, the kernel's page tables, stacks.
//!
//! The kernel's half of the address space, from the bottom:
//!
//! | from | what |
//! |---|---|
//! | `LINEAR` | all free RAM at its physical address plus a constant, never executable; the init image, read-only |
//! | `KERNEL_BASE` | the image |
//! | `TREE` | the device tree, read-only, while it is read |
//! | `STACKS` | kernel stacks, each at a multiple of twice its length, with nothing mapped between |
//! | `DEVICES` | device registers |
//! | `LAZY` | what workloads let the fault handler map |
//!
//! The other half is the processes': `space` says what is where, `tree` holds the page tables, `asid`
//! the numbers that keep the translations of two spaces apart, and `user` is the one way in.

pub(crate) mod asid;
pub(crate) mod device;
pub(crate) mod frames;
pub(crate) mod heap;
pub(crate) mod lazy;
pub(crate) mod space;
pub(crate) mod stacks;
pub(crate) mod table;
mod tree;
pub(crate) mod user;

use boot::Region;
use boot::arch::{HIGH_BASE, KERNEL_BASE};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes in a page.
pub(crate) const PAGE: u64 = boot::arch::PAGE;

const GIB: u64 = 1 << 30;
/// Where physical address 0 would appear in the linear map.
pub(crate) const LINEAR: u64 = HIGH_BASE;
/// Where the linear map ends: RAM above is not used.
pub(crate) const LINEAR_BYTES: u64 = KERNEL_BASE - HIGH_BASE;
/// Where the device tree is mapped while it is read.
pub(crate) const TREE: u64 = KERNEL_BASE + GIB;
/// Where kernel stacks are.
pub(crate) const STACKS: u64 = KERNEL_BASE + 64 * GIB;
/// Where device registers are mapped.
pub(crate) const DEVICES: u64 = KERNEL_BASE + 128 * GIB;
/// Where the region for faults on purpose is.
pub(crate) const LAZY: u64 = KERNEL_BASE + 192 * GIB;

static IMAGE_PA: AtomicU64 = AtomicU64::new(0);

/// Notes where the image was loaded. First of all.
pub(crate) fn set_image_pa(pa: u64) {
    IMAGE_PA.store(pa, Relaxed);
}

/// Where the image was loaded.
pub(crate) fn image_pa() -> u64 {
    IMAGE_PA.load(Relaxed)
}

/// The image as a region of physical memory.
pub(crate) fn image_region() -> Option<Region> {
    let image = boot::arch::image();
    Region::new(image_pa(), image.end - image.start)
}

/// Where a frame of RAM, or a page of the image, is mapped.
pub(crate) fn phys_to_virt(pa: u64) -> u64 {
    let image = boot::arch::image();
    match pa.checked_sub(image_pa()) {
        Some(offset) if offset < image.end - image.start => KERNEL_BASE + offset,
        _ => LINEAR + pa,
    }
}

/// The reverse of [`phys_to_virt`].
pub(crate) fn virt_to_phys(va: u64) -> u64 {
    match va.checked_sub(KERNEL_BASE) {
        Some(offset) => image_pa() + offset,
        None => va - LINEAR,
    }
}

/// Maps the free RAM and hands it to the frame allocator.
///
/// # Errors
/// What could not be mapped.
pub(crate) fn init(free: &[Region]) -> Result<(), table::MapError> {
    let mut beyond = 0;
    for region in free {
        let end = region.end().min(LINEAR_BYTES);
        if end <= region.base() {
            beyond += region.size();
            continue;
        }
        beyond += region.end() - end;
        let bytes = end - region.base();
        table::map(LINEAR + region.base(), region.base(), bytes, table::DATA)?;
        frames::add(LINEAR + region.base()..LINEAR + end);
    }
    if beyond != 0 {
        log::warn!(
            "{} MiB of RAM lie above 256 GiB and are not used",
            beyond >> 20
        );
    }
    Ok(())
}

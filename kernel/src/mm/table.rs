//! The kernel's page tables: 39 bits of address space, three levels, 4 KiB pages.
//!
//! Tables come from a small pool in the image until there are frames, from the frame allocator then.
//! Where alignment permits, 1 GiB and 2 MiB blocks are used. Nothing is ever writable and executable:
//! only the image's text is executable, and [`map`] has no right for it.

use super::{PAGE, frames, phys_to_virt, virt_to_phys};
use boot::arch::{HIGH_BASE, POOL_TABLES, Table, root_table, table_pool};
use core::fmt;
use cpu::guard::IrqGuard;
use cpu::lock::{Irq, Lock};

/// Rights and memory type of a mapping, as descriptor bits (DDI 0487, D8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes(u64);

pub(super) const VALID: u64 = 1;
pub(super) const TABLE_OR_PAGE: u64 = 1 << 1;
pub(super) const DEVICE: u64 = 1 << 2;
pub(super) const READ_ONLY: u64 = 1 << 7;
pub(super) const INNER_SHAREABLE: u64 = 3 << 8;
pub(super) const ACCESSED: u64 = 1 << 10;
pub(super) const NEVER_EXECUTE: u64 = 3 << 53;
pub(super) const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Memory to read and write.
pub(crate) const DATA: Attributes = Attributes(INNER_SHAREABLE | ACCESSED | NEVER_EXECUTE);
/// Memory to read.
pub(crate) const RODATA: Attributes = Attributes(DATA.0 | READ_ONLY);
/// Device registers.
pub(crate) const REGISTERS: Attributes = Attributes(DEVICE | ACCESSED | NEVER_EXECUTE);

/// Why something could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapError {
    /// No frame for a page table.
    NoMemory,
    /// Something is mapped there already.
    Occupied(u64),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => write!(f, "no memory for a page table"),
            Self::Occupied(va) => write!(f, "address {va:#x} is mapped already"),
        }
    }
}

/// How many tables of the image's pool are taken. The lock is the lock of all kernel tables.
static POOL_TAKEN: Lock<usize, Irq> = Lock::new(0);

/// Maps `bytes` at `va` to `pa`; all three are multiples of a page. `Process` or `NoIrq`.
///
/// # Errors
/// [`MapError`]; what was mapped until then stays.
pub(crate) fn map(va: u64, pa: u64, bytes: u64, attributes: Attributes) -> Result<(), MapError> {
    debug_assert!((va | pa | bytes).is_multiple_of(PAGE) && va >= HIGH_BASE);
    let mut taken = POOL_TAKEN.lock();
    let mut done = 0;
    while done < bytes {
        done += map_one(&mut taken, va + done, pa + done, bytes - done, attributes)?;
    }
    // SAFETY: makes the new entries visible to the table walk (DDI 0487, D8.14.1).
    unsafe { core::arch::asm!("dsb ishst", "isb", options(nostack)) };
    Ok(())
}

/// Unmaps the page at `va`, on all CPUs, if one is mapped there; gives its physical address.
pub(crate) fn unmap_page(va: u64) -> Option<u64> {
    let _taken = POOL_TAKEN.lock();
    // SAFETY: the lock is held.
    let slot = unsafe { page_slot(va) }?;
    // SAFETY: it is an entry of a table, and the lock is held.
    let entry = unsafe { slot.read_volatile() };
    if entry & VALID == 0 {
        return None;
    }
    // SAFETY: removes a mapping the caller owns, and every CPU's memory of it (DDI 0487, D8.16).
    unsafe {
        slot.write_volatile(0);
        core::arch::asm!("dsb ishst", "tlbi vaae1is, {}", "dsb ish", "isb",
            in(reg) va >> 12 & 0xfff_ffff_ffff, options(nostack));
    }
    Some(entry & ADDRESS)
}

/// Maps the page at `va`, which was unmapped, to `pa` again: for who must not wait for a lock, nor needs
/// to.
///
/// # Safety
/// No other CPU is at the kernel's tables: all have stopped.
pub(crate) unsafe fn map_page_again(va: u64, pa: u64, attributes: Attributes) {
    // SAFETY: the caller's promise stands in for the lock.
    if let Some(slot) = unsafe { page_slot(va) } {
        // SAFETY: as above; nothing is mapped here, and the walk sees it (DDI 0487, D8.14.1).
        unsafe {
            slot.write_volatile(pa | attributes.0 | TABLE_OR_PAGE | VALID);
            core::arch::asm!("dsb ishst", "isb", options(nostack));
        }
    }
}

/// Whether the kernel can read at `va`, as the CPU sees it (DDI 0487, C5.5: `AT S1E1R`).
pub(crate) fn is_mapped(va: u64) -> bool {
    let _here = IrqGuard::new();
    let result: u64;
    // SAFETY: asks, and changes nothing but the register of the answer.
    unsafe {
        core::arch::asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) va, lateout(reg) result,
            options(nostack));
    }
    result & 1 == 0
}

/// The entry for the page at `va`, if there is a table for it.
///
/// # Safety
/// Nobody else changes the tables.
unsafe fn page_slot(va: u64) -> Option<*mut u64> {
    let mut table = root_table();
    for shift in [30, 21] {
        // SAFETY: `table` is a table of the kernel's tree.
        let entry = unsafe { entry_at(table, va, shift).read_volatile() };
        if entry & (VALID | TABLE_OR_PAGE) != VALID | TABLE_OR_PAGE {
            return None;
        }
        table = phys_to_virt(entry & ADDRESS) as *mut Table;
    }
    // SAFETY: as above.
    Some(unsafe { entry_at(table, va, 12) })
}

/// Maps one page or block at the largest size that fits; gives its bytes.
fn map_one(
    taken: &mut usize,
    va: u64,
    pa: u64,
    bytes: u64,
    attributes: Attributes,
) -> Result<u64, MapError> {
    let mut table = root_table();
    for shift in [30, 21, 12] {
        // SAFETY: `table` is a table of the kernel's tree, and the lock is held.
        let slot = unsafe { entry_at(table, va, shift) };
        // SAFETY: as above.
        let entry = unsafe { slot.read_volatile() };
        let size = 1 << shift;
        if entry & VALID == 0 && bytes >= size && (va | pa).is_multiple_of(size) {
            let kind = if shift == 12 { TABLE_OR_PAGE } else { 0 };
            // SAFETY: as above; nothing was mapped here.
            unsafe { slot.write_volatile(pa | attributes.0 | kind | VALID) };
            return Ok(size);
        }
        if entry & VALID == 0 {
            let next = new_table(taken)?;
            // SAFETY: as above; the new table is zeroed.
            unsafe { slot.write_volatile(virt_to_phys(next as u64) | TABLE_OR_PAGE | VALID) };
            table = next;
        } else if shift == 12 || entry & TABLE_OR_PAGE == 0 {
            return Err(MapError::Occupied(va));
        } else {
            table = phys_to_virt(entry & ADDRESS) as *mut Table;
        }
    }
    Err(MapError::Occupied(va))
}

/// The entry of `table` for `va` at the level whose entries span `1 << shift` bytes.
///
/// # Safety
/// `table` is a table.
pub(super) unsafe fn entry_at(table: *mut Table, va: u64, shift: u32) -> *mut u64 {
    let index = (va >> shift) as usize % 512;
    // SAFETY: the index is inside the table.
    unsafe { table.cast::<u64>().add(index) }
}

/// A zeroed table.
fn new_table(taken: &mut usize) -> Result<*mut Table, MapError> {
    if *taken < POOL_TABLES {
        let table = table_pool().cast::<Table>().wrapping_add(*taken);
        *taken += 1;
        return Ok(table);
    }
    let frame = frames::allocate(PAGE).ok_or(MapError::NoMemory)? as *mut Table;
    // SAFETY: the frame is mapped, and ours.
    unsafe { frame.write_bytes(0, 1) };
    // SAFETY: the zeros are visible to the table walk before the entry that points to them.
    unsafe { core::arch::asm!("dsb ishst", options(nostack)) };
    Ok(frame)
}

//! The page tables of one user address space: 39 bits, three levels, 4 KiB pages, no blocks.
//!
//! A table that has become empty is given back. How many entries of a table are in use stands in the
//! table's own descriptor, one level up, in bits that the hardware ignores there (DDI 0487, D8.3.1).
//! Every table is charged to the space's quota.

use super::table::{
    ACCESSED, ADDRESS, DEVICE, INNER_SHAREABLE, NEVER_EXECUTE, READ_ONLY, TABLE_OR_PAGE, VALID,
    entry_at,
};
use super::{PAGE, asid::Asid, frames, phys_to_virt, virt_to_phys};
use crate::object::Ref;
use crate::object::quota::{Charge, Quota};
use abi::error::Error;
use boot::arch::Table;
use cpu::plant::{Plant, planted};

const EL0: u64 = 1 << 6;
const NOT_GLOBAL: u64 = 1 << 11;
const NEVER_EXECUTE_AT_EL0: u64 = 1 << 54;

/// Where a table's descriptor counts the entries in use.
const COUNT_SHIFT: u32 = 2;
const COUNT_ONE: u64 = 1 << COUNT_SHIFT;
const COUNT: u64 = 0x3ff << COUNT_SHIFT;

/// From the root to a page: how much an entry of a table spans, as a power of two.
const SHIFTS: [u32; 3] = [30, 21, 12];
const LEVELS: usize = SHIFTS.len();

/// How many pages are unmapped at once.
pub(super) const BATCH: u64 = 128;
/// So many pages lie in two tables at most, and those in two others.
const TABLES_OF_A_BATCH: usize = 4;
/// More pages than this are flushed with all of their space.
const FLUSHED_ONE_BY_ONE: u64 = 16;

/// What EL0 may do with a page. The kernel never executes it, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Execute,
    /// Read and write device registers.
    Device,
    /// Read device registers.
    DeviceRead,
}

impl Access {
    /// As descriptor bits (DDI 0487, D8.3.2 and D8.4).
    const fn bits(self) -> u64 {
        const COMMON: u64 = VALID | TABLE_OR_PAGE | ACCESSED | NOT_GLOBAL | EL0 | NEVER_EXECUTE;
        match self {
            Self::Read => COMMON | INNER_SHAREABLE | READ_ONLY,
            Self::Write => COMMON | INNER_SHAREABLE,
            Self::Execute => (COMMON & !NEVER_EXECUTE_AT_EL0) | INNER_SHAREABLE | READ_ONLY,
            Self::Device => COMMON | DEVICE,
            Self::DeviceRead => COMMON | DEVICE | READ_ONLY,
        }
    }
}

/// The tables. Who drops it has seen to it that no CPU uses them any more.
pub(super) struct Tree {
    root: *mut Table,
    charge: Charge,
}

// SAFETY: the tables are the tree's own.
unsafe impl Send for Tree {}

impl Tree {
    /// With nothing mapped. `Process` or `NoIrq`.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(super) fn new(quota: &Ref<Quota>) -> Result<Self, Error> {
        let charge = Charge::new(quota, PAGE)?;
        let root = new_table().ok_or(Error::NoMemory)?;
        Ok(Self { root, charge })
    }

    /// The physical address of the root, for `TTBR0_EL1`.
    pub(super) fn root(&self) -> u64 {
        virt_to_phys(self.root as u64)
    }

    /// What else the space costs is charged here as well.
    pub(super) fn charge(&mut self) -> &mut Charge {
        &mut self.charge
    }

    /// Maps the page at `va`, where nothing is mapped, to `pa`. [`publish`] comes after the last page.
    ///
    /// # Errors
    /// [`Error::NoMemory`]: no table; nothing has changed.
    pub(super) fn map(&mut self, va: u64, pa: u64, access: Access) -> Result<(), Error> {
        let path = self.walk(va);
        let tables = self.new_tables(LEVELS - path.len())?;
        // From the page up, so that the walk sees all of it or nothing.
        let mut entry = pa | access.bits();
        for (level, table) in (path.len()..LEVELS).rev().zip(&tables) {
            // SAFETY: the table is new, and nobody else's.
            unsafe { entry_at(*table, va, SHIFTS[level]).write_volatile(entry) };
            entry = virt_to_phys(*table as u64) | COUNT_ONE | TABLE_OR_PAGE | VALID;
        }
        if !tables.is_empty() {
            publish();
        }
        path.set(path.len() - 1, entry);
        path.count_one_more(path.len() - 1);
        Ok(())
    }

    /// Unmaps those of `pages` pages from `va` on that are mapped, on all CPUs, and gives back tables
    /// that have become empty. At most [`BATCH`] pages.
    pub(super) fn unmap(&mut self, va: u64, pages: u64, asid: &Asid) {
        debug_assert!(pages <= BATCH);
        let mut empty = Tables::new();
        for page in 0..pages {
            let path = self.walk(va + page * PAGE);
            let Some(mut level) = path.len().checked_sub(1) else {
                continue;
            };
            if level != LEVELS - 1 || path.get(level) & VALID == 0 {
                continue;
            }
            path.set(level, 0);
            while level > 0 && path.count_one_less(level) == 0 {
                level -= 1;
                let _ = empty.push(table_of(path.get(level)));
                path.set(level, 0);
            }
        }
        forget(va, pages, asid);
        // Only now no walk comes by them.
        for table in empty {
            // SAFETY: the table was this tree's, and its last way in is gone from memory and TLBs.
            unsafe { free_table(table) };
            self.charge.shrink(PAGE);
        }
    }

    /// The entries on the way to the page at `va`, as far as there are tables.
    fn walk(&self, va: u64) -> Path {
        let mut path = Path::new();
        let mut table = self.root;
        for shift in SHIFTS {
            // SAFETY: a table of this tree.
            let slot = unsafe { entry_at(table, va, shift) };
            path.push(slot);
            if shift == SHIFTS[LEVELS - 1] {
                break;
            }
            // SAFETY: as above.
            let entry = unsafe { slot.read_volatile() };
            if entry & VALID == 0 {
                break;
            }
            table = table_of(entry);
        }
        path
    }

    fn new_tables(&mut self, count: usize) -> Result<Tables, Error> {
        let bytes = count as u64 * PAGE;
        self.charge.grow(bytes)?;
        let mut tables = Tables::new();
        while tables.len() < count {
            match new_table() {
                Some(table) => {
                    let _ = tables.push(table);
                }
                None => {
                    for table in tables {
                        // SAFETY: new, and linked nowhere.
                        unsafe { free_table(table) };
                    }
                    self.charge.shrink(bytes);
                    return Err(Error::NoMemory);
                }
            }
        }
        Ok(tables)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: nobody uses the tables any more, and they form a tree of so many levels.
        unsafe { free_below(self.root, LEVELS - 1) };
    }
}

/// Frees `table` and all tables below it.
///
/// # Safety
/// `table` has `levels` levels of tables below it, and nobody uses any of them.
unsafe fn free_below(table: *mut Table, levels: usize) {
    if levels > 0 {
        // SAFETY: the caller's promise.
        for entry in unsafe { (*table).0 } {
            if entry & VALID != 0 {
                // SAFETY: as above, one level down.
                unsafe { free_below(table_of(entry), levels - 1) };
            }
        }
    }
    // SAFETY: as above.
    unsafe { free_table(table) };
}

/// The entries on the way to a page, from the root's on.
struct Path(heapless::Vec<*mut u64, LEVELS>);

impl Path {
    const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// How many levels have a table for the page; at least 1.
    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, slot: *mut u64) {
        // There is room for all levels.
        let _ = self.0.push(slot);
    }

    fn get(&self, level: usize) -> u64 {
        // SAFETY: it is in a table of a tree that the caller of `Tree::walk` has to himself.
        unsafe { self.0[level].read_volatile() }
    }

    fn set(&self, level: usize, entry: u64) {
        // SAFETY: as above; the hardware's walk reads an entry as a whole.
        unsafe { self.0[level].write_volatile(entry) };
    }

    /// The table at `level` has one more entry in use.
    fn count_one_more(&self, level: usize) {
        if level > 0 {
            self.set(level - 1, self.get(level - 1) + COUNT_ONE);
        }
    }

    /// The table at `level`, not the root, has one entry less in use; gives how many are left.
    fn count_one_less(&self, level: usize) -> u64 {
        let entry = self.get(level - 1) - COUNT_ONE;
        self.set(level - 1, entry);
        (entry & COUNT) >> COUNT_SHIFT
    }
}

type Tables = heapless::Vec<*mut Table, TABLES_OF_A_BATCH>;

/// The table that a descriptor points to.
fn table_of(entry: u64) -> *mut Table {
    phys_to_virt(entry & ADDRESS) as *mut Table
}

/// A zeroed table.
fn new_table() -> Option<*mut Table> {
    let table = frames::allocate(PAGE)? as *mut Table;
    // SAFETY: the frame is mapped, and ours.
    unsafe { table.write_bytes(0, 1) };
    Some(table)
}

/// # Safety
/// It came from [`new_table`], and nobody uses it any more.
unsafe fn free_table(table: *mut Table) {
    // SAFETY: the caller's promise.
    unsafe { frames::free(table as u64, PAGE) };
}

/// Makes what was written to tables visible to the walks of all CPUs (DDI 0487, D8.2.6).
pub(super) fn publish() {
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("dsb ishst", "isb", options(nostack, preserves_flags)) };
}

/// Has all CPUs forget `pages` pages from `va` on, and the tables on the way to them, and waits until
/// they have (DDI 0487, D8.17).
fn forget(va: u64, pages: u64, asid: &Asid) {
    if planted(Plant::UnmapNotFlushed) {
        return publish();
    }
    if pages > FLUSHED_ONE_BY_ONE {
        return asid.flush();
    }
    publish();
    for page in 0..pages {
        let operand = asid.field() | (va / PAGE + page);
        // SAFETY: forgetting a translation is always permitted.
        unsafe {
            core::arch::asm!("tlbi vae1is, {}", in(reg) operand, options(nostack, preserves_flags));
        }
    }
    // SAFETY: waits until it is done.
    unsafe { core::arch::asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}

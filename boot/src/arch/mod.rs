//! What runs before and beside the kernel proper: the first instructions of each CPU, the early page
//! tables, and where the parts of the image are.
//!
//! `head` is the assembly: from the boot loader's jump to `petrel_kmain` in the high half, with W^X
//! tables for the image but for the text, which stays writable until [`seal`] (the mask slots are
//! patched in between). Everything else is mapped by the kernel, from what the device tree says.
//! `settle` is each CPU's last step: what the kernel may not do to processes by accident, and what
//! they may do without asking.

mod head;
mod settle;

pub use settle::{asid_bits, has_pan, settle};

use core::ops::Range;

/// Where the image is linked: the bottom of the kernel's part of the address space.
pub const KERNEL_BASE: u64 = 0xffff_ffc0_0000_0000;
/// The lowest address that `TTBR1_EL1` translates: 39 bits of address space.
pub const HIGH_BASE: u64 = 0xffff_ff80_0000_0000;
/// Bytes in a page.
pub const PAGE: u64 = 4096;

/// One page table of 512 entries.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Table(pub [u64; 512]);

/// How many pages the pool holds that the kernel's first mappings take their tables from.
pub const POOL_TABLES: usize = 24;

unsafe extern "C" {
    static __image_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __image_end: u8;
    static __boot_stack: u8;
    static __boot_stack_top: u8;
    static mut petrel_kernel_l1: Table;
    static mut petrel_kernel_l3: [Table; 2];
    static mut petrel_table_pool: [Table; POOL_TABLES];
    fn petrel_secondary();
}

/// Where a symbol of the linker script is.
macro_rules! address_of {
    ($symbol:ident) => {
        (&raw const $symbol) as u64
    };
}

/// The image's virtual addresses.
pub fn image() -> Range<u64> {
    address_of!(__image_start)..address_of!(__image_end)
}

/// The text's virtual addresses: what an ELR or a return address in the kernel can be.
pub fn text() -> Range<u64> {
    address_of!(__image_start)..address_of!(__text_end)
}

/// The read-only data's virtual addresses.
pub fn rodata() -> Range<u64> {
    address_of!(__text_end)..address_of!(__rodata_end)
}

/// The stack that the boot CPU starts on.
pub fn boot_stack() -> Range<u64> {
    address_of!(__boot_stack)..address_of!(__boot_stack_top)
}

/// The root table of `TTBR1_EL1`.
pub fn root_table() -> *mut Table {
    &raw mut petrel_kernel_l1
}

/// Tables for mappings made before frames can be had; zeroed.
pub fn table_pool() -> *mut [Table; POOL_TABLES] {
    &raw mut petrel_table_pool
}

/// Where the code for a secondary's first instruction is, as a physical address for PSCI `CPU_ON`.
pub fn secondary_entry(image_pa: u64) -> u64 {
    petrel_secondary as *const () as u64 - KERNEL_BASE + image_pa
}

/// What a secondary finds by the context id of `CPU_ON`, which is this structure's address.
#[derive(Debug)]
#[repr(C)]
pub struct SecondaryStart {
    /// Top of its stack.
    pub stack_top: u64,
    /// Value for `TPIDR_EL1`.
    pub thread: u64,
    /// Where it goes on, in the high half: called with this structure's address.
    pub start: extern "C" fn(&'static SecondaryStart) -> !,
}

/// Takes the right to write from the kernel's text.
///
/// # Safety
/// Only the boot CPU runs, and nothing will be written into the text any more.
pub unsafe fn seal() {
    const READ_ONLY: u64 = 1 << 7;
    let pages = (address_of!(__text_end) - KERNEL_BASE) / PAGE;
    let entries = (&raw mut petrel_kernel_l3).cast::<u64>();
    for page in 0..pages as usize {
        // SAFETY: the two tables hold one entry for each page of the image, in order.
        unsafe {
            let entry = entries.add(page);
            entry.write_volatile(entry.read_volatile() | READ_ONLY);
        }
    }
    // SAFETY: a change of rights alone needs no break before make (DDI 0487, D8.16.1).
    unsafe {
        core::arch::asm!(
            "dsb ishst",
            "tlbi vmalle1is",
            "dsb ish",
            "isb",
            options(nostack)
        );
    }
}

//! Memory: what can be made, and how it is mapped. The lower half of the address space is a process's.

use crate::handle::Rights;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// The lowest address that can be mapped: a null pointer, with an offset, is none.
pub const USER_START: u64 = 0x1_0000;
/// The first address that cannot: 39 bits.
pub const USER_END: u64 = 1 << 39;

/// What kind of memory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum MemoryKind {
    /// Pages from anywhere.
    Normal = 0,
    /// Contiguous, with a physical address that can be asked for: for devices that read and write
    /// memory by themselves.
    Dma = 1,
}

impl MemoryKind {
    /// The kind with that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Normal),
            1 => Some(Self::Dma),
            _ => None,
        }
    }
}

/// What is mapped where. Addresses, offset and length are whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Mapping {
    /// A handle of memory.
    pub memory: u32,
    /// [`Rights::READ`], with or without [`Rights::WRITE`] or [`Rights::EXECUTE`]; never both.
    pub rights: Rights,
    /// Where in the process. 0: the kernel chooses, and gives the address in `x1`.
    pub address: u64,
    /// From where in the memory.
    pub offset: u64,
    /// How much.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Mapping>() == 32);

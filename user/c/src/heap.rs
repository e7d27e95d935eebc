//! The heap behind `malloc`.
//!
//! Blocks come in sizes of powers of two, with a list of free ones for each; they are cut from
//! chunks that are mapped when a list is empty and never given back. What is larger than a chunk is
//! mapped for itself, and unmapped when it is freed. So every operation takes a bounded number of
//! steps, at the price of up to half of each block.
//!
//! A header of 16 bytes before each block says what it is. It is checked when the block is freed:
//! a pointer that `malloc` did not give, or freed before, ends the program instead of the list.

use core::ptr;

/// Bytes of a header, and what every block is a multiple of.
const HEADER: usize = 16;
/// The smallest block, its header included, as a power of two.
const SMALLEST: u32 = 5;
/// The largest one that is cut from a chunk.
const LARGEST: u32 = 15;
/// Bytes that are mapped at once for the lists.
const CHUNK: usize = 1 << (LARGEST + 1);
/// What is mapped is a multiple of it.
const PAGE: usize = abi::memory::PAGE as usize;

/// [`Header::mark`] of a block that is given out, and of one that is free.
const USED: u32 = 0x7573_6564;
const FREE: u32 = 0x6672_6565;

/// Before each block.
#[repr(C, align(16))]
struct Header {
    /// [`USED`] or [`FREE`].
    mark: u32,
    /// The block's size as a power of two, header included; 0: mapped for itself.
    class: u32,
    /// Its bytes, header included.
    bytes: usize,
}

const _: () = assert!(size_of::<Header>() == HEADER);

/// A free block. Its link lies where its user's bytes were.
#[repr(C)]
struct Free {
    header: Header,
    next: *mut Free,
}

const _: () = assert!(size_of::<Free>() <= 1 << SMALLEST);

/// Where memory comes from.
pub(crate) trait Pages {
    /// So many zeroed bytes, a multiple of the page; null when there are none.
    fn map(&mut self, bytes: usize) -> *mut u8;

    /// Gives back what [`Pages::map`] gave.
    ///
    /// # Safety
    /// It did give it, and nobody uses it.
    unsafe fn unmap(&mut self, address: *mut u8, bytes: usize);
}

/// A pointer that is none of the heap's was to be freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotABlock;

/// The lists.
pub(crate) struct Heap<P> {
    pages: P,
    free: [*mut Free; (LARGEST - SMALLEST + 1) as usize],
}

// SAFETY: the lists' pointers are the heap's own.
unsafe impl<P: Send> Send for Heap<P> {}

impl<P: Pages> Heap<P> {
    /// With nothing in it.
    pub(crate) const fn new(pages: P) -> Self {
        Self {
            pages,
            free: [ptr::null_mut(); (LARGEST - SMALLEST + 1) as usize],
        }
    }

    /// At least so many bytes, aligned to 16; null when there are none. What is in them is anything.
    pub(crate) fn take(&mut self, bytes: usize) -> *mut u8 {
        // No object may have more bytes than a pointer difference can say.
        let Some(whole) = bytes
            .checked_add(HEADER)
            .filter(|whole| isize::try_from(*whole).is_ok())
        else {
            return ptr::null_mut();
        };
        let class = whole.next_power_of_two().trailing_zeros().max(SMALLEST);
        if class > LARGEST {
            return self.take_mapped(whole);
        }
        let list = (class - SMALLEST) as usize;
        if self.free[list].is_null() && !self.cut_chunk(class) {
            return ptr::null_mut();
        }
        let block = self.free[list];
        // SAFETY: what is in a list is a free block, and the heap's alone.
        unsafe {
            self.free[list] = (*block).next;
            (*block).header.mark = USED;
            block.cast::<u8>().add(HEADER)
        }
    }

    fn take_mapped(&mut self, whole: usize) -> *mut u8 {
        let Some(bytes) = whole.checked_next_multiple_of(PAGE) else {
            return ptr::null_mut();
        };
        let block = self.pages.map(bytes);
        if block.is_null() {
            return block;
        }
        let header = Header {
            mark: USED,
            class: 0,
            bytes,
        };
        // SAFETY: it was just mapped, at least a page, aligned to one.
        unsafe {
            block.cast::<Header>().write(header);
            block.add(HEADER)
        }
    }

    /// Maps a chunk and puts its blocks into a list; `false` when there is no memory.
    fn cut_chunk(&mut self, class: u32) -> bool {
        let chunk = self.pages.map(CHUNK);
        if chunk.is_null() {
            return false;
        }
        let bytes = 1 << class;
        let list = &mut self.free[(class - SMALLEST) as usize];
        for offset in (0..CHUNK).step_by(bytes).rev() {
            let header = Header {
                mark: FREE,
                class,
                bytes,
            };
            let block = Free {
                header,
                next: *list,
            };
            // SAFETY: the block lies in the chunk, which was just mapped.
            unsafe {
                let at = chunk.add(offset).cast::<Free>();
                at.write(block);
                *list = at;
            }
        }
        true
    }

    /// How many bytes a block has for its user.
    ///
    /// # Errors
    /// When it is none.
    ///
    /// # Safety
    /// As for [`Heap::give_back`].
    pub(crate) unsafe fn room(&self, memory: *mut u8) -> Result<usize, NotABlock> {
        // SAFETY: as the caller promised.
        unsafe { Self::header(memory) }.map(|header| header.bytes - HEADER)
    }

    /// The header before what is said to be a block.
    ///
    /// # Safety
    /// As for [`Heap::give_back`].
    unsafe fn header<'a>(memory: *mut u8) -> Result<&'a mut Header, NotABlock> {
        if !memory.addr().is_multiple_of(HEADER) {
            return Err(NotABlock);
        }
        // SAFETY: the caller promised that the bytes before it can be read.
        let header = unsafe { &mut *memory.sub(HEADER).cast::<Header>() };
        let mapped = header.class == 0 && header.bytes.is_multiple_of(PAGE);
        let cut =
            (SMALLEST..=LARGEST).contains(&header.class) && header.bytes == 1usize << header.class;
        if header.mark == USED && (mapped || cut) {
            Ok(header)
        } else {
            Err(NotABlock)
        }
    }

    /// Takes a block back.
    ///
    /// # Errors
    /// When it is none; then nothing has changed.
    ///
    /// # Safety
    /// The 16 bytes before it can be read, and if it is a block, nobody uses it.
    pub(crate) unsafe fn give_back(&mut self, memory: *mut u8) -> Result<(), NotABlock> {
        // SAFETY: as the caller promised.
        let header = unsafe { Self::header(memory) }?;
        header.mark = FREE;
        let block = ptr::from_mut(header);
        if header.class == 0 {
            let bytes = header.bytes;
            // SAFETY: it was mapped so, and its user is done with it.
            unsafe { self.pages.unmap(block.cast(), bytes) };
            return Ok(());
        }
        let list = (header.class - SMALLEST) as usize;
        let block = block.cast::<Free>();
        // SAFETY: the block has room for the link, and is the heap's again.
        unsafe { (*block).next = self.free[list] };
        self.free[list] = block;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

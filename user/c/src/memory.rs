//! `malloc` and its kin, on the run-time's heap.
//!
//! Rust tells its allocator how large a block was when it gives it back, and C does not; so a header of
//! 16 bytes before each block says it. The header is marked, and the mark is checked: a pointer that
//! was never given out, or was freed already, most likely has none, and ends the program instead of
//! the heap.

use alloc::alloc::{Layout, alloc, dealloc};
use core::ffi::c_void;
use core::ptr;

/// What every block is aligned to, and bytes of a header.
const ALIGN: usize = 16;

/// [`Header::mark`] of a block that is given out.
const GIVEN: usize = 0x6d65_6d6f_7279_2121;

/// Before each block.
#[repr(C, align(16))]
struct Header {
    /// [`GIVEN`].
    mark: usize,
    /// Its bytes, header included.
    bytes: usize,
}

const _: () = assert!(size_of::<Header>() == ALIGN);

/// The header of a block.
///
/// # Safety
/// `memory` came from [`petrel_malloc`]; or at least the 16 bytes before it can be read.
unsafe fn header<'a>(memory: *mut c_void) -> &'a mut Header {
    let at = memory.cast::<Header>().wrapping_sub(1);
    // SAFETY: as the caller promised.
    if !at.is_aligned() || unsafe { (*at).mark } != GIVEN {
        panic!("free or realloc of {memory:p}, which malloc did not give");
    }
    // SAFETY: it was checked to be one.
    unsafe { &mut *at }
}

/// What the heap is asked for.
fn layout(whole: usize) -> Option<Layout> {
    Layout::from_size_align(whole, ALIGN).ok()
}

/// `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_malloc(bytes: usize) -> *mut c_void {
    let whole = bytes.checked_add(ALIGN).and_then(layout);
    let Some(whole) = whole else {
        return ptr::null_mut();
    };
    // SAFETY: it is not empty.
    let block = unsafe { alloc(whole) };
    if block.is_null() {
        return ptr::null_mut();
    }
    let header = Header {
        mark: GIVEN,
        bytes: whole.size(),
    };
    // SAFETY: the block is aligned, and has room for a header.
    unsafe {
        block.cast::<Header>().write(header);
        block.add(ALIGN).cast()
    }
}

/// `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_calloc(count: usize, bytes: usize) -> *mut c_void {
    let Some(all) = count.checked_mul(bytes) else {
        return ptr::null_mut();
    };
    let memory = petrel_malloc(all);
    if !memory.is_null() {
        // SAFETY: it has so many bytes.
        unsafe { memory.cast::<u8>().write_bytes(0, all) };
    }
    memory
}

/// `free`.
///
/// # Safety
/// `memory` is null, or came from here and is used by nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_free(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: as the caller promised.
    let header = unsafe { header(memory) };
    header.mark = 0;
    let Some(whole) = layout(header.bytes) else {
        panic!("the header of {memory:p} was written over");
    };
    // SAFETY: the block came from the heap with this layout.
    unsafe { dealloc(ptr::from_mut(header).cast(), whole) };
}

/// `realloc`.
///
/// # Safety
/// As for [`petrel_free`]; afterwards only what came back is valid, unless it is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_realloc(memory: *mut c_void, bytes: usize) -> *mut c_void {
    if memory.is_null() {
        return petrel_malloc(bytes);
    }
    // SAFETY: as the caller promised.
    let room = unsafe { header(memory) }.bytes - ALIGN;
    let new = petrel_malloc(bytes);
    if !new.is_null() {
        // SAFETY: both have so many bytes, and the old block is the caller's to free.
        unsafe {
            ptr::copy_nonoverlapping(memory.cast::<u8>(), new.cast(), room.min(bytes));
            petrel_free(memory);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_what_is_in_them() {
        let mut blocks = Vec::new();
        for bytes in [0_usize, 1, 15, 16, 17, 4000, 100_000] {
            let block = petrel_malloc(bytes).cast::<u8>();
            assert!(!block.is_null() && block.addr().is_multiple_of(ALIGN));
            // SAFETY: it has so many bytes.
            unsafe { block.write_bytes(bytes as u8, bytes) };
            blocks.push((block, bytes));
        }
        for (block, bytes) in blocks {
            // SAFETY: it came from `malloc`, and grows: so many bytes are still what they were.
            unsafe {
                let block = petrel_realloc(block.cast(), bytes + 100).cast::<u8>();
                assert!((0..bytes).all(|at| *block.add(at) == bytes as u8));
                petrel_free(block.cast());
            }
        }
    }

    #[test]
    fn zeroed_memory_is_zero_and_too_much_is_null() {
        let memory = petrel_calloc(10, 100).cast::<u8>();
        // SAFETY: it has so many bytes, and came from `calloc`.
        unsafe {
            assert!((0..1000).all(|at| *memory.add(at) == 0));
            petrel_free(memory.cast());
        }
        assert!(petrel_calloc(usize::MAX, 2).is_null());
        assert!(petrel_malloc(usize::MAX).is_null());
        assert!(petrel_malloc(isize::MAX as usize).is_null());
    }

    #[test]
    #[should_panic(expected = "which malloc did not give")]
    fn what_is_no_block_is_refused() {
        let mut words = [0_u128; 4];
        // SAFETY: the 16 bytes before it can be read.
        unsafe { header((&raw mut words[2]).cast()) };
    }
}

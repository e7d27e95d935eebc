//! `malloc` and its kin: the heap, with the process's memory below it and a lock around it.

use core::ffi::c_void;
use core::ptr;

use crate::heap::{Heap, NotABlock, Pages};
use crate::panic::give_up;
use crate::sync::Locked;
use crate::{call, start};

/// The process's memory.
struct Mapped;

impl Pages for Mapped {
    fn map(&mut self, bytes: usize) -> *mut u8 {
        let bytes = bytes as u64;
        let Ok(memory) = call::memory(bytes) else {
            return ptr::null_mut();
        };
        let mapped = call::map(start::process(), memory, bytes);
        // What is mapped stays so without it.
        call::close(memory);
        mapped.map_or(ptr::null_mut(), |address| {
            ptr::with_exposed_provenance_mut(address as usize)
        })
    }

    unsafe fn unmap(&mut self, address: *mut u8, bytes: usize) {
        call::unmap(start::process(), address.addr() as u64, bytes as u64);
    }
}

static HEAP: Locked<Heap<Mapped>> = Locked::new(Heap::new(Mapped));

/// What the heap says of a pointer that the program gave.
fn checked<T>(result: Result<T, NotABlock>) -> T {
    match result {
        Ok(value) => value,
        Err(NotABlock) => give_up("free or realloc of what malloc did not give"),
    }
}

/// `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_malloc(bytes: usize) -> *mut c_void {
    HEAP.with(|heap| heap.take(bytes)).cast()
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
    if !memory.is_null() {
        // SAFETY: as the caller promised.
        checked(HEAP.with(|heap| unsafe { heap.give_back(memory.cast()) }));
    }
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
    let room = checked(HEAP.with(|heap| unsafe { heap.room(memory.cast()) }));
    if bytes <= room && bytes >= room / 4 {
        return memory;
    }
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

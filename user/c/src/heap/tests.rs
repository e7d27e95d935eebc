//! The heap over memory of the host.

use super::*;
use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Counts what is mapped, up to a limit.
struct Host {
    mapped: usize,
    limit: usize,
}

impl Pages for Host {
    fn map(&mut self, bytes: usize) -> *mut u8 {
        assert!(bytes.is_multiple_of(PAGE) && bytes > 0);
        if bytes > self.limit - self.mapped {
            return ptr::null_mut();
        }
        self.mapped += bytes;
        // SAFETY: it is not empty.
        unsafe { alloc_zeroed(layout(bytes)) }
    }

    unsafe fn unmap(&mut self, address: *mut u8, bytes: usize) {
        self.mapped -= bytes;
        // SAFETY: the caller says that `map` gave it.
        unsafe { dealloc(address, layout(bytes)) }
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE).expect("a small multiple of a page")
}

fn heap(limit: usize) -> Heap<Host> {
    Heap::new(Host { mapped: 0, limit })
}

#[test]
fn blocks_do_not_overlap_and_keep_what_is_in_them() {
    let mut heap = heap(usize::MAX);
    let mut blocks: Vec<(*mut u8, usize, u8)> = Vec::new();
    let mut random = 1u64;
    for round in 0..5000u32 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
        let pick = (random >> 33) as usize;
        if pick.is_multiple_of(3) && !blocks.is_empty() {
            let (at, bytes, fill) = blocks.swap_remove(pick % blocks.len());
            // SAFETY: the block is ours, with so many bytes.
            unsafe {
                assert!(heap.room(at).expect("a block") >= bytes);
                assert!((0..bytes).all(|n| *at.add(n) == fill), "overwritten");
                heap.give_back(at).expect("a block");
            }
        } else {
            let bytes = pick % (1 << (pick % 17));
            let at = heap.take(bytes);
            assert!(!at.is_null() && at.addr().is_multiple_of(16));
            let fill = round as u8;
            // SAFETY: the block has so many bytes.
            unsafe { at.write_bytes(fill, bytes) };
            blocks.push((at, bytes, fill));
        }
    }
}

#[test]
fn what_is_freed_is_used_again() {
    let mut heap = heap(CHUNK);
    for _ in 0..10_000 {
        let block = heap.take(100);
        assert!(!block.is_null());
        // SAFETY: it is ours.
        unsafe { heap.give_back(block) }.expect("a block");
    }
    assert_eq!(heap.pages.mapped, CHUNK);
}

#[test]
fn the_large_ones_are_unmapped() {
    let mut heap = heap(16 * CHUNK);
    let block = heap.take(3 * CHUNK);
    assert_eq!(heap.pages.mapped, 3 * CHUNK + PAGE);
    // SAFETY: it is ours.
    unsafe { heap.give_back(block) }.expect("a block");
    assert_eq!(heap.pages.mapped, 0);
}

#[test]
fn too_much_is_null() {
    let mut heap = heap(CHUNK);
    assert!(heap.take(usize::MAX).is_null());
    assert!(heap.take(isize::MAX as usize).is_null());
    assert!(heap.take(CHUNK).is_null(), "with its header it is larger");
    assert!(!heap.take(1).is_null());
    assert!(heap.take(1000).is_null(), "the next chunk is one too many");
}

#[test]
fn what_is_no_block_is_refused() {
    let mut heap = heap(usize::MAX);
    let block = heap.take(100);
    // SAFETY: all of these have 16 bytes before them.
    unsafe {
        assert_eq!(heap.give_back(block.add(8)), Err(NotABlock));
        assert_eq!(heap.give_back(block.add(32)), Err(NotABlock));
        assert_eq!(heap.give_back(block), Ok(()));
        assert_eq!(heap.give_back(block), Err(NotABlock), "freed twice");
    }
}

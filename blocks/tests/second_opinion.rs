//! The same requests, put to crate `buddy_system_allocator`: the order in which blocks are given out
//! differs, how much of the memory they are must not.

use blocks::FRAME;
use blocks::buddy::Buddies;
use buddy_system_allocator::Heap;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

const FRAMES: usize = 1 << 10;

/// Memory for one of the two; the other gets its own.
struct Ram(*mut u8, Layout);

impl Ram {
    fn new() -> Self {
        let layout = Layout::from_size_align(FRAMES * FRAME, FRAMES * FRAME).unwrap();
        // SAFETY: the layout is not of size 0.
        let start = unsafe { alloc(layout) };
        assert!(!start.is_null());
        Self(start, layout)
    }

    fn start(&self) -> usize {
        self.0 as usize
    }

    fn end(&self) -> usize {
        self.start() + FRAMES * FRAME
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: it was allocated so, and both allocators are gone.
        unsafe { dealloc(self.0, self.1) };
    }
}

fn layout(order: usize) -> Layout {
    Layout::from_size_align(FRAME << order, FRAME << order).unwrap()
}

#[test]
fn both_give_as_much_and_get_all_of_it_back() {
    let (our_ram, their_ram) = (Ram::new(), Ram::new());
    let mut ours = Buddies::<4>::new();
    let mut theirs = Heap::<40>::new();
    // SAFETY: each has memory of its own, which nobody else uses.
    unsafe {
        assert!(ours.add(our_ram.start(), our_ram.end()));
        theirs.add_to_heap(their_ram.start(), their_ram.end());
    }
    // Both keep what they know of the blocks somewhere: ours takes it from the memory itself.
    let all = ours.all_bytes();
    let mut held: Vec<(usize, NonNull<u8>, usize)> = Vec::new();
    let (mut seed, mut in_use, mut refused) = (1_u64, 0, 0);
    for _ in 0..20_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let dice = (seed >> 33) as usize;
        let order = dice % 5;
        if !dice.is_multiple_of(3) {
            match (ours.allocate(order), theirs.alloc(layout(order))) {
                (Some(one), Ok(other)) => {
                    assert!(one.is_multiple_of(FRAME << order), "aligned to its length");
                    held.push((one, other, order));
                    in_use += FRAME << order;
                }
                (None, Ok(other)) => {
                    // What is free lies otherwise, or is our map: then little is left.
                    refused += 1;
                    // SAFETY: just given.
                    unsafe { theirs.dealloc(other, layout(order)) };
                }
                (Some(one), Err(())) => {
                    refused += 1;
                    // SAFETY: just given.
                    unsafe { ours.free(one, order) };
                }
                (None, Err(())) => refused += 1,
            }
        } else if !held.is_empty() {
            let (one, other, order) = held.swap_remove(dice / 7 % held.len());
            // SAFETY: given by each, and not given back before.
            unsafe {
                ours.free(one, order);
                theirs.dealloc(other, layout(order));
            }
            in_use -= FRAME << order;
        }
        assert_eq!(all - ours.free_bytes(), in_use);
        assert_eq!(theirs.stats_alloc_actual(), in_use);
    }
    assert!(refused > 0, "neither was ever full: nothing was tried");
    for (one, other, order) in held {
        // SAFETY: as above.
        unsafe {
            ours.free(one, order);
            theirs.dealloc(other, layout(order));
        }
    }
    assert_eq!((ours.free_bytes(), theirs.stats_alloc_actual()), (all, 0));
}

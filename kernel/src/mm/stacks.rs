//! Kernel stacks: each at a multiple of twice its length, so that one address bit tells an overflow,
//! and with nothing mapped between them.
//!
//! A stack that is given back stays mapped and is given out again: making a thread then costs no
//! mapping, and no CPU has a translation to forget.

use super::table::{self, DATA};
use super::{PAGE, STACKS, frames, virt_to_phys};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use cpu::lock::{Irq, Lock};
use entry::vectors::STACK_BYTES;

const BYTES: u64 = STACK_BYTES as u64;

/// Stacks that were given back, as a list threaded through their lowest words; 0 ends it.
static FREE: Lock<u64, Irq> = Lock::new(0);
static NEXT: AtomicU64 = AtomicU64::new(STACKS);

/// What unused parts of a stack are filled with, to tell how deep it went.
const PAINT: u64 = 0x5045_5452_454c_5350;

/// A stack to use; `None` when memory is out. `Process` or `NoIrq`.
pub(crate) fn allocate() -> Option<Range<u64>> {
    let mut free = FREE.lock();
    if *free != 0 {
        let bottom = *free;
        // SAFETY: the list holds mapped stacks that nobody uses.
        *free = unsafe { (bottom as *const u64).read() };
        // SAFETY: as above.
        unsafe { (bottom as *mut u64).write(PAINT) };
        return Some(bottom..bottom + BYTES);
    }
    drop(free);
    let bottom = NEXT.fetch_add(2 * BYTES, Relaxed);
    let frame = frames::allocate(BYTES)?;
    // SAFETY: the frames are ours, and `BYTES` long.
    unsafe { core::slice::from_raw_parts_mut(frame as *mut u64, STACK_BYTES / 8).fill(PAINT) };
    if table::map(bottom, virt_to_phys(frame), BYTES, DATA).is_err() {
        // SAFETY: just allocated; what was mapped of it lies at an address that is never used again.
        unsafe { frames::free(frame, BYTES) };
        return None;
    }
    const { assert!(STACKS.is_multiple_of(2 * BYTES) && BYTES.is_multiple_of(PAGE)) };
    Some(bottom..bottom + BYTES)
}

/// Gives a stack back.
///
/// # Safety
/// It came from [`allocate`], and nobody is on it or will be.
pub(crate) unsafe fn free(stack: &Range<u64>) {
    let mut free = FREE.lock();
    // SAFETY: the caller's promise.
    unsafe { (stack.start as *mut u64).write(*free) };
    *free = stack.start;
}

/// How many bytes of a stack were ever used.
pub(crate) fn high_water(stack: &Range<u64>) -> u64 {
    // The lowest word may have served the free list.
    let mut at = stack.start + 8;
    // SAFETY: the whole stack is mapped; a racing write only makes the answer older.
    while at < stack.end && unsafe { (at as *const u64).read_volatile() } == PAINT {
        at += 8;
    }
    stack.end - at
}

/// The addresses that stacks are given out from.
pub(crate) fn area() -> Range<u64> {
    STACKS..NEXT.load(Relaxed)
}

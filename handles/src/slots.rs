//! The slots of one table: a directory of chunks, each made when it is needed, and the list of those that
//! are free.
//!
//! A slot is one word: where its entry is, or, with the lowest bit set, how often it was used, and the
//! slot that is free after it. Slots are given out in the order in which they became free, new ones of
//! a chunk that is there before used ones: so a number that was closed does not come again before its
//! slot's turn has come 32767 times.

use crate::Kernel;
use crate::entry::Node;
use crate::memory::bytes_of;
use abi::handle::Handle;
use alloc::boxed::Box;
use core::ptr::{NonNull, null_mut, without_provenance_mut};
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Relaxed, Release},
};

/// Slots in a chunk: a page of them.
const CHUNK: usize = 512;
const CHUNKS: usize = Handle::SLOTS / CHUNK;
/// Generations are 1 to this, so that no handle is 0.
const LAST_GENERATION: u32 = (1 << (32 - Handle::SLOT_BITS)) - 1;

/// Bytes that a chunk takes.
pub(crate) const CHUNK_BYTES: u64 = bytes_of::<Chunk<()>>();

/// A page of slots.
pub(crate) struct Chunk<T>([AtomicPtr<T>; CHUNK]);

/// What a slot that leads nowhere holds.
#[derive(Clone, Copy)]
struct Free {
    /// How often it was used.
    generation: u32,
    /// Who is free after it, if anybody is.
    next: u32,
}

impl Free {
    const MARK: usize = 1;

    const fn word<T>(self) -> *mut T {
        without_provenance_mut(
            (self.generation as usize) << 32 | (self.next as usize) << 1 | Self::MARK,
        )
    }

    fn of<T>(word: *mut T) -> Self {
        Self {
            generation: (word.addr() >> 32) as u32,
            next: word.addr() as u32 >> 1,
        }
    }

    fn is<T>(word: *mut T) -> bool {
        word.addr() & Self::MARK != 0
    }
}

impl<T> Chunk<T> {
    /// Writes a chunk of slots that were never used.
    ///
    /// # Safety
    /// `place` is room for one.
    unsafe fn fill(place: *mut Self) {
        let never_used = Free {
            generation: 0,
            next: 0,
        };
        for slot in 0..CHUNK {
            // SAFETY: the caller's promise.
            unsafe {
                (&raw mut (*place).0[slot]).write(AtomicPtr::new(never_used.word()));
            }
        }
    }
}

/// Where numbers lead. Read without a lock.
pub(crate) struct Directory<K: Kernel>([AtomicPtr<Chunk<Node<K>>>; CHUNKS]);

impl<K: Kernel> Directory<K> {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicPtr::new(null_mut()) }; CHUNKS])
    }

    /// What slot number `slot` leads to, whatever the rest of the handle says.
    #[inline(always)]
    pub(crate) fn look(&self, handle: Handle) -> Option<NonNull<Node<K>>> {
        let word = self.word(handle.slot())?.load(Acquire);
        if Free::is(word) {
            return None;
        }
        NonNull::new(word)
    }

    #[inline(always)]
    fn word(&self, slot: usize) -> Option<&AtomicPtr<Node<K>>> {
        let chunk = self.0[slot / CHUNK % CHUNKS].load(Acquire);
        // SAFETY: a chunk stays until the directory is dropped.
        let chunk = unsafe { chunk.as_ref() }?;
        Some(&chunk.0[slot % CHUNK])
    }

    /// The word of a slot whose chunk is there.
    fn present(&self, slot: u32) -> &AtomicPtr<Node<K>> {
        match self.word(slot as usize) {
            Some(word) => word,
            None => unreachable!("slot {slot} was given out and has no chunk"),
        }
    }
}

impl<K: Kernel> Drop for Directory<K> {
    fn drop(&mut self) {
        for chunk in &mut self.0 {
            let chunk = *chunk.get_mut();
            if !chunk.is_null() {
                // SAFETY: `add_chunk` leaked it.
                drop(unsafe { Box::from_raw(chunk) });
            }
        }
    }
}

/// Room for a chunk that is not written yet.
pub(crate) type ChunkRoom<K> = Box<core::mem::MaybeUninit<Chunk<Node<K>>>>;

/// What a table can still give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// A slot.
    Slot,
    /// A slot, when a chunk was added.
    AfterChunk,
    /// Nothing.
    None,
}

/// Which slots are free. Changed under the lock of all tables.
pub(crate) struct FreeSlots {
    /// The first slot that was never used.
    fresh: u32,
    chunks: u32,
    /// The list of those that were used, in the order in which they became free.
    free: u32,
    head: u32,
    tail: u32,
}

impl FreeSlots {
    pub(crate) const fn new() -> Self {
        Self {
            fresh: 0,
            chunks: 0,
            free: 0,
            head: 0,
            tail: 0,
        }
    }

    fn has_fresh(&self) -> bool {
        (self.fresh as usize) < self.chunks as usize * CHUNK
    }

    pub(crate) fn room(&self) -> Room {
        if self.free != 0 || self.has_fresh() {
            Room::Slot
        } else if (self.chunks as usize) < CHUNKS {
            Room::AfterChunk
        } else {
            Room::None
        }
    }

    /// Slots from 0 that may lead somewhere.
    pub(crate) fn used_once(&self) -> u32 {
        self.fresh
    }

    /// Adds a chunk; there is [`Room::AfterChunk`].
    pub(crate) fn add_chunk<K: Kernel>(&mut self, directory: &Directory<K>, room: ChunkRoom<K>) {
        let chunk = Box::into_raw(room).cast::<Chunk<Node<K>>>();
        // SAFETY: it is room for one.
        unsafe { Chunk::fill(chunk) };
        directory.0[self.chunks as usize].store(chunk, Release);
        self.chunks += 1;
    }

    /// Takes a slot out of those that are free; there is [`Room::Slot`]. Gives the handle that leads to
    /// it from now on.
    pub(crate) fn take<K: Kernel>(&mut self, directory: &Directory<K>) -> Handle {
        let fresh = self.has_fresh();
        let slot = if fresh { self.fresh } else { self.head };
        let free = Free::of(directory.present(slot).load(Relaxed));
        if fresh {
            self.fresh += 1;
        } else {
            self.free -= 1;
            self.head = free.next;
        }
        Handle::new(slot, free.generation % LAST_GENERATION + 1)
    }

    /// Has `handle`, whose slot was taken, lead to `node` from now on.
    pub(crate) fn lead<K: Kernel>(
        &self,
        directory: &Directory<K>,
        handle: Handle,
        node: NonNull<Node<K>>,
    ) {
        let word = directory.present(handle.slot() as u32);
        word.store(node.as_ptr(), Release);
    }

    /// Has `handle` lead nowhere, and its slot be free.
    pub(crate) fn give_back<K: Kernel>(&mut self, directory: &Directory<K>, handle: Handle) {
        let (slot, generation) = (handle.slot() as u32, handle.generation());
        let itself = Free {
            generation,
            next: 0,
        };
        directory.present(slot).store(itself.word(), Release);
        if self.free == 0 {
            self.head = slot;
        } else {
            let last = directory.present(self.tail);
            let generation = Free::of(last.load(Relaxed)).generation;
            last.store(
                Free {
                    generation,
                    next: slot,
                }
                .word(),
                Release,
            );
        }
        self.tail = slot;
        self.free += 1;
    }
}

//! Blocks of 2^n frames, at multiples of their length.
//!
//! A block that is too large is halved, and a block that comes back is joined with its other half, its
//! *buddy*, if that is free (Knowlton, 1965). Whether it is stands in a map, one byte for each frame, so
//! the buddy is not searched for; the free blocks of one length form a ring, threaded through the
//! blocks themselves, so it is taken out without a search either. Each operation is at most
//! [`ORDERS`] steps.

use crate::FRAME;
use core::ptr::null_mut;

/// How many lengths there are: from one frame to 2^39 bytes.
pub const ORDERS: usize = 28;
/// In the map: no free block begins at this frame.
const NONE: u8 = u8::MAX;

/// At the start of each free block.
struct Free {
    next: *mut Free,
    previous: *mut Free,
}

/// Memory without holes.
struct Area {
    base: usize,
    end: usize,
    /// For each frame, the order of the free block that begins there, or [`NONE`].
    map: *mut u8,
}

impl Area {
    fn has(&self, block: usize, order: usize) -> bool {
        block >= self.base && block < self.end && self.end - block >= FRAME << order
    }

    fn mark(&self, block: usize) -> *mut u8 {
        self.map.wrapping_add((block - self.base) / FRAME)
    }
}

/// All free frames.
pub struct Buddies<const AREAS: usize> {
    areas: heapless::Vec<Area, AREAS>,
    /// The first free block of each order; null: there is none.
    first: [*mut Free; ORDERS],
    /// Bit n: there is a free block of order n.
    some: u32,
    all_bytes: usize,
    free_bytes: usize,
}

// SAFETY: the pointers lead into memory that is its own.
unsafe impl<const AREAS: usize> Send for Buddies<AREAS> {}

/// The order of the smallest block that has room for `bytes`; `None` if there is no such.
pub const fn order_of(bytes: usize) -> Option<usize> {
    let frames = bytes.div_ceil(FRAME);
    if frames > 1 << (ORDERS - 1) {
        return None;
    }
    Some(frames.next_power_of_two().trailing_zeros() as usize)
}

impl<const AREAS: usize> Buddies<AREAS> {
    /// Without any memory.
    pub const fn new() -> Self {
        Self {
            areas: heapless::Vec::new(),
            first: [null_mut(); ORDERS],
            some: 0,
            all_bytes: 0,
            free_bytes: 0,
        }
    }

    /// Takes over the memory from `start` to `end`, whole frames of it but for those that the map needs.
    /// False if there were too many areas before.
    ///
    /// # Safety
    /// The memory is mapped, nobody else's, and stays.
    pub unsafe fn add(&mut self, start: usize, end: usize) -> bool {
        let start = start.next_multiple_of(FRAME);
        let end = end / FRAME * FRAME;
        let frames = end.saturating_sub(start) / FRAME;
        let base = start + frames.next_multiple_of(FRAME);
        if base >= end {
            return true;
        }
        let map = core::ptr::with_exposed_provenance_mut::<u8>(start);
        // SAFETY: the caller's promise; the map has a byte for each frame.
        unsafe { map.write_bytes(NONE, frames) };
        if self.areas.push(Area { base, end, map }).is_err() {
            return false;
        }
        let area = self.areas.len() - 1;
        self.all_bytes += end - base;
        self.free_bytes += end - base;
        let mut at = base;
        while at < end {
            let fits = (end - at) / FRAME;
            let aligned = at.trailing_zeros() as usize - FRAME.trailing_zeros() as usize;
            let order = aligned.min(fits.ilog2() as usize).min(ORDERS - 1);
            self.link(area, at, order);
            at += FRAME << order;
        }
        true
    }

    /// Takes a block of 2^`order` frames; its address. `None` if there is none.
    pub fn allocate(&mut self, order: usize) -> Option<usize> {
        if order >= ORDERS {
            return None;
        }
        let large_enough = self.some & (u32::MAX << order);
        if large_enough == 0 {
            return None;
        }
        let mut found = large_enough.trailing_zeros() as usize;
        let block = self.first[found].expose_provenance();
        let area = self.area_of(block);
        self.unlink(area, block, found);
        while found > order {
            found -= 1;
            self.link(area, block + (FRAME << found), found);
        }
        self.free_bytes -= FRAME << order;
        Some(block)
    }

    /// Gives a block back.
    ///
    /// # Panics
    /// If it never was one, or is free.
    ///
    /// # Safety
    /// It came from [`Buddies::allocate`] with that order, and nobody uses it any more.
    pub unsafe fn free(&mut self, block: usize, order: usize) {
        let area = self.area_of(block);
        self.free_bytes += FRAME << order;
        // SAFETY: the map has a byte for each frame of the area.
        let mark = unsafe { self.areas[area].mark(block).read() };
        assert!(
            mark == NONE,
            "a block of frames was given back twice: {block:#x}"
        );
        let (mut block, mut order) = (block, order);
        while order < ORDERS - 1 {
            let buddy = block ^ (FRAME << order);
            // SAFETY: as above.
            let is_free = self.areas[area].has(buddy, order)
                && usize::from(unsafe { self.areas[area].mark(buddy).read() }) == order;
            if !is_free {
                break;
            }
            self.unlink(area, buddy, order);
            block = block.min(buddy);
            order += 1;
        }
        self.link(area, block, order);
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> usize {
        self.free_bytes
    }

    /// Bytes that there are, without the maps.
    pub fn all_bytes(&self) -> usize {
        self.all_bytes
    }

    /// The order of the largest free block.
    pub fn largest(&self) -> Option<usize> {
        self.some.checked_ilog2().map(|order| order as usize)
    }

    fn area_of(&self, block: usize) -> usize {
        let area = self.areas.iter().position(|area| area.has(block, 0));
        match area {
            Some(area) => area,
            None => panic!("no frame is at {block:#x}"),
        }
    }

    /// Puts a block into the list of its order.
    fn link(&mut self, area: usize, block: usize, order: usize) {
        let next = self.first[order];
        let free = core::ptr::with_exposed_provenance_mut::<Free>(block);
        // SAFETY: the block is free, so it is ours to write, and so is the one that was the first.
        unsafe {
            free.write(Free {
                next,
                previous: null_mut(),
            });
            if !next.is_null() {
                (*next).previous = free;
            }
            self.areas[area].mark(block).write(order as u8);
        }
        self.first[order] = free;
        self.some |= 1 << order;
    }

    /// Takes a free block out of the list of its order.
    fn unlink(&mut self, area: usize, block: usize, order: usize) {
        let free = core::ptr::with_exposed_provenance_mut::<Free>(block);
        // SAFETY: the block is in the list, and so are its neighbours.
        unsafe {
            let Free { next, previous } = free.read();
            if !next.is_null() {
                (*next).previous = previous;
            }
            if previous.is_null() {
                self.first[order] = next;
            } else {
                (*previous).next = next;
            }
            self.areas[area].mark(block).write(NONE);
        }
        if self.first[order].is_null() {
            self.some &= !(1 << order);
        }
    }
}

impl<const AREAS: usize> Default for Buddies<AREAS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Ram;
    use proptest::prelude::*;

    fn over(ram: &Ram) -> Buddies<4> {
        let mut buddies = Buddies::new();
        // SAFETY: the memory is the test's, and outlives the buddies.
        assert!(unsafe { buddies.add(ram.start(), ram.end()) });
        buddies
    }

    #[test]
    fn orders() {
        assert_eq!(order_of(0), Some(0));
        assert_eq!(order_of(1), Some(0));
        assert_eq!(order_of(FRAME), Some(0));
        assert_eq!(order_of(FRAME + 1), Some(1));
        assert_eq!(order_of(FRAME << (ORDERS - 1)), Some(ORDERS - 1));
        assert_eq!(order_of((FRAME << (ORDERS - 1)) + 1), None);
        assert_eq!(order_of(usize::MAX), None);
    }

    #[test]
    fn all_of_it_can_be_had_and_comes_back_whole() {
        let ram = Ram::new(256);
        let mut buddies = over(&ram);
        let (all, largest) = (buddies.free_bytes(), buddies.largest());
        assert_eq!(all, ram.end() - ram.start() - FRAME);
        let mut taken = Vec::new();
        while let Some(frame) = buddies.allocate(0) {
            taken.push(frame);
        }
        assert_eq!(taken.len() * FRAME, all);
        assert_eq!((buddies.free_bytes(), buddies.largest()), (0, None));
        // Every other one first: nothing can be joined, and nothing is searched for.
        let (even, odd): (Vec<_>, Vec<_>) = taken
            .iter()
            .partition(|frame| (*frame / FRAME).is_multiple_of(2));
        for frame in even {
            // SAFETY: it was taken, and is not used.
            unsafe { buddies.free(frame, 0) };
        }
        assert_eq!(buddies.largest(), Some(0));
        for frame in odd {
            // SAFETY: as above.
            unsafe { buddies.free(frame, 0) };
        }
        assert_eq!((buddies.free_bytes(), buddies.largest()), (all, largest));
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn what_is_free_cannot_be_given_back() {
        let ram = Ram::new(16);
        let mut buddies = over(&ram);
        let frames = [buddies.allocate(0).unwrap(), buddies.allocate(0).unwrap()];
        // SAFETY: the second time none: this is the test.
        unsafe {
            buddies.free(frames[0], 0);
            buddies.free(frames[0], 0);
        }
    }

    #[test]
    #[should_panic(expected = "no frame is at")]
    fn what_is_no_frame_cannot_be_given_back() {
        let ram = Ram::new(16);
        let mut buddies = over(&ram);
        // SAFETY: none: this is the test.
        unsafe { buddies.free(ram.end(), 0) };
    }

    #[test]
    fn too_little_memory_is_none_and_too_many_areas_are_refused() {
        let ram = Ram::new(16);
        let mut buddies = Buddies::<1>::new();
        // SAFETY: the memory is the test's.
        unsafe {
            assert!(buddies.add(ram.start(), ram.start() + FRAME));
            assert!(buddies.add(ram.start() + 1, ram.start() + FRAME));
            assert!(buddies.add(ram.start(), ram.start()));
            assert_eq!(buddies.all_bytes(), 0);
            assert!(buddies.add(ram.start(), ram.start() + 2 * FRAME));
            assert!(!buddies.add(ram.start() + 4 * FRAME, ram.end()));
        }
        assert_eq!(buddies.all_bytes(), FRAME);
        assert_eq!(buddies.allocate(ORDERS), None);
        assert_eq!(buddies.allocate(1), None);
        assert!(buddies.allocate(0).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_never_overlap_and_all_come_back(
            steps in prop::collection::vec((any::<bool>(), 0_usize..6, any::<prop::sample::Index>()), 1..300),
            frames in 3_usize..300,
        ) {
            let ram = Ram::new(frames);
            let mut buddies = over(&ram);
            let (all, largest) = (buddies.free_bytes(), buddies.largest());
            let mut taken: Vec<(usize, usize)> = Vec::new();
            for (takes, order, which) in steps {
                if takes || taken.is_empty() {
                    let before = buddies.largest();
                    match buddies.allocate(order) {
                        Some(block) => {
                            let end = block + (FRAME << order);
                            prop_assert!(block.is_multiple_of(FRAME << order));
                            prop_assert!(ram.start() < block && end <= ram.end());
                            for (other, order) in &taken {
                                prop_assert!(end <= *other || other + (FRAME << order) <= block);
                            }
                            ram.fill(block, FRAME << order);
                            taken.push((block, order));
                        }
                        None => prop_assert!(before.is_none_or(|largest| largest < order)),
                    }
                } else {
                    let (block, order) = taken.swap_remove(which.index(taken.len()));
                    // SAFETY: it was taken, and is not used.
                    unsafe { buddies.free(block, order) };
                }
                let used: usize = taken.iter().map(|(_, order)| FRAME << order).sum();
                prop_assert_eq!(buddies.free_bytes(), all - used);
            }
            for (block, order) in taken {
                // SAFETY: as above.
                unsafe { buddies.free(block, order) };
            }
            prop_assert_eq!((buddies.free_bytes(), buddies.largest()), (all, largest));
        }
    }
}

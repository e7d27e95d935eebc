//! Small objects, many in one frame.
//!
//! Each size, a power of two, has frames of its own, cut into slots; a header at a frame's start says
//! which slots are free. Frames with a free slot form a ring for each size, so taking and giving back are
//! a handful of instructions; the address of an object leads to its header. A frame that is all free
//! goes back, but for one of each size, which waits for the next object.

use crate::FRAME;
use core::ptr::null_mut;

/// The smallest size.
const SMALLEST: usize = 16;
/// How many sizes there are.
pub const SIZES: usize = 7;
/// The largest object. Two of the next size, and a header, do not fit into a frame.
pub const LARGEST: usize = SMALLEST << (SIZES - 1);

/// At the start of each frame; then come the slots, at multiples of their size.
struct Page {
    next: *mut Page,
    previous: *mut Page,
    /// Slots that came back, each with the address of the next one in it.
    free: *mut Slot,
    /// Where the slots begin that were never taken.
    fresh: usize,
    used: usize,
}

struct Slot {
    next: *mut Slot,
}

/// All slabs.
pub struct Slabs {
    /// For each size, the first frame that has a free slot.
    first: [*mut Page; SIZES],
    /// For each size, how many frames are all free: one at most.
    spare: [usize; SIZES],
    used_bytes: usize,
    pages: usize,
}

// SAFETY: the pointers lead into memory that is its own.
unsafe impl Send for Slabs {}

/// A size of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(usize);

impl Size {
    /// The smallest that has room for `bytes` at a multiple of `align`; `None`: it is no small object.
    #[inline]
    pub const fn of(bytes: usize, align: usize) -> Option<Self> {
        let least = if bytes > align { bytes } else { align };
        if least > LARGEST {
            None
        } else if least <= SMALLEST {
            Some(Self(0))
        } else {
            let bits = least.next_power_of_two().trailing_zeros();
            Some(Self((bits - SMALLEST.trailing_zeros()) as usize))
        }
    }

    /// Bytes of a slot.
    pub const fn bytes(self) -> usize {
        SMALLEST << self.0
    }

    /// Where the first slot of a frame is.
    const fn first(self) -> usize {
        size_of::<Page>().next_multiple_of(self.bytes())
    }

    /// How many slots a frame has.
    pub const fn slots(self) -> usize {
        (FRAME - self.first()) / self.bytes()
    }
}

impl Slabs {
    /// Without any frame.
    pub const fn new() -> Self {
        Self {
            first: [null_mut(); SIZES],
            spare: [0; SIZES],
            used_bytes: 0,
            pages: 0,
        }
    }

    /// Takes a slot. `None`: there is none, and [`Slabs::add`] is to be called.
    #[inline]
    pub fn allocate(&mut self, size: Size) -> Option<usize> {
        let page = self.first[size.0];
        if page.is_null() {
            return None;
        }
        // SAFETY: the frame is ours, and has a free slot.
        let (slot, is_full) = unsafe {
            let page = &mut *page;
            if page.used == 0 {
                self.spare[size.0] -= 1;
            }
            page.used += 1;
            let slot = if page.free.is_null() {
                page.fresh += size.bytes();
                page.fresh - size.bytes()
            } else {
                let slot = page.free;
                page.free = (*slot).next;
                slot.expose_provenance()
            };
            (slot, page.used == size.slots())
        };
        if is_full {
            self.unlink(page, size);
        }
        self.used_bytes += size.bytes();
        Some(slot)
    }

    /// Gives a slot back. A frame that is no longer needed comes out, and is the caller's again.
    ///
    /// # Safety
    /// It came from [`Slabs::allocate`] with that size, and nobody uses it any more.
    #[inline]
    pub unsafe fn free(&mut self, slot: usize, size: Size) -> Option<usize> {
        let place = core::ptr::with_exposed_provenance_mut::<Page>(slot / FRAME * FRAME);
        let free = core::ptr::with_exposed_provenance_mut::<Slot>(slot);
        // SAFETY: the caller's promise: the slot is in a frame of ours, and free now.
        let (was_full, is_empty) = unsafe {
            let page = &mut *place;
            let was_full = page.used == size.slots();
            free.write(Slot { next: page.free });
            page.free = free;
            page.used -= 1;
            (was_full, page.used == 0)
        };
        self.used_bytes -= size.bytes();
        if was_full {
            self.link(place, size);
        }
        if !is_empty {
            return None;
        }
        if self.spare[size.0] == 0 {
            self.spare[size.0] = 1;
            return None;
        }
        self.unlink(place, size);
        self.pages -= 1;
        Some(place.expose_provenance())
    }

    /// Takes a frame over for objects of that size.
    ///
    /// # Safety
    /// The frame is mapped and nobody else's, until it comes out of [`Slabs::free`].
    pub unsafe fn add(&mut self, frame: usize, size: Size) {
        let page = core::ptr::with_exposed_provenance_mut::<Page>(frame);
        // SAFETY: the caller's promise.
        unsafe {
            page.write(Page {
                next: null_mut(),
                previous: null_mut(),
                free: null_mut(),
                fresh: frame + size.first(),
                used: 0,
            });
        };
        self.link(page, size);
        self.spare[size.0] += 1;
        self.pages += 1;
    }

    /// Bytes of the slots that are taken.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Bytes of the frames that are here.
    pub fn all_bytes(&self) -> usize {
        self.pages * FRAME
    }

    fn link(&mut self, page: *mut Page, size: Size) {
        let next = self.first[size.0];
        // SAFETY: both are frames of ours.
        unsafe {
            (*page).next = next;
            (*page).previous = null_mut();
            if !next.is_null() {
                (*next).previous = page;
            }
        }
        self.first[size.0] = page;
    }

    fn unlink(&mut self, page: *mut Page, size: Size) {
        // SAFETY: the frame is in the list, and so are its neighbours.
        unsafe {
            let Page { next, previous, .. } = *page;
            if !next.is_null() {
                (*next).previous = previous;
            }
            if previous.is_null() {
                self.first[size.0] = next;
            } else {
                (*previous).next = next;
            }
        }
    }
}

impl Default for Slabs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Ram;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn sizes() {
        assert_eq!(Size::of(1, 1).map(Size::bytes), Some(16));
        assert_eq!(Size::of(17, 8).map(Size::bytes), Some(32));
        assert_eq!(Size::of(8, 64).map(Size::bytes), Some(64));
        assert_eq!(Size::of(LARGEST, 1).map(Size::bytes), Some(1024));
        assert_eq!(Size::of(LARGEST + 1, 1), None);
        assert_eq!(Size::of(1, 2 * LARGEST), None);
        assert_eq!(Size(0).slots(), 253);
        assert_eq!(Size(6).slots(), 3);
    }

    /// Slabs over some frames, as the kernel's heap uses them.
    struct Heap {
        slabs: Slabs,
        frames: Vec<usize>,
    }

    impl Heap {
        fn new(ram: &Ram) -> Self {
            Self {
                slabs: Slabs::new(),
                frames: (ram.start()..ram.end()).step_by(FRAME).collect(),
            }
        }

        fn allocate(&mut self, size: Size) -> Option<usize> {
            loop {
                if let Some(slot) = self.slabs.allocate(size) {
                    return Some(slot);
                }
                // SAFETY: the frame is the test's.
                unsafe { self.slabs.add(self.frames.pop()?, size) };
            }
        }

        fn free(&mut self, slot: usize, size: Size) {
            // SAFETY: it was taken, and is not used.
            let frame = unsafe { self.slabs.free(slot, size) };
            self.frames.extend(frame);
        }
    }

    #[test]
    fn frames_come_back_but_for_one_of_each_size() {
        let ram = Ram::new(64);
        let mut heap = Heap::new(&ram);
        let all = heap.frames.len();
        for class in 0..SIZES {
            let size = Size(class);
            let slots: Vec<usize> = (0..10 * size.slots())
                .map(|_| heap.allocate(size).unwrap())
                .collect();
            assert_eq!(heap.slabs.used_bytes(), slots.len() * size.bytes());
            assert_eq!(heap.frames.len(), all - 10 - class);
            // Every other one first.
            for slot in slots
                .iter()
                .step_by(2)
                .chain(slots.iter().skip(1).step_by(2))
            {
                heap.free(*slot, size);
            }
            assert_eq!(heap.frames.len(), all - class - 1);
        }
        assert_eq!(heap.slabs.used_bytes(), 0);
        assert_eq!(heap.slabs.all_bytes(), SIZES * FRAME);
    }

    #[test]
    fn an_object_that_comes_and_goes_moves_no_frame() {
        let ram = Ram::new(8);
        let mut heap = Heap::new(&ram);
        let size = Size(3);
        let kept: Vec<usize> = (0..size.slots())
            .map(|_| heap.allocate(size).unwrap())
            .collect();
        let mut least = heap.frames.len();
        for _ in 0..100 {
            let slot = heap.allocate(size).unwrap();
            least = least.min(heap.frames.len());
            heap.free(slot, size);
            assert_eq!(heap.frames.len(), least);
        }
        for slot in kept {
            heap.free(slot, size);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn objects_keep_what_is_in_them(
            steps in prop::collection::vec((any::<bool>(), 1_usize..=LARGEST, any::<prop::sample::Index>()), 1..600),
        ) {
            let ram = Ram::new(64);
            let mut heap = Heap::new(&ram);
            // By address: size and content.
            let mut taken: BTreeMap<usize, (Size, u8)> = BTreeMap::new();
            for (number, (takes, bytes, which)) in steps.into_iter().enumerate() {
                if takes || taken.is_empty() {
                    let size = Size::of(bytes, 1).unwrap();
                    let Some(slot) = heap.allocate(size) else { continue };
                    prop_assert!(slot.is_multiple_of(size.bytes()));
                    prop_assert!(slot / FRAME == (slot + size.bytes() - 1) / FRAME);
                    let below = taken.range(..=slot).next_back();
                    prop_assert!(below.is_none_or(|(at, (size, _))| at + size.bytes() <= slot));
                    let above = taken.range(slot..).next();
                    prop_assert!(above.is_none_or(|(at, _)| slot + size.bytes() <= *at));
                    let content = number as u8;
                    ram.fill_with(slot, size.bytes(), content);
                    taken.insert(slot, (size, content));
                } else {
                    let slot = *taken.keys().nth(which.index(taken.len())).unwrap();
                    let (size, content) = taken.remove(&slot).unwrap();
                    prop_assert!(ram.holds(slot, size.bytes(), content));
                    heap.free(slot, size);
                }
            }
            let used: usize = taken.values().map(|(size, _)| size.bytes()).sum();
            prop_assert_eq!(heap.slabs.used_bytes(), used);
            for (slot, (size, content)) in taken {
                prop_assert!(ram.holds(slot, size.bytes(), content));
                heap.free(slot, size);
            }
            prop_assert!(heap.frames.len() + SIZES >= 64);
        }
    }
}

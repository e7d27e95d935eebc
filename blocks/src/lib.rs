#![cfg_attr(not(test), no_std)]
//! Blocks of memory, large and small.
//!
//! Interrupts are held while the kernel takes memory or gives it back, and programs decide how much of it
//! there is and in which order it goes. So every operation here takes a bounded number of
//! instructions, however much memory there is, however scattered: no list is ever searched.
//!
//! | module | gives |
//! |---|---|
//! | [`buddy`] | frames, and blocks of them whose length is a power of two |
//! | [`slab`] | small objects, many in one frame |
//!
//! Both know addresses only. Who owns the memory, and which lock is around them, is the caller's.

pub mod buddy;
pub mod slab;

/// Bytes in a frame.
pub const FRAME: usize = 4096;

#[cfg(test)]
mod tests {
    use super::FRAME;
    use std::alloc::{Layout, alloc, dealloc};

    /// Frames to try it on.
    pub(crate) struct Ram {
        start: *mut u8,
        layout: Layout,
    }

    impl Ram {
        pub(crate) fn new(frames: usize) -> Self {
            let layout = Layout::from_size_align(frames * FRAME, 1 << 20).unwrap();
            // SAFETY: the layout is not of size 0.
            let start = unsafe { alloc(layout) };
            assert!(!start.is_null());
            Self { start, layout }
        }

        pub(crate) fn start(&self) -> usize {
            self.start.expose_provenance()
        }

        pub(crate) fn end(&self) -> usize {
            self.start() + self.layout.size()
        }

        /// Writes over all of it, so that whoever looks there for anything finds nonsense.
        pub(crate) fn fill(&self, at: usize, bytes: usize) {
            self.fill_with(at, bytes, 0xa5);
        }

        pub(crate) fn fill_with(&self, at: usize, bytes: usize, value: u8) {
            assert!(at >= self.start() && at + bytes <= self.end());
            // SAFETY: it is inside.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(at).write_bytes(value, bytes) };
        }

        pub(crate) fn holds(&self, at: usize, bytes: usize, value: u8) -> bool {
            assert!(at >= self.start() && at + bytes <= self.end());
            // SAFETY: it is inside, and was written.
            let content = unsafe {
                core::slice::from_raw_parts(core::ptr::with_exposed_provenance::<u8>(at), bytes)
            };
            content.iter().all(|byte| *byte == value)
        }
    }

    impl Drop for Ram {
        fn drop(&mut self) {
            // SAFETY: `new` allocated it so.
            unsafe { dealloc(self.start, self.layout) };
        }
    }
}

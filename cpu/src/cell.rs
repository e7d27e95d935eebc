//! A word that one CPU and what interrupts it share.
//!
//! An interrupt nests: it runs to its end between two instructions of what it interrupted, and puts
//! back what it changed. So a plain load and a plain store are enough; no read-modify-write has to be
//! atomic, only each access single. Every access is also a *step* of the machine: on the real CPU
//! that is nothing at all, in the model it is a place where each interrupt that the masks allow is
//! tried.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What marks the places where something may interrupt.
///
/// On the host, steps know where they are in the source, so that the model's stories can say it.
pub trait Steps {
    /// A place where what the masks allow may interrupt. Nothing on the real CPU.
    #[cfg_attr(not(target_os = "none"), track_caller)]
    fn step();
}

/// The real CPU interrupts by itself.
pub enum NoSteps {}

impl Steps for NoSteps {
    #[inline(always)]
    fn step() {}
}

macro_rules! local {
    ($name:ident, $word:ty, $atomic:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name($atomic);

        impl $name {
            /// A cell that holds `value`.
            pub const fn new(value: $word) -> Self {
                Self(<$atomic>::new(value))
            }

            /// Reads the word. Any context.
            #[inline(always)]
            #[cfg_attr(not(target_os = "none"), track_caller)]
            pub fn get<M: Steps>(&self) -> $word {
                M::step();
                self.0.load(Relaxed)
            }

            /// Writes the word. Any context, if an interrupter puts back what it found.
            #[inline(always)]
            #[cfg_attr(not(target_os = "none"), track_caller)]
            pub fn set<M: Steps>(&self, value: $word) {
                M::step();
                self.0.store(value, Relaxed);
            }

            /// Reads the word from outside its CPU's nest (reports, tests): no step.
            #[inline(always)]
            pub fn peek(&self) -> $word {
                self.0.load(Relaxed)
            }

            /// Writes the word where nothing interrupts (set-up): no step.
            #[inline(always)]
            pub fn poke(&self, value: $word) {
                self.0.store(value, Relaxed);
            }
        }
    };
}

local!(Local32, u32, AtomicU32, "A 32-bit [cell](self).");
local!(Local64, u64, AtomicU64, "A 64-bit [cell](self).");

#![no_std]
//! Files and folders of a FAT volume, for a service that must not fall over.
//!
//! What is on a disk was written by somebody else. A file service that crashes on it can be restarted
//! as often as one likes, the disk stays as it is; so whatever the sectors say, the answer here is a
//! file, or an [`Error`], in bounded time. The parsing is `hadris-fat`'s work, which checks chains for
//! loops and numbers for sense; this crate finds the volume ([`disk`]), speaks in paths and open files
//! ([`tree`]), and holds the tests that try to make either fall over.
//!
//! The program around it (`main.rs`) runs at EL0 only. This library knows no system call, so that its
//! tests run where tests are cheap.

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod disk;
mod error;
#[cfg(test)]
mod hostile;
pub mod tree;

pub use error::Error;
pub use tree::{Entry, File, Kind, Tree};

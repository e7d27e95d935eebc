#![cfg_attr(not(test), no_std)]
//! Makes processes of ELF files.
//!
//! The kernel knows nothing of files and formats: a process is made here, from the outside, with the
//! calls that anybody has. First the file is read and checked as a whole ([`image`]), without touching a
//! process; a file is an allegation, and what it alleges is believed only within bounds. Then the
//! process is made, its memory filled and mapped, each segment with its own rights and none both
//! written and executed, and its handles given ([`process`]).
//!
//! Every error is one sentence that names the file.

extern crate alloc;

pub mod image;
pub mod process;

pub use image::{Defect, Image};
pub use process::{Grant, LoadError, Loaded, Spec, load};

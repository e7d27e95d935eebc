#![cfg_attr(not(test), no_std)]
//! What init reads: the start script, and the boot arguments as far as they are its own.

extern crate alloc;

pub mod boot;
pub mod script;

#![cfg_attr(not(test), no_std)]
//! `libpetrel.a`: what a C program needs to run as a process.
//!
//! The header (`include/petrel.h`) makes system calls by itself. Behind its second half (start-up,
//! output, memory, threads, files) is the run-time that Petrel's own programs stand on ([`rt`]),
//! under names and with types that C has. So there is no C source to compile, and an image can be built
//! where there is no C compiler for AArch64; only who compiles C needs one.
//!
//! It is small on purpose. A program that wants a C library brings one.
//!
//! `cargo rustc --package petrel-c --lib --crate-type staticlib` makes the library; built in any other
//! way it is for the tests, among which is the one that holds the header against [`rt::abi`].

extern crate alloc;

pub mod files;
mod format;
#[cfg(test)]
mod header;
pub mod memory;
#[cfg(target_os = "none")]
mod names;
pub mod output;
pub mod start;
pub mod status;
pub mod text;
pub mod thread;
pub mod variadic;

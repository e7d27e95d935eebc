//! `libpetrel.a`: what a C program needs to run as a process.
//!
//! C programs are the test of whether the contract with the kernel is a contract: they share no
//! line of code with it. What they do share is this library, and it is written in Rust so that an
//! image can be built where there is no C compiler for AArch64; only who compiles C needs one. The
//! header (`include/petrel.h`) makes system calls by itself. Here is what lies behind its second
//! half: start-up, output, memory, threads.
//!
//! All of it is small on purpose. A program that wants a C library brings one.
//!
//! The functions have the header's names and types, and `tests/header.rs` holds the header against
//! [`abi`]. Built for the host, the crate is only good for its tests: system calls fail there.

#![cfg_attr(target_os = "none", no_std)]

mod call;
mod console;
mod format;
mod heap;
mod memory;
#[cfg(target_os = "none")]
mod names;
pub mod output;
mod panic;
pub mod start;
pub mod sync;
pub mod text;
pub mod thread;
pub mod variadic;

pub use memory::{petrel_calloc, petrel_free, petrel_malloc, petrel_realloc};

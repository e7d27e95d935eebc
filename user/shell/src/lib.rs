#![no_std]
//! The parts of Petrel's shell that need no kernel: from bytes to keys, from keys to a line, from a
//! line to a command. They know neither system calls nor services, so a host test can try them
//! with every input. What does the commands is in `main.rs` and beside it.

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod about;
pub mod command;
pub mod editor;
pub mod history;
pub mod key;
pub mod text;

#![no_std]
//! The parts of the console driver that need no kernel: the UART as two queues ([`line`]), what is shown
//! where ([`screen`]), and what the kernel said before ([`log`]). A host test can try them with every
//! input; the driver itself is in `main.rs` and beside it.

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod line;
pub mod log;
pub mod screen;

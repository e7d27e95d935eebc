//! From reset to kmain, and what the boot protocol hands over.
//!
//! The boot loader hands the kernel three things it may not trust: a pointer to a device tree, a
//! line of boot arguments inside it, and the claim that some memory is free. This crate turns them
//! into values that the rest of the kernel may rely on, or into one clear line that says what is
//! wrong and where:
//!
//! - [`dt`] proves that a blob *is* a flattened device tree, once, so that nothing behind it has to
//!   ask again;
//! - [`info`] walks the tree once and collects all that the kernel will ever want of it, in
//!   [`info::BootInfo`];
//! - [`memory`] plans which pages are free;
//! - [`args`] reads the boot arguments.
//!
//! All of that is pure: no allocation, no hardware, no panic on any input, the same code on the
//! host under test as on the machine. What does touch the hardware (the Image header, EL2 → EL1,
//! early page tables, secondaries) is `arch`, which exists on the target only.

#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(target_os = "none")]
pub mod arch;
pub mod args;
pub mod dt;
pub mod info;
pub mod memory;
mod region;

pub use region::Region;

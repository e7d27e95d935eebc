//! GICv3 with priority masking, generic timer, PL011, PSCI.
//!
//! A driver here turns one piece of hardware into a few verbs with names, units and errors. It
//! knows no thread, no system call and no lock; it does not even know who calls it. Three rules
//! hold in every file:
//!
//! - **Boot configures, run time operates.** What reads a register, changes it and writes it back
//!   takes `&mut self` and runs while one CPU brings the machine up. What runs afterwards takes
//!   `&self` and is one store to a register made for that (write-1-to-set, a byte of its own), so
//!   it needs no lock and is callable from every exception context, NMI included.
//! - **Every wait is bounded.** Hardware that never answers costs a fixed number of polls and then
//!   a [`gicv3::GicError`], a lost byte that is counted, or the like: never a hung kernel.
//! - **Every access to the hardware is opaque to the compiler.** Device registers go through
//!   fixed-form loads and stores, system registers through `asm!` *without* `nomem`: a store made
//!   before an interrupt source is armed stays before it.
//!
//! The mask verbs, and acknowledge, priority drop and deactivate, are not here: they are part of
//! what an exception context *is*, and live in `cpu`.
//!
//! Each driver runs on the host as well, against memory laid out like the device or a fake of its
//! system registers; what exists only on AArch64 is compiled only there.
#![cfg_attr(not(test), no_std)]

pub mod affinity;
pub mod gicv3;
pub mod pl011;
pub mod psci;
pub mod timer;

mod barrier;
mod mmio;
mod wait;

#![cfg_attr(not(test), no_std)]
//! Numbers and layouts shared by the kernel, EL0 and host tools.
//!
//! This is the lowest floor: it knows nothing and everything may know it. What stands here is read
//! by another program than the one that wrote it (an EL0 process, a host tool), so every
//! layout is `repr(C)`, has its size asserted, and changes only together with its readers.

pub mod error;
pub mod handle;
pub mod memory;
pub mod message;
pub mod path;
pub mod report;
pub mod start;
pub mod symbols;
pub mod syscall;
pub mod thread;
pub mod trace;

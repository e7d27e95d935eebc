#![cfg_attr(not(test), no_std)]
//! Numbers and layouts shared by the kernel, EL0 and host tools.
//!
//! This is the lowest floor: it knows nothing and everything may know it. What stands here is read
//! by another program than the one that wrote it (a host tool, later an EL0 process), so every
//! layout is `repr(C)`, has its size asserted, and changes only together with its readers.

pub mod path;
pub mod symbols;
pub mod trace;

#![cfg_attr(target_os = "none", no_std, no_main)]
//! The disk's driver: virtio-blk over virtio-mmio, at EL0.
//!
//! What it needs of the kernel: the machine (to find the device, and for its registers and its line),
//! memory that a device can be told the address of, a notification. It gives the machine back as soon as
//! it has the disk: from then on it can reach nothing but this one device, and its clients through its
//! endpoint. Nothing it holds survives it, so who kills it and starts it anew has a working disk again:
//! the first thing a driver does is to reset the device.

#[cfg(target_os = "none")]
mod disk;
#[cfg(target_os = "none")]
mod dma;
#[cfg(target_os = "none")]
mod find;
#[cfg(target_os = "none")]
mod program;

/// On the host there is no disk.
#[cfg(not(target_os = "none"))]
fn main() {}

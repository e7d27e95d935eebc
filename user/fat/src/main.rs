#![cfg_attr(target_os = "none", no_std, no_main)]
//! The file service for disks: the files of a FAT volume, read and written through the block service.
//!
//! A server that has one trusted neighbour (the disk's driver) and any number of untrusted ones (its
//! clients, and whoever wrote the disk). The protocol's side of the clients is `rt`'s, the volume's side
//! this package's library; between them there is little left to do.

#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod service;

/// On the host there is nothing to run; the library's tests run there.
#[cfg(not(target_os = "none"))]
fn main() {}

#![no_std]
#![no_main]
//! The disk's driver: virtio-blk over virtio-mmio, at EL0.
//!
//! What it needs of the kernel: the machine (to find the device, and for its registers and its line),
//! memory that a device can be told the address of, a notification. It gives the machine back as soon as
//! it has the disk: from then on it can reach nothing but this one device, and its clients through its
//! endpoint. Nothing it holds survives it, so who kills it and starts it anew has a working disk again:
//! the first thing a driver does is to reset the device.

extern crate alloc;

mod disk;
mod dma;
mod find;

use alloc::string::{String, ToString};

use rt::object::{MemoryKind, PAGE};
use rt::service::block;
use rt::{Endpoint, Machine, Memory, println};

use crate::disk::{DMA_PAGES, Disk};
use crate::find::find;

rt::entry!(main);

// ANCHOR: main
fn main() -> Result<(), String> {
    let machine: Machine = rt::start::take("machine").ok_or("no machine was granted")?;
    let endpoint: Endpoint = rt::start::take("endpoint").ok_or("no endpoint was granted")?;
    let memory = dma_memory().map_err(|error| error.to_string())?;
    let Some(found) = find(&machine).map_err(|error| error.to_string())? else {
        println!("{}: the machine has no disk", rt::start::name());
        return Ok(());
    };
    drop(machine);
    let physical = found.physical;
    let mut disk = Disk::start(found, &memory).map_err(|trouble| trouble.to_string())?;
    let name = rt::start::name();
    println!("{name}: a disk at {physical:#x}, {} KiB", disk.kib());
    block::serve(&endpoint, &mut disk).map_err(|error| error.to_string())
}
// ANCHOR_END: main

/// Memory that the device writes to. A device does not notice that its driver was killed: it goes on with
/// what it was told until it is reset, and by then memory of the driver's own would be somebody else's.
/// So the memory is the supervisor's, which lends it to one driver after the other; only where there is
/// no supervisor it is the driver's.
fn dma_memory() -> Result<Memory, rt::Error> {
    match rt::start::take("dma") {
        Some(memory) => Ok(memory),
        None => Memory::create(DMA_PAGES * PAGE as usize, MemoryKind::Dma),
    }
}

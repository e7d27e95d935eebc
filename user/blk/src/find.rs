//! Which of the machine's virtio slots has a disk.
//!
//! The device tree has as many slots as the machine has room for, most of them empty. A slot that is
//! not a disk is somebody else's: it is looked at (two registers that only ever read) and left alone.

use core::ptr::NonNull;

use rt::abi::report::Device;
use rt::object::{Machine, PAGE, Trigger};
use rt::{Irq, Mapping, Rights};
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

/// "virt" (virtio 1.2, 4.2.2).
const MAGIC: u32 = 0x7472_6976;
/// Where the device's id is (4.2.2).
const DEVICE_ID_AT: usize = 8;
/// A disk (5).
const BLOCK: u32 = 2;

/// A disk that was found.
pub(crate) struct Found {
    /// Its registers, which stay mapped.
    pub(crate) transport: MmioTransport<'static>,
    /// Its line.
    pub(crate) irq: Irq,
    /// Where its registers are.
    pub(crate) physical: u64,
}

// ANCHOR: find
/// Looks for the first disk. `None` if there is none.
///
/// # Errors
/// When the machine does not let itself be looked at, or somebody else has the disk.
pub(crate) fn find(machine: &Machine) -> Result<Option<Found>, rt::Error> {
    let devices = machine.devices()?;
    let count = devices.virtio.len().min(devices.virtio_count as usize);
    for device in &devices.virtio[..count] {
        let (registers, offset) = map(machine, device)?;
        let at = |register: usize| {
            // SAFETY: it lies in a page of registers that is mapped; every slot has these two, and
            // reading them changes nothing (4.2.2).
            unsafe {
                registers
                    .pointer()
                    .add(offset + register)
                    .cast::<u32>()
                    .read_volatile()
            }
        };
        if at(0) != MAGIC || at(DEVICE_ID_AT) != BLOCK {
            continue;
        }
        let trigger = match device.edge {
            0 => Trigger::Level,
            _ => Trigger::Edge,
        };
        let irq = machine.irq(device.intid, trigger)?;
        let header = registers.leak().wrapping_add(offset).cast::<VirtIOHeader>();
        let header = NonNull::new(header).ok_or(rt::Error::BadAddress)?;
        // SAFETY: a slot's registers are there, and stay mapped. Nobody else drives this one: the
        // kernel gives its line away once, and that worked.
        let transport = unsafe { MmioTransport::new(header, device.bytes as usize) };
        return Ok(transport.ok().map(|transport| Found {
            transport,
            irq,
            physical: device.base,
        }));
    }
    Ok(None)
}
// ANCHOR_END: find

/// Maps the pages that a device's registers lie in, and says where in them they begin. Slots are
/// smaller than a page, so others may lie there too.
fn map(machine: &Machine, device: &Device) -> Result<(Mapping, usize), rt::Error> {
    let offset = device.base % PAGE;
    let bytes = (offset + device.bytes).next_multiple_of(PAGE);
    let memory = machine.device_memory(device.base - offset, bytes as usize)?;
    let mapping = memory.map(Rights::READ.with(Rights::WRITE))?;
    Ok((mapping, offset as usize))
}

//! The disk: one request at a time goes into its queue, and comes back when its interrupt says so.
//!
//! `virtio-drivers` has the registers and the queue. Its own block driver waits for the device by
//! looking again and again, which costs every other program a CPU; so what a request looks like (virtio
//! 1.2, 5.2) is written here once more, and the waiting is a system call. Other clients wait meanwhile
//! at the endpoint, where the kernel keeps them in order.

use core::ptr::NonNull;
use core::slice;

use rt::object::PAGE;
use rt::service::Error;
use rt::service::block::{BlockDevice, Geometry};
use rt::time::{Deadline, Duration, sleep};
use rt::{Irq, Notification};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, Transport};

use crate::dma::Arena;
use crate::find::Found;

/// Bytes in a sector, whatever the disk behind it has (5.2.4).
const SECTOR: usize = 512;
/// Bytes that a request moves at most: as much as a client shares that uses `rt`.
const DATA_BYTES: usize = 64 << 10;
/// Pages of the device's memory: one for head and status of a request, then its data, and at most four
/// for the queue.
pub(crate) const DMA_PAGES: usize = 1 + DATA_BYTES / PAGE as usize + 4;
/// The disk has one queue (5.2.2), and a request of three parts fits.
const QUEUE: u16 = 0;
const QUEUE_SIZE: usize = 4;

/// Features (5.2.3, 6).
mod feature {
    /// It cannot be written.
    pub(super) const READ_ONLY: u64 = 1 << 5;
    /// It has a cache, which can be flushed.
    pub(super) const FLUSH: u64 = 1 << 9;
    /// It follows the standard, and not what was before it.
    pub(super) const VERSION_1: u64 = 1 << 32;
    /// What this driver knows about.
    pub(super) const KNOWN: u64 = READ_ONLY | FLUSH | VERSION_1;
}

/// The parts of a request (5.2.6), as they lie in the page before the data.
const HEAD_BYTES: usize = 16;
const STATUS_AT: usize = HEAD_BYTES;

/// What is asked of the disk (5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Operation {
    /// Sectors from the disk.
    Read = 0,
    /// Sectors to the disk.
    Write = 1,
    /// What was written is to be kept.
    Flush = 4,
}

/// What the device says a request came to (5.2.6).
const STATUS_OK: u8 = 0;
/// What is there before it says so: nothing that it ever says.
const STATUS_NONE: u8 = 0xff;

/// How often, and how far apart, to look whether a device has reset.
const RESET_LOOKS: u32 = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// The bit that the interrupt sets.
const INTERRUPT: u64 = 1;

/// Why there is no disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It was told to reset, and did not.
    Reset,
    /// It does not accept the features that this driver needs.
    Features,
    /// Its queue cannot be set up.
    Queue,
    /// It does not say how large it is.
    Capacity,
    /// Its interrupt cannot be had.
    Interrupt(rt::Error),
}

impl core::fmt::Display for Trouble {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Reset => f.write_str("the disk does not reset"),
            Self::Features => f.write_str("the disk refuses this driver's features"),
            Self::Queue => f.write_str("the disk's queue cannot be set up"),
            Self::Capacity => f.write_str("the disk does not say how large it is"),
            Self::Interrupt(error) => write!(f, "the disk's interrupt: {error}"),
        }
    }
}

/// A disk that was set up.
pub(crate) struct Disk {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Arena, QUEUE_SIZE>,
    /// A page with head and status, and [`DATA_BYTES`] behind it: the device's while a request is under
    /// way.
    memory: NonNull<u8>,
    irq: Irq,
    interrupts: Notification,
    features: u64,
    sectors: u64,
}

impl Disk {
    // ANCHOR: start
    /// Sets a device up (3.1.1). Whatever it was doing for somebody before ends here: writing 0 to its
    /// status resets it, and it has reset when that reads back (4.2.2.1). Only then is the arena touched,
    /// and the interrupt delivered.
    ///
    /// # Errors
    /// What it lacks.
    pub(crate) fn start(found: Found, memory: &rt::Memory) -> Result<Self, Trouble> {
        let Found {
            mut transport, irq, ..
        } = found;
        reset(&mut transport)?;
        Arena::install(memory).map_err(|_| Trouble::Queue)?;
        let mut status = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        transport.set_status(status);
        let features = transport.read_device_features() & feature::KNOWN;
        transport.write_driver_features(features);
        status |= DeviceStatus::FEATURES_OK;
        transport.set_status(status);
        // A device from before the standard has no such bit.
        let modern = features & feature::VERSION_1 != 0;
        if modern && !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
            return Err(Trouble::Features);
        }
        transport.set_guest_page_size(PAGE as u32);
        let sectors = capacity(&transport).ok_or(Trouble::Capacity)?;
        let queue =
            VirtQueue::new(&mut transport, QUEUE, false, false).map_err(|_| Trouble::Queue)?;
        let memory = Arena::take(1 + DATA_BYTES / PAGE as usize).ok_or(Trouble::Queue)?;
        let interrupts = Notification::create().map_err(Trouble::Interrupt)?;
        irq.bind(&interrupts, INTERRUPT)
            .map_err(Trouble::Interrupt)?;
        transport.set_status(status | DeviceStatus::DRIVER_OK);
        Ok(Self {
            transport,
            queue,
            memory,
            irq,
            interrupts,
            features,
            sectors,
        })
    }
    // ANCHOR_END: start

    /// How large it is.
    pub(crate) fn kib(&self) -> u64 {
        self.sectors / 2
    }

    // ANCHOR: request
    /// Has the device do something with `bytes` of the data (0 for a flush), and waits until it has.
    fn request(&mut self, what: Operation, sector: u64, bytes: usize) -> Result<(), Error> {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&(what as u32).to_le_bytes());
        head[8..].copy_from_slice(&sector.to_le_bytes());
        // SAFETY: the page has room for both, and the device has nothing now.
        unsafe {
            self.memory
                .copy_from_nonoverlapping(NonNull::from(&mut head).cast(), HEAD_BYTES);
            self.memory.add(STATUS_AT).write(STATUS_NONE);
        }
        let parts = self.parts(what, bytes);
        // SAFETY: the parts lie in the arena, which is never given back, and are left alone until the
        // request has come out of the queue again.
        let number = parts.with(|reads, writes| unsafe { self.queue.add(reads, writes) });
        let number = number.map_err(|_| Error::Device)?;
        if self.queue.should_notify() {
            self.transport.notify(QUEUE);
        }
        self.wait(number);
        // SAFETY: these are the parts that were put in under this number.
        let taken =
            parts.with(|reads, writes| unsafe { self.queue.pop_used(number, reads, writes) });
        // SAFETY: the device is done with it.
        let status = unsafe { self.memory.add(STATUS_AT).read() };
        match taken {
            Ok(_) if status == STATUS_OK => Ok(()),
            _ => Err(Error::Device),
        }
    }

    /// Waits until the request with that number is done. The device's interrupt is taken back first, then
    /// the line is let through again, then the queue is looked at: whatever the device finishes from then
    /// on raises the line anew, so nothing is ever missed.
    ///
    /// There is no deadline: a disk that takes long is not helped by being asked again, and QEMU, where it
    /// counts instructions, lets the time of an idle machine pass at once, however long its disk takes. A
    /// disk that never answers is reset by whoever kills this driver.
    ///
    /// # Panics
    /// When the disk answers what it was not asked: then nobody knows what it will write to memory, and the
    /// driver that is started next resets it.
    fn wait(&mut self, number: u16) {
        loop {
            if let Err(error) = self.interrupts.wait(Deadline::FOREVER) {
                panic!("waiting for the disk: {error}");
            }
            let _ = self.transport.ack_interrupt();
            if let Err(error) = self.irq.acknowledge() {
                panic!("the disk's interrupt: {error}");
            }
            match self.queue.peek_used() {
                Some(done) if done == number => return,
                Some(done) => panic!("the disk has done {done}, and was asked for {number}"),
                None => {}
            }
        }
    }
    // ANCHOR_END: request

    fn parts(&self, what: Operation, bytes: usize) -> Parts {
        Parts {
            memory: self.memory,
            data: self.data(),
            what,
            bytes: bytes.min(DATA_BYTES),
        }
    }

    fn data(&self) -> NonNull<u8> {
        // SAFETY: the data begins one page into the memory.
        unsafe { self.memory.add(PAGE as usize) }
    }
}

impl BlockDevice for Disk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: SECTOR,
            sectors: self.sectors,
            read_only: self.features & feature::READ_ONLY != 0,
        }
    }

    fn read(&mut self, first: u64, to: &mut [u8]) -> Result<(), Error> {
        let mut sector = first;
        for chunk in to.chunks_mut(DATA_BYTES) {
            self.request(Operation::Read, sector, chunk.len())?;
            // SAFETY: the device is done, and a chunk is at most all of the data.
            unsafe {
                self.data()
                    .copy_to_nonoverlapping(NonNull::from(&mut *chunk).cast(), chunk.len());
            }
            sector += (chunk.len() / SECTOR) as u64;
        }
        Ok(())
    }

    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), Error> {
        let mut sector = first;
        for chunk in from.chunks(DATA_BYTES) {
            // SAFETY: the device has nothing now, and a chunk is at most all of the data.
            unsafe {
                self.data()
                    .copy_from_nonoverlapping(NonNull::from(chunk).cast(), chunk.len());
            }
            self.request(Operation::Write, sector, chunk.len())?;
            sector += (chunk.len() / SECTOR) as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self.features & feature::FLUSH {
            // Without a cache all that was written is kept.
            0 => Ok(()),
            _ => self.request(Operation::Flush, 0, 0),
        }
    }
}

/// Where the parts of a request lie.
#[derive(Clone, Copy)]
struct Parts {
    memory: NonNull<u8>,
    data: NonNull<u8>,
    what: Operation,
    bytes: usize,
}

impl Parts {
    /// What the device reads, and what it writes.
    fn with<R>(self, queue: impl for<'a> FnOnce(&'a [&'a [u8]], &'a mut [&'a mut [u8]]) -> R) -> R {
        // SAFETY: the parts are disjoint and lie in the arena, of which there is no other reference while
        // these live.
        let (head, status) = unsafe {
            (
                slice::from_raw_parts(self.memory.as_ptr(), HEAD_BYTES),
                slice::from_raw_parts_mut(self.memory.add(STATUS_AT).as_ptr(), 1),
            )
        };
        match self.what {
            Operation::Flush => queue(&[head], &mut [status]),
            Operation::Write => {
                // SAFETY: as above.
                let data = unsafe { slice::from_raw_parts(self.data.as_ptr(), self.bytes) };
                queue(&[head, data], &mut [status])
            }
            Operation::Read => {
                // SAFETY: as above.
                let data = unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.bytes) };
                queue(&[head], &mut [data, status])
            }
        }
    }
}

/// Resets a device. It has done so when its status reads as 0; QEMU's has at once.
fn reset(transport: &mut impl Transport) -> Result<(), Trouble> {
    transport.set_status(DeviceStatus::empty());
    for _ in 0..RESET_LOOKS {
        if transport.get_status().is_empty() {
            return Ok(());
        }
        sleep(BETWEEN_LOOKS);
    }
    Err(Trouble::Reset)
}

/// How many sectors the disk has (5.2.4: the first field of its configuration).
fn capacity(transport: &impl Transport) -> Option<u64> {
    let halves = || {
        let low: u32 = transport.read_config_space(0)?;
        let high: u32 = transport.read_config_space(4)?;
        Ok(u64::from(high) << 32 | u64::from(low))
    };
    transport.read_consistent(halves).ok()
}

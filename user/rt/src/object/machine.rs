//! The machine and its interrupts: for drivers, and for who ends it all.

use alloc::vec::Vec;

use abi::handle::Handle;
use abi::report::{
    CpuReport, Devices, IrqReport, MemoryReport, ProcessReport, Query, ThreadReport,
};

use super::{Memory, Notification, object};
use crate::Error;
use crate::object::{Object, Owned};
use crate::syscall::{Call, plain};

object! {
    /// The machine: its interrupts, its devices, its log.
    Machine
}

object! {
    /// An interrupt line.
    Irq
}

/// How a device raises its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Trigger {
    /// For as long as it wants something.
    Level = 0,
    /// For a moment.
    Edge = 1,
}

/// A report that comes in lists.
///
/// # Safety
/// Any bytes are a value of the type, and `QUERY` fills it.
pub unsafe trait Listed: Default + Clone {
    /// The list.
    const QUERY: Query;
}

// SAFETY: they consist of integers; abi::report says which query gives which.
unsafe impl Listed for ProcessReport {
    const QUERY: Query = Query::Processes;
}
// SAFETY: as above.
unsafe impl Listed for ThreadReport {
    const QUERY: Query = Query::Threads;
}
// SAFETY: as above.
unsafe impl Listed for CpuReport {
    const QUERY: Query = Query::Cpus;
}
// SAFETY: as above.
unsafe impl Listed for MemoryReport {
    const QUERY: Query = Query::Memory;
}
// SAFETY: as above.
unsafe impl Listed for IrqReport {
    const QUERY: Query = Query::Irqs;
}
// SAFETY: as above.
unsafe impl Listed for Devices {
    const QUERY: Query = Query::Devices;
}

/// How many reports are asked for at once.
const AT_ONCE: usize = 16;

impl Machine {
    /// The interrupt line of an SPI.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody has it; [`Error::BadArgument`] if there is none such.
    pub fn irq(&self, intid: u32, trigger: Trigger) -> Result<Irq, Error> {
        let arguments = [self.word(), u64::from(intid), trigger as u64];
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::MachineIrq, arguments) }?;
        Ok(Irq::assume(Owned::new(Handle(handle as u32))))
    }

    /// The registers of a device: whole pages.
    ///
    /// # Errors
    /// [`Error::BadArgument`] if that is RAM, or the kernel's, or nothing.
    pub fn device_memory(&self, physical: u64, bytes: usize) -> Result<Memory, Error> {
        let arguments = [self.word(), physical, bytes as u64];
        // SAFETY: the call writes no memory; it is mapped elsewhere.
        let [handle, ..] = unsafe { plain(Call::MachineDeviceMemory, arguments) }?;
        Ok(Memory::assume(Owned::new(Handle(handle as u32))))
    }

    /// All reports of a kind, as in `machine.list::<ThreadReport>()`.
    ///
    /// # Errors
    /// [`Error::NoRight`] without INSPECT.
    pub fn list<R: Listed>(&self) -> Result<Vec<R>, Error> {
        let mut all = Vec::new();
        loop {
            let mut some = alloc::vec![R::default(); AT_ONCE];
            let bytes = size_of_val(&some[..]);
            let arguments = [
                self.word(),
                R::QUERY as u64,
                some.as_mut_ptr() as u64,
                bytes as u64,
                all.len() as u64,
            ];
            // SAFETY: the kernel writes at most so many bytes, of a type in which any are good.
            let [written, ..] = unsafe { plain(Call::MachineQuery, arguments) }?;
            let count = (written as usize / size_of::<R>()).min(AT_ONCE);
            some.truncate(count);
            all.append(&mut some);
            if count < AT_ONCE {
                return Ok(all);
            }
        }
    }

    /// Where the devices are.
    ///
    /// # Errors
    /// As [`Machine::list`].
    pub fn devices(&self) -> Result<Devices, Error> {
        self.list::<Devices>()?.pop().ok_or(Error::BadArgument)
    }

    /// What is known of the machine's memory.
    ///
    /// # Errors
    /// As [`Machine::list`].
    pub fn memory(&self) -> Result<MemoryReport, Error> {
        self.list::<MemoryReport>()?.pop().ok_or(Error::BadArgument)
    }

    /// From now on the kernel's lines wait for [`Machine::console_read`], the notification gets `bits`
    /// when there are some, and the UART is the caller's alone.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody took it who still lives.
    pub fn console_take(&self, notification: &Notification, bits: u64) -> Result<(), Error> {
        let arguments = [self.word(), notification.word(), bits];
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::ConsoleTake, arguments) }.map(drop)
    }

    /// Takes what there is of the kernel's lines; how many bytes.
    ///
    /// # Errors
    /// [`Error::NoRight`].
    pub fn console_read(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let arguments = [self.word(), buffer.as_mut_ptr() as u64, buffer.len() as u64];
        // SAFETY: the kernel writes into `buffer`.
        let [count, ..] = unsafe { plain(Call::ConsoleRead, arguments) }?;
        Ok((count as usize).min(buffer.len()))
    }

    /// Runs a workload of the kernel, named and with parameters as in `run=`, and waits for its end.
    /// Whether it passed; what it says is in the log.
    ///
    /// # Errors
    /// [`Error::BadArgument`] if there is none such.
    pub fn workload(&self, text: &str) -> Result<bool, Error> {
        let arguments = [self.word(), text.as_ptr() as u64, text.len() as u64];
        // SAFETY: the kernel reads the text.
        let [failed, ..] = unsafe { plain(Call::MachineWorkload, arguments) }?;
        Ok(failed == 0)
    }

    /// Switches the machine off, with `verdict` as its last line. `passed` is what the host is told.
    ///
    /// # Errors
    /// [`Error::NoRight`]; otherwise it does not come back.
    pub fn off(&self, verdict: &str, status: u64) -> Result<(), Error> {
        let arguments = [
            self.word(),
            status,
            verdict.as_ptr() as u64,
            verdict.len() as u64,
        ];
        // SAFETY: the kernel reads the text.
        unsafe { plain(Call::MachineOff, arguments) }.map(drop)
    }
}

impl Irq {
    /// From now on it is delivered as `bits` to the notification.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::NoRight`].
    pub fn bind(&self, notification: &Notification, bits: u64) -> Result<(), Error> {
        let arguments = [self.word(), notification.word(), bits];
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::IrqBind, arguments) }.map(drop)
    }

    /// It has been handled, and may come again.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::BadHandle`].
    pub fn acknowledge(&self) -> Result<(), Error> {
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::IrqAcknowledge, [self.word()]) }.map(drop)
    }
}

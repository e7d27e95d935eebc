//! Processes: an address space, a table of handles, a quota of memory.

use abi::handle::Handle;
pub use abi::report::{ProcessReport, ProcessState};

use super::{Notification, object};
use crate::Error;
use crate::object::{Object, Owned};
use crate::syscall::{Call, plain};

object! {
    /// An address space, a table of handles, a quota of memory.
    Process
}

impl Process {
    /// This process.
    pub fn own() -> &'static Self {
        crate::start::own_process()
    }

    /// A new process without threads; its quota is taken from this one's. A name longer than 16 bytes
    /// is cut.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`].
    pub fn create(name: &str, quota_bytes: usize) -> Result<Self, Error> {
        let mut end = name.len().min(16);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let arguments = [name.as_ptr() as u64, end as u64, quota_bytes as u64];
        // SAFETY: the kernel reads the name.
        let [handle, ..] = unsafe { plain(Call::ProcessCreate, arguments) }?;
        Ok(Self::assume(Owned::new(Handle(handle as u32))))
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::NoRight`] without MANAGE; [`Error::Gone`] if it has ended.
    pub fn kill(&self, status: u64) -> Result<(), Error> {
        // SAFETY: another process's end touches no memory of this one; one's own end nothing notices.
        unsafe { plain(Call::ProcessKill, [self.word(), status]) }.map(drop)
    }

    /// What is known of it, also after its end.
    ///
    /// # Errors
    /// [`Error::NoRight`] without INSPECT.
    pub fn report(&self) -> Result<ProcessReport, Error> {
        let mut report = ProcessReport::default();
        // SAFETY: the kernel writes `report`, in which any bytes are good.
        unsafe { plain(Call::ProcessReport, [self.word(), &raw mut report as u64]) }?;
        Ok(report)
    }

    /// Signals `bits` to the notification when it has ended; at once if it has.
    ///
    /// # Errors
    /// [`Error::NoRight`].
    pub fn watch(&self, notification: &Notification, bits: u64) -> Result<(), Error> {
        watch(self.word(), notification, bits)
    }

    /// Waits for its end. What is known of it then.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::NoMemory`].
    pub fn wait(&self) -> Result<ProcessReport, Error> {
        wait_for_end(|notification| self.watch(notification, 1))?;
        self.report()
    }
}

pub(super) fn watch(object: u64, notification: &Notification, bits: u64) -> Result<(), Error> {
    // SAFETY: the call writes no memory.
    match unsafe { plain(Call::Watch, [object, notification.word(), bits]) } {
        Ok(_) => Ok(()),
        Err(Error::Gone) if bits != 0 => notification.signal(bits),
        Err(error) => Err(error),
    }
}

pub(super) fn wait_for_end(
    watch: impl FnOnce(&Notification) -> Result<(), Error>,
) -> Result<(), Error> {
    let notification = Notification::create()?;
    watch(&notification)?;
    notification.wait(crate::time::Deadline::FOREVER).map(drop)
}

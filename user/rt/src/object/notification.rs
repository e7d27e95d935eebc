//! Notifications: a word of bits, which interrupts, timers and ends of processes signal.

use abi::handle::{Handle, Rights};

use super::object;
use crate::Error;
use crate::object::{Object, Owned};
use crate::syscall::{Call, plain};
use crate::time::Deadline;

object! {
    /// A word of bits. Signalling sets some, waiting takes all.
    Notification
}

impl Notification {
    /// A new one without bits, with all rights.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`].
    pub fn create() -> Result<Self, Error> {
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::NotificationCreate, []) }?;
        Ok(Self::assume(Owned::new(Handle(handle as u32))))
    }

    /// A handle to signal with, only those bits.
    ///
    /// # Errors
    /// [`Owned::duplicate`].
    pub fn signaller(&self, bits: u64) -> Result<Self, Error> {
        let rights = Rights::SIGNAL.with(Rights::TRANSFER);
        self.owned().duplicate(rights, bits).map(Self::assume)
    }

    /// Sets bits.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::BadHandle`].
    pub fn signal(&self, bits: u64) -> Result<(), Error> {
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::Signal, [self.word(), bits]) }.map(drop)
    }

    /// Waits until there are bits, and takes them.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::NoRight`], [`Error::BadHandle`].
    pub fn wait(&self, deadline: Deadline) -> Result<u64, Error> {
        // SAFETY: the call writes no memory.
        let [bits, ..] = unsafe { plain(Call::Wait, [self.word(), deadline.ticks()]) }?;
        Ok(bits)
    }

    /// Takes the bits there are; 0 if none.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::BadHandle`].
    pub fn poll(&self) -> Result<u64, Error> {
        match self.wait(Deadline::AT_ONCE) {
            Err(Error::TimedOut) => Ok(0),
            other => other,
        }
    }

    /// Sets `bits` at the deadline. A notification has one timer; [`Deadline::FOREVER`] stops it.
    ///
    /// # Errors
    /// [`Error::NoRight`], [`Error::BadHandle`].
    pub fn set_timer(&self, deadline: Deadline, bits: u64) -> Result<(), Error> {
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::TimerSet, [self.word(), deadline.ticks(), bits]) }.map(drop)
    }

    /// From now on the calling thread, while it waits for a message, waits for these bits as well.
    ///
    /// # Errors
    /// [`Error::Busy`] if it is bound to another thread.
    pub fn bind(&self) -> Result<(), Error> {
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::ThreadBindNotification, [self.word()]) }.map(drop)
    }
}

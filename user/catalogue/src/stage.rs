//! Threads of one CPU whose order is certain.
//!
//! Priorities are strict: of the threads of one CPU the most urgent that can run does. So while the first
//! thread, which is as urgent as the program may be, keeps to CPU 0, no actor there does anything, however
//! many of them are ready; and when it waits for the least urgent actor of all, every other has done what it
//! could and waits.

use alloc::sync::Arc;
use alloc::vec::Vec;

use rt::sync::Mutex;
use rt::thread::{Builder, JoinHandle, default_priority};
use rt::{Error, start};

use crate::case::Wrong;

/// The first thread keeps to CPU 0 while this lives.
pub(crate) struct Stage(());

/// The least urgent.
const LAST: u32 = 1;

impl Stage {
    /// From now on nobody on it runs before the caller, the first thread, waits.
    pub(crate) fn new() -> Result<Self, Error> {
        start::first_thread().set_cpus(1)?;
        Ok(Self(()))
    }

    /// The priorities of actors, the most urgent first.
    pub(crate) fn levels() -> impl DoubleEndedIterator<Item = u32> {
        (LAST + 1..default_priority()).rev()
    }

    /// A level in the middle.
    pub(crate) fn middle() -> u32 {
        default_priority() / 2
    }

    /// A thread on the stage.
    pub(crate) fn actor<T: Send + 'static>(
        &self,
        level: u32,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, Error> {
        Builder::new().priority(level).cpus(1).spawn(body)
    }

    /// Waits until every actor waits for something.
    pub(crate) fn settle(&self) -> Result<(), Wrong> {
        crate::case::joined(self.actor(LAST, || ())?)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = start::first_thread().set_cpus(0);
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u64>>>);

impl Log {
    /// Something happened.
    pub(crate) fn note(&self, what: u64) {
        self.0.lock().push(what);
    }

    /// All that has happened since the last look.
    pub(crate) fn take(&self) -> Vec<u64> {
        core::mem::take(&mut *self.0.lock())
    }
}

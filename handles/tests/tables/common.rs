//! A kernel for the tables: objects that count their handles, and a purse that can be empty.

use abi::error::Error;
use abi::handle::Rights;
use handles::{Kernel, Object};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

/// The kernel of the tests.
pub(crate) enum Host {}

pub(crate) type Table = handles::Table<Host>;

/// A purse: bytes that are left.
#[derive(Clone)]
pub(crate) struct Purse(pub(crate) Arc<AtomicU64>);

impl Purse {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.load(SeqCst)
    }

    fn take(&self, bytes: u64) -> Result<(), Error> {
        self.0
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(bytes))
            .map(|_| ())
            .map_err(|_| Error::NoMemory)
    }
}

/// What was taken out of a purse.
pub(crate) struct Charge {
    purse: Purse,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.purse.0.fetch_add(self.bytes, SeqCst);
    }
}

impl Kernel for Host {
    type Object = Thing;
    type Payer = Purse;
    type Charge = Charge;

    fn charge(payer: &Purse, bytes: u64) -> Result<Charge, Error> {
        payer.take(bytes)?;
        Ok(Charge {
            purse: payer.clone(),
            bytes,
        })
    }

    fn charge_more(charge: &mut Charge, bytes: u64) -> Result<(), Error> {
        charge.purse.take(bytes)?;
        charge.bytes += bytes;
        Ok(())
    }

    fn reclaim_soon() {}
}

/// What an object knows of its handles.
pub(crate) struct Known {
    pub(crate) number: u64,
    /// Taken back when it is dropped: who sees that reads what was freed.
    alive: AtomicU64,
    handles: AtomicI64,
    /// How often it was told that the last one has gone.
    ends: AtomicI64,
}

const ALIVE: u64 = 0x5045_5452_454c_2121;

impl Known {
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(SeqCst) == ALIVE
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.alive.store(0, SeqCst);
    }
}

/// An object.
#[derive(Clone)]
pub(crate) struct Thing(pub(crate) Arc<Known>);

impl Thing {
    pub(crate) fn new(number: u64) -> Self {
        Self(Arc::new(Known {
            number,
            alive: AtomicU64::new(ALIVE),
            handles: AtomicI64::new(0),
            ends: AtomicI64::new(0),
        }))
    }

    pub(crate) fn handles(&self) -> i64 {
        self.0.handles.load(SeqCst)
    }
}

impl Object for Thing {
    fn added(&self, _: Rights) {
        assert_eq!(self.0.ends.load(SeqCst), 0, "a handle of what has ended");
        self.0.handles.fetch_add(1, SeqCst);
    }

    fn removed(&self, _: Rights) {
        let before = self.0.handles.fetch_sub(1, SeqCst);
        assert!(before > 0, "removed more often than added");
        if before == 1 {
            self.0.ends.fetch_add(1, SeqCst);
        }
    }
}

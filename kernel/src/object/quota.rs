//! Quotas: kernel memory is charged to the process that caused it.

use crate::object::Ref;
use abi::error::Error;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many bytes a process may cause, and has.
pub(crate) struct Quota {
    limit: AtomicU64,
    used: AtomicU64,
}

impl Quota {
    /// With nothing used.
    pub(crate) const fn new(limit: u64) -> Self {
        Self {
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
        }
    }

    /// Charges `bytes`.
    ///
    /// # Errors
    /// [`Error::NoMemory`]: there is not so much left; nothing was charged.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limit.load(Relaxed);
        self.used
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= limit)
            })
            .map(|_| ())
            .map_err(|_| Error::NoMemory)
    }

    /// Takes back what [`Quota::charge`] charged.
    pub(crate) fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Relaxed);
    }

    /// Bytes used.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Bytes that may be used.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }
}

/// Bytes that are charged as long as it lives.
pub(crate) struct Charge {
    quota: Ref<Quota>,
    bytes: u64,
}

impl Charge {
    /// Charges `bytes` to `quota`.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn new(quota: &Ref<Quota>, bytes: u64) -> Result<Self, Error> {
        quota.charge(bytes)?;
        Ok(Self {
            quota: quota.clone(),
            bytes,
        })
    }

    /// Whether it is charged to `quota`.
    pub(crate) fn is_to(&self, quota: &Ref<Quota>) -> bool {
        self.quota.is(quota)
    }

    /// Charges `bytes` more.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        self.quota.charge(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Charges `bytes` less.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        self.quota.release(bytes);
        self.bytes -= bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.release(self.bytes);
    }
}

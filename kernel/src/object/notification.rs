//! Notifications.

use super::Ref;
use super::quota::{Charge, Quota};
use abi::error::Error;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// A word of bits.
pub(crate) struct Notification {
    bits: AtomicU64,
    handles: AtomicU32,
    _charge: Charge,
}

impl Notification {
    /// Without bits.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn create(quota: &Ref<Quota>) -> Result<Ref<Self>, Error> {
        let charge = Charge::new(quota, 192)?;
        Ok(Ref::try_new(Self {
            bits: AtomicU64::new(0),
            handles: AtomicU32::new(0),
            _charge: charge,
        })?)
    }

    /// Adds `bits`. Any context but NMI.
    pub(crate) fn signal(&self, bits: u64) {
        self.bits.fetch_or(bits, Relaxed);
    }

    /// Takes all bits.
    pub(crate) fn take(&self) -> u64 {
        self.bits.swap(0, Relaxed)
    }

    /// There is one more handle to it.
    pub(crate) fn handle_added(&self) {
        self.handles.fetch_add(1, Relaxed);
    }

    /// There is one less.
    pub(crate) fn handle_removed(&self) {
        self.handles.fetch_sub(1, Relaxed);
    }
}

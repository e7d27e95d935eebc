//! Endpoints.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// An endpoint.
pub(crate) struct Endpoint {
    receivers: AtomicU32,
}

impl Endpoint {
    /// There is one more handle with the right to receive.
    pub(crate) fn receiver_added(&self) {
        self.receivers.fetch_add(1, Relaxed);
    }

    /// There is one less.
    pub(crate) fn receiver_removed(&self) {
        self.receivers.fetch_sub(1, Relaxed);
    }
}

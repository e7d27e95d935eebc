//! Replies: the right to answer one call, once, by whoever holds the handle.

use crate::ipc::{self, Caller};
use crate::object::Ref;
use crate::object::quota::{Charge, Quota};
use abi::error::Error;
use cpu::lock::{Irq, Lock};

/// What a reply is charged as.
const BYTES: u64 = 64;

/// The right to answer one call.
pub(crate) struct Reply {
    caller: Lock<Option<Caller>, Irq>,
    _charge: Charge,
}

impl Reply {
    /// To answer `caller`.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn create(caller: Caller, quota: &Ref<Quota>) -> Result<Ref<Self>, Error> {
        let charge = Charge::new(quota, BYTES)?;
        Ok(Ref::try_new(Self {
            caller: Lock::new(Some(caller)),
            _charge: charge,
        })?)
    }

    /// Takes the right; the second time it is no longer there.
    pub(crate) fn take(&self) -> Option<Caller> {
        self.caller.lock().take()
    }

    /// Its handle is no more: who still waits learns that nobody will answer.
    pub(crate) fn abandon(&self) {
        if let Some(caller) = self.take() {
            ipc::abandon(caller);
        }
    }
}

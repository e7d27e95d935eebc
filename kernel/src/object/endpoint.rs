//! Endpoints: where messages are sent to and received from.
//!
//! An endpoint holds nothing but two rows of waiting threads, of which one is always empty. It lives as
//! long as a handle with the right to receive does; then everybody who waits learns that it is gone.

use crate::ipc::{self, queue::Queue, wait::For};
use crate::object::Ref;
use crate::object::quota::{Charge, Quota};
use abi::error::Error;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Relaxed},
};
use cpu::guard::IrqGuard;
use cpu::lock::Yield;
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// What an endpoint is charged as.
const BYTES: u64 = 128;

/// An endpoint.
pub(crate) struct Endpoint {
    /// Taken with ordinary interrupts held.
    queues: SpinMutex<Queues, Yield>,
    /// Handles with the right to receive.
    receivers: AtomicU32,
    _charge: Charge,
}

/// Who waits at an endpoint.
pub(crate) struct Queues {
    /// Nobody can receive any more.
    pub(crate) is_gone: bool,
    /// Who waits for a receiver.
    pub(crate) senders: Queue,
    /// Who waits for a message.
    pub(crate) receivers: Queue,
}

impl Endpoint {
    /// One that nobody waits at.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub(crate) fn create(quota: &Ref<Quota>) -> Result<Ref<Self>, Error> {
        let charge = Charge::new(quota, BYTES)?;
        Ok(Ref::try_new(Self {
            queues: SpinMutex::new(Queues {
                is_gone: false,
                senders: Queue::new(),
                receivers: Queue::new(),
            }),
            receivers: AtomicU32::new(0),
            _charge: charge,
        })?)
    }

    /// Its queues. With ordinary interrupts held.
    #[inline(always)]
    pub(crate) fn lock(&self) -> SpinMutexGuard<'_, Queues, Yield> {
        self.queues.lock()
    }

    /// There is one more handle with the right to receive.
    pub(crate) fn receiver_added(&self) {
        self.receivers.fetch_add(1, Relaxed);
    }

    /// There is one less; after the last one, whoever waits learns that it is gone.
    pub(crate) fn receiver_removed(&self) {
        if self.receivers.fetch_sub(1, AcqRel) == 1 {
            self.close();
        }
    }

    fn close(&self) {
        loop {
            // One at a time, so that interrupts are not held for long.
            let _irqs = IrqGuard::new();
            let mut queues = self.lock();
            queues.is_gone = true;
            let first = queues.senders.first();
            let Some(thread) = first.or_else(|| queues.receivers.first()) else {
                return;
            };
            if first.is_some() {
                queues.senders.remove(thread);
            } else {
                queues.receivers.remove(thread);
            }
            const ANY: &[For] = &[
                For::Message,
                For::Receiver,
                For::ReceiverOfCall,
                For::ReceiverOfFault,
            ];
            let claimed = thread.user().wait.claim_any(ANY);
            drop(queues);
            if let Some(ticket) = claimed {
                ipc::end_wait(thread, ticket, Err(Error::Gone));
            }
        }
    }
}

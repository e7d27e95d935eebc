//! Sending and receiving, whatever happens on the way.
//!
//! A sender that finds a receiver hands it the message and, if it waits for the reply, its CPU; one that
//! finds nobody waits in the endpoint's row. A receiver does the same the other way round. Under the
//! endpoint's lock there is only the look at the rows; the message travels after it, between two threads
//! of which one runs and the other's wait was claimed.

use super::wait::{For, QueuePlace, Side};
use super::{Caller, transfer};
use crate::object::Endpoint;
use crate::thread::{self, Thread, current};
use abi::error::Error;
use abi::message::{Info, RESUME, RESUME_AT};
use abi::syscall::AT_ONCE;
use cpu::context::Switchable;
use entry::frame::Frame;

/// A message to send.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// Where to.
    pub(crate) endpoint: &'a Endpoint,
    /// Who it says it is from.
    pub(crate) badge: u64,
    /// What the sender waits for if nobody receives: [`For::Receiver`], [`For::ReceiverOfCall`] or
    /// [`For::ReceiverOfFault`].
    pub(crate) reason: For,
    /// Until when.
    pub(crate) deadline: u64,
}

/// Sends the running thread's message, and waits for what it is to wait for. Comes back only if the
/// thread need not leave its CPU; what came of it is in the frame, or will be when [`super::settle`] has
/// looked.
///
/// # Errors
/// [`Error::Gone`], [`Error::TimedOut`].
pub(crate) fn send(outgoing: Outgoing<'_>, legal: Switchable<'_>) -> Result<(), Error> {
    let Outgoing {
        endpoint,
        badge,
        reason,
        deadline,
    } = outgoing;
    let me = current();
    let wait = &me.user().wait;
    let mut queues = endpoint.lock();
    if queues.is_gone {
        return Err(Error::Gone);
    }
    let receiver = loop {
        let Some(receiver) = queues.receivers.first() else {
            break None;
        };
        queues.receivers.remove(receiver);
        if receiver.user().wait.claim_any(&[For::Message]).is_some() {
            break Some(receiver);
        }
    };
    let Some(receiver) = receiver else {
        if deadline == AT_ONCE {
            return Err(Error::TimedOut);
        }
        wait.set_badge(badge);
        wait.enter(QueuePlace::Endpoint(endpoint), Side::Sender);
        queues.senders.push(me);
        wait.begin(reason, deadline);
        drop(queues);
        thread::block_at_frame(legal, deadline, None);
        return Ok(());
    };
    drop(queues);

    let next = match reason {
        For::ReceiverOfFault => {
            transfer::fault(me, receiver, badge);
            For::FaultReply
        }
        For::ReceiverOfCall => {
            transfer::message(me, receiver, badge);
            For::Reply
        }
        _ => {
            transfer::message(me, receiver, badge);
            receiver.user().wait.done();
            thread::wake_in_call(receiver);
            return Ok(());
        }
    };
    let ticket = wait.begin(next, deadline);
    receiver.user().set_caller(Caller {
        thread: me.core.id(),
        ticket,
    });
    receiver.user().wait.done();
    thread::block_at_frame(legal, deadline, Some(receiver));
    Ok(())
}

/// Waits for a message at `endpoint`, or for bits of the bound notification. `partner` is a thread whose
/// wait is over (it was replied to): it runs next if this one has to wait. Comes back as [`send`] does.
///
/// # Errors
/// [`Error::Gone`], [`Error::TimedOut`].
pub(crate) fn receive(
    endpoint: &Endpoint,
    deadline: u64,
    partner: Option<&'static Thread>,
    legal: Switchable<'_>,
) -> Result<(), Error> {
    let me = current();
    let user = me.user();
    if let Some(notification) = user.bound() {
        let bits = notification.take();
        if bits != 0 {
            transfer::bits_to_receiver(me, bits);
            wake(partner);
            return Ok(());
        }
    }
    let mut queues = endpoint.lock();
    if queues.is_gone {
        drop(queues);
        wake(partner);
        return Err(Error::Gone);
    }
    const SENDERS: &[For] = &[For::Receiver, For::ReceiverOfCall, For::ReceiverOfFault];
    let sender = loop {
        let Some(sender) = queues.senders.first() else {
            break None;
        };
        queues.senders.remove(sender);
        if let Some(ticket) = sender.user().wait.claim_any(SENDERS) {
            break Some((sender, ticket));
        }
    };
    if let Some((sender, ticket)) = sender {
        drop(queues);
        take_message(me, sender, ticket.reason());
        wake(partner);
        return Ok(());
    }
    if deadline == AT_ONCE {
        drop(queues);
        wake(partner);
        return Err(Error::TimedOut);
    }
    user.wait
        .enter(QueuePlace::Endpoint(endpoint), Side::Receiver);
    queues.receivers.push(me);
    let ticket = user.wait.begin(For::Message, deadline);
    drop(queues);
    if let Some(notification) = user.bound() {
        // A signal between the look above and `begin` has found nobody who waits.
        let mut state = notification.lock();
        if state.has_bits() && user.wait.claim(ticket) {
            transfer::bits_to_receiver(me, state.take());
            user.wait.done();
            drop(state);
            wake(partner);
            return Ok(());
        }
    }
    thread::block_at_frame(legal, deadline, partner);
    Ok(())
}

/// Takes the message of a sender that waited, whose wait was claimed.
fn take_message(me: &'static Thread, sender: &'static Thread, reason: For) {
    let waited = &sender.user().wait;
    let badge = waited.badge();
    let next = match reason {
        For::ReceiverOfFault => {
            transfer::fault(sender, me, badge);
            For::FaultReply
        }
        For::ReceiverOfCall => {
            transfer::message(sender, me, badge);
            For::Reply
        }
        _ => {
            transfer::message(sender, me, badge);
            // SAFETY: the wait was claimed, so the frame is ours.
            transfer::message_status(unsafe { &mut *sender.user().frame() }, Ok(()));
            waited.done();
            thread::wake_in_call(sender);
            return;
        }
    };
    let ticket = waited.go_on_waiting(next);
    me.user().set_caller(Caller {
        thread: sender.core.id(),
        ticket,
    });
}

/// Replies to `caller` with the running thread's message. The thread that was replied to is to be woken,
/// or run, by the caller of this function, before ordinary interrupts are let in.
///
/// # Errors
/// [`Error::NoCaller`]: it no longer waits.
pub(crate) fn reply(
    caller: Caller,
    frame: &Frame,
    legal: &Switchable<'_>,
) -> Result<&'static Thread, Error> {
    let thread = caller.claim(legal).ok_or(Error::NoCaller)?;
    // SAFETY: interrupts are held until the thread was woken, and the epoch with them.
    let thread: &'static Thread = unsafe { &*core::ptr::from_ref(thread) };
    let user = thread.user();
    if caller.ticket.reason() == For::FaultReply {
        match transfer::info(frame).map(Info::label) {
            Some(RESUME) => {}
            // SAFETY: the caller's wait was claimed, so its frame is ours.
            Some(RESUME_AT) => unsafe { (*user.frame()).elr = frame.x[0] },
            _ => user.set_fatal(),
        }
    } else {
        transfer::message(current(), thread, 0);
    }
    user.wait.done();
    Ok(thread)
}

/// Wakes who was replied to.
fn wake(partner: Option<&'static Thread>) {
    if let Some(thread) = partner {
        thread::wake_in_call(thread);
    }
}

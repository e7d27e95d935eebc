//! Calls that carry messages. The registers are those of [`abi::syscall`].

use super::{Values, find, insert};
use crate::ipc::call::{self, Outgoing};
use crate::ipc::transfer::{self, DEADLINE, TARGET};
use crate::ipc::wait::For;
use crate::ipc::{self, fast};
use crate::object::{Endpoint, Object, Reply};
use crate::thread::current;
use crate::thread::user::current_process;
use abi::error::Error;
use abi::handle::{Handle, Rights};
use cpu::context::Switchable;
use cpu::guard::Pinned;
use cpu::plant::{Plant, planted};
use entry::frame::Frame;

#[inline(always)]
fn endpoint<'a>(
    frame: &Frame,
    rights: Rights,
    proof: &'a impl Pinned,
) -> Result<(&'a Endpoint, u64), Error> {
    let entry = find(frame.x[TARGET], Rights::NONE, proof)?;
    let Object::Endpoint(endpoint) = entry.object() else {
        return Err(Error::WrongKind);
    };
    if !entry.rights().contains(rights) {
        return Err(Error::NoRight);
    }
    Ok((endpoint, entry.badge()))
}

/// [`abi::syscall::Call::MessageCall`].
#[inline]
pub(super) fn call(frame: &mut Frame, mut legal: Switchable<'_>) {
    if !fast::call(frame, &mut legal) {
        send_as(
            frame,
            legal,
            Rights::SEND.with(Rights::CALL),
            For::ReceiverOfCall,
        );
    }
}

/// [`abi::syscall::Call::Send`].
pub(super) fn send(frame: &mut Frame, legal: Switchable<'_>) {
    send_as(frame, legal, Rights::SEND, For::Receiver);
}

fn send_as(frame: &mut Frame, mut legal: Switchable<'_>, rights: Rights, reason: For) {
    let deadline = frame.x[DEADLINE];
    let result = (|| {
        transfer::info(frame).ok_or(Error::BadArgument)?;
        let proof = legal.reborrow();
        let (endpoint, badge) = endpoint(frame, rights, &proof)?;
        // The status of a send that finds a receiver; every other way writes its own.
        transfer::message_sent(frame, reason);
        let endpoint: *const Endpoint = endpoint;
        Ok((endpoint, badge))
    })();
    let sent = result.and_then(|(endpoint, badge)| {
        let outgoing = Outgoing {
            // SAFETY: looked up with interrupts held, which they are until it was used: an epoch keeps it.
            endpoint: unsafe { &*endpoint },
            badge,
            reason,
            deadline,
        };
        call::send(outgoing, legal)
    });
    if let Err(error) = sent {
        transfer::message_status(frame, Err(error));
    }
}

/// [`abi::syscall::Call::Receive`].
pub(super) fn receive(frame: &mut Frame, legal: Switchable<'_>) {
    if let Some(caller) = current().user().take_caller() {
        // It was never answered, and can no longer be.
        ipc::abandon(caller);
    }
    receive_then(frame, None, legal);
}

/// [`abi::syscall::Call::ReplyReceive`].
#[inline]
pub(super) fn reply_receive(frame: &mut Frame, mut legal: Switchable<'_>) {
    if fast::reply_receive(frame, &mut legal) {
        return;
    }
    if transfer::info(frame).is_none() {
        transfer::message_status(frame, Err(Error::BadArgument));
        return;
    }
    // A caller that no longer waits is no reason not to serve the next.
    let partner = current()
        .user()
        .take_caller()
        .and_then(|caller| call::reply(caller, frame, &legal).ok());
    receive_then(frame, partner, legal);
}

fn receive_then(
    frame: &mut Frame,
    partner: Option<&'static crate::thread::Thread>,
    mut legal: Switchable<'_>,
) {
    let deadline = frame.x[DEADLINE];
    let found = {
        let proof = legal.reborrow();
        endpoint(frame, Rights::RECEIVE, &proof).map(|(endpoint, _)| core::ptr::from_ref(endpoint))
    };
    let received = match found {
        // SAFETY: as in `send_as`.
        Ok(endpoint) => call::receive(unsafe { &*endpoint }, deadline, partner, legal),
        Err(error) => {
            if let Some(partner) = partner {
                crate::thread::wake_in_call(partner);
            }
            Err(error)
        }
    };
    if let Err(error) = received {
        transfer::message_status(frame, Err(error));
    }
}

/// [`abi::syscall::Call::Reply`].
pub(super) fn reply(frame: &mut Frame, legal: Switchable<'_>) {
    let result = reply_to(frame, &legal);
    transfer::message_status(frame, result);
}

fn reply_to(frame: &Frame, legal: &Switchable<'_>) -> Result<(), Error> {
    transfer::info(frame).ok_or(Error::BadArgument)?;
    let caller = if frame.x[TARGET] == 0 {
        match planted(Plant::ReplyUsedTwice) {
            true => current().user().peek_caller(),
            false => current().user().take_caller(),
        }
    } else {
        let entry = find(frame.x[TARGET], Rights::NONE, legal)?;
        let Object::Reply(reply) = entry.object() else {
            return Err(Error::WrongKind);
        };
        let caller = reply.take();
        // It is used up. Whoever closed it meanwhile has done the same.
        let _ = current_process()
            .handles
            .close(Handle(frame.x[TARGET] as u32));
        caller
    };
    let caller = caller.ok_or(Error::NoCaller)?;
    let replied = call::reply(caller, frame, legal)?;
    crate::thread::wake_in_call(replied);
    Ok(())
}

/// [`abi::syscall::Call::SaveReply`].
pub(super) fn save_reply() -> Result<Values, Error> {
    let user = current().user();
    let caller = user.take_caller().ok_or(Error::NoCaller)?;
    let saved = Reply::create(caller, &user.process().quota)
        .and_then(|reply| insert(Object::Reply(reply), Rights::SEND.with(Rights::TRANSFER)));
    if saved.is_err() {
        // It can still be answered the other way.
        user.set_caller(caller);
    }
    saved
}

/// [`abi::syscall::Call::EndpointCreate`].
pub(super) fn endpoint_create() -> Result<Values, Error> {
    let endpoint = Endpoint::create(&current_process().quota)?;
    insert(Object::Endpoint(endpoint), Rights::ALL)
}

//! The fastpath: a call to a server that waits, and a reply to a caller that waits, when nothing unusual
//! happens on the way.
//!
//! Both do what `call` does, in the same order and with the same claims; here are only the conditions
//! under which most of it falls away. They are looked at before anything is changed: where one does not
//! hold, the function says so and the slow path does all of it. The switch is the one that everybody
//! makes ([`thread::hand_over`]), with the same check; a partner that waits on another CPU runs there. Planted bug `fast-forgets-badge`, and every
//! test of messages, which run with and without the fastpath (`ipc=slow`), hold the two together.
//!
//! | condition | otherwise |
//! |---|---|
//! | no handles travel, the info is well formed | `transfer::handles`, or an error |
//! | no deadline | the sleep queue |
//! | the partner waits | a row |
//! | no notification is bound to the receiver | its bits are looked at, twice |

use super::wait::{For, QueuePlace, Side};
use super::{Caller, transfer};
use crate::object::{Endpoint, Object};
use crate::thread::{self, Thread, User, current};
use abi::handle::{Handle, Rights};
use abi::message::Info;
use abi::syscall::FOREVER;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use cpu::context::Switchable;
use cpu::guard::Pinned;
use cpu::plant::{Plant, planted};
use entry::frame::Frame;

/// Whether the fastpath is in use; tests switch it off to compare.
static IN_USE: AtomicBool = AtomicBool::new(true);

/// Switches the fastpath on or off.
pub(crate) fn set_in_use(in_use: bool) {
    IN_USE.store(in_use, Relaxed);
}

/// The endpoint that the frame names, if the running thread has `rights` to it, and the badge.
#[inline(always)]
fn endpoint<'a>(
    user: &User,
    frame: &Frame,
    rights: Rights,
    proof: &'a impl Pinned,
) -> Option<(&'a Endpoint, u64)> {
    let handle = Handle(frame.x[transfer::TARGET] as u32);
    let entry = user.process().handles.get(handle, proof)?;
    match entry.object() {
        Object::Endpoint(endpoint) if entry.rights().contains(rights) => {
            Some((endpoint, entry.badge()))
        }
        _ => None,
    }
}

/// A message without handles and without a deadline.
#[inline(always)]
fn plain(frame: &Frame) -> Option<Info> {
    let info = transfer::info(frame)?;
    let is_plain = info.handles() == 0
        && frame.x[transfer::DEADLINE] == FOREVER
        && frame.x[transfer::TARGET] >> 32 == 0;
    is_plain.then_some(info)
}

/// A call to a receiver that waits. False: nothing was done.
#[inline(always)]
pub(crate) fn call(frame: &mut Frame, legal: &mut Switchable<'_>) -> bool {
    const RIGHTS: Rights = Rights::SEND.with(Rights::CALL);
    let me = current();
    let user = me.user();
    let found = (|| {
        let info = plain(frame).filter(|_| IN_USE.load(Relaxed))?;
        let (endpoint, badge) = endpoint(user, frame, RIGHTS, legal)?;
        let mut queues = endpoint.lock();
        let receiver = queues.receivers.first()?;
        receiver.user().wait.claim_any(&[For::Message])?;
        queues.receivers.remove(receiver);
        Some((receiver, info, badge))
    })();
    let Some((receiver, info, badge)) = found else {
        return false;
    };
    let badge = if planted(Plant::FastForgetsBadge) {
        0
    } else {
        badge
    };
    let server = receiver.user();
    // SAFETY: the receiver's wait was claimed, so its frame is ours.
    transfer::words(frame, unsafe { &mut *server.frame() }, info, badge);
    let ticket = user.wait.begin(For::Reply, FOREVER);
    server.set_caller(Caller {
        thread: me.core.id(),
        ticket,
    });
    server.wait.done();
    thread::hand_over(legal.reborrow(), receiver);
    true
}

/// A reply to a caller that waits, and a wait for the next message. False: nothing was done.
#[inline(always)]
pub(crate) fn reply_receive(frame: &mut Frame, legal: &mut Switchable<'_>) -> bool {
    let me = current();
    let user = me.user();
    let proof = legal.reborrow();
    let find = || {
        let info = plain(frame).filter(|_| IN_USE.load(Relaxed))?;
        let caller = user.peek_caller()?;
        if user.bound().is_some() || caller.ticket.reason() != For::Reply {
            return None;
        }
        let (endpoint, _) = endpoint(user, frame, Rights::RECEIVE, &proof)?;
        let queues = endpoint.lock();
        if queues.is_gone || queues.senders.first().is_some() {
            return None;
        }
        let client = caller.claim(&proof)?;
        Some((client, info, endpoint, queues))
    };
    let (client, info, endpoint, mut queues) = match find() {
        Some(found) => found,
        None => return false,
    };
    user.forget_caller();
    // SAFETY: interrupts are held until it runs, and the epoch keeps its memory.
    let client: &'static Thread = unsafe { &*core::ptr::from_ref(client) };
    // The reply leaves this frame before a sender may write into it.
    // SAFETY: the caller's wait was claimed, so its frame is ours.
    transfer::words(frame, unsafe { &mut *client.user().frame() }, info, 0);
    client.user().wait.done();
    user.wait
        .enter(QueuePlace::Endpoint(endpoint), Side::Receiver);
    queues.receivers.push(me);
    user.wait.begin(For::Message, FOREVER);
    drop(queues);
    thread::hand_over(legal.reborrow(), client);
    true
}

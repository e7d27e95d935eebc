//! Messages between processes.
//!
//! | file | what |
//! |---|---|
//! | `wait` | what a thread waits for, and who ends the wait |
//! | `queue` | threads in a row |
//! | `transfer` | what travels, from frame to frame |
//! | `call` | all ways of sending and receiving, whatever happens on them |
//! | `fast` | the two that matter most, when nothing unusual happens on them |
//!
//! All of it runs in `NoIrq`, in system calls that need not open interrupts: each takes a bounded time.
//! A thread that has to wait leaves its CPU for good ([`crate::thread::block_at_frame`]) and, when it
//! runs again, begins at [`settle`].

pub(crate) mod call;
pub(crate) mod fast;
pub(crate) mod queue;
pub(crate) mod transfer;
pub(crate) mod wait;

use crate::clock;
use crate::smp;
use crate::thread::{self, TABLE, Thread};
use abi::error::Error;
use abi::syscall::FOREVER;
use cpu::context::Switchable;
use cpu::guard::Pinned;
use cpu::plant::{Plant, planted};
use wait::{For, Progress, QueuePlace, Side, Ticket};

/// A thread that waits for a reply: which, and in which of its waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The thread's number.
    pub(crate) thread: u32,
    /// The wait.
    pub(crate) ticket: Ticket,
}

impl Caller {
    /// The caller, if it still waits; its frame is the claimer's then. The proof keeps its memory.
    #[inline(always)]
    pub(crate) fn claim<'a>(&self, _: &'a impl Pinned) -> Option<&'a Thread> {
        let thread = TABLE.find(self.thread)?;
        let user = thread.try_user()?;
        if planted(Plant::ReplyUsedTwice) {
            // Whatever reply it waits for now.
            return user.wait.claim_any(&[self.ticket.reason()]).map(|_| thread);
        }
        user.wait.claim(self.ticket).then_some(thread)
    }
}

/// Ends a wait that was claimed, with a status and nothing else, and wakes the thread.
pub(crate) fn end_wait(thread: &'static Thread, ticket: Ticket, result: Result<(), Error>) {
    end_claimed(thread, ticket, result);
    thread::wake(thread);
}

fn end_claimed(thread: &Thread, ticket: Ticket, result: Result<(), Error>) {
    let user = thread.user();
    // SAFETY: the wait was claimed, so the frame is the caller's.
    let frame = unsafe { &mut *user.frame() };
    match ticket.reason() {
        For::Bits | For::Time => transfer::plain_status(frame, result),
        For::ReceiverOfFault | For::FaultReply => user.set_fatal(),
        For::Nothing | For::Message | For::Receiver | For::ReceiverOfCall | For::Reply => {
            transfer::message_status(frame, result);
        }
    }
    user.wait.done();
}

/// Nobody will answer: the caller learns that, if it still waits. Any context but NMI.
pub(crate) fn abandon(caller: Caller) {
    thread::wake_found(|proof| {
        let thread = caller.claim(proof)?;
        end_claimed(thread, caller.ticket, Err(Error::Gone));
        // SAFETY: the proof keeps its memory until it was woken.
        Some(unsafe { &*core::ptr::from_ref(thread) })
    });
}

/// What a thread at EL0 does first when it runs again: finds out what came of its wait, and waits on
/// if nothing has. In `NoIrq`, with nothing on the stack but the frame.
pub(crate) fn settle(mut legal: Switchable<'_>) {
    let me = thread::current();
    let user = me.user();
    if matches!(user.wait.progress(), Progress::Done) && !user.wait.is_queued() {
        // As always, but when two came at once.
        user.wait.finish();
        return;
    }
    loop {
        // Before the look, as everybody who waits does.
        let _ = me.links.state().prepare_to_block();
        match user.wait.progress() {
            Progress::Idle => return,
            Progress::Done => {
                leave_queue(me);
                user.wait.finish();
                return;
            }
            // Another CPU is writing into the frame; it holds interrupts off and is done at once.
            Progress::Claimed => smp::spin(),
            Progress::Waiting(ticket) => {
                let deadline = user.wait.deadline();
                let is_late = deadline != FOREVER && clock::now() >= deadline;
                if !is_late && !me.links.state().is_killed() {
                    thread::block_at_frame(legal.reborrow(), deadline, None);
                } else if user.wait.claim(ticket) {
                    let result = match ticket.reason() {
                        For::Time => Ok(()),
                        _ => Err(Error::TimedOut),
                    };
                    end_claimed(me, ticket, result);
                }
            }
        }
    }
}

/// Takes the running thread out of the queue that it is still in, if its wait ended in another way.
fn leave_queue(me: &'static Thread) {
    let wait = &me.user().wait;
    match wait.place() {
        QueuePlace::Nowhere => {}
        QueuePlace::Endpoint(endpoint) => {
            // SAFETY: an endpoint empties its queues before it ends, and is freed an epoch later:
            // interrupts have been held since the look at `place`.
            let mut queues = unsafe { &*endpoint }.lock();
            if wait.is_queued() {
                match wait.side() {
                    Side::Receiver => queues.receivers.remove(me),
                    Side::Sender => queues.senders.remove(me),
                }
            }
        }
        QueuePlace::Notification(notification) => {
            // SAFETY: as for an endpoint.
            let mut state = unsafe { &*notification }.lock();
            if wait.is_queued() {
                state.waiters.remove(me);
            }
        }
    }
}

//! What a thread at EL0 waits for, and who ends the wait.
//!
//! A wait can end in several ways at once: a partner comes, the notification bound to the thread is
//! signalled, the deadline passes, the thread is killed. One atomic word per thread decides, and the
//! rule is one sentence: **who changes the word from `Waiting` to `Claimed` owns the thread's frame
//! until he writes `Done`.** Everybody else who was too late goes elsewhere.
//!
//! | state | the thread's frame belongs to | next |
//! |---|---|---|
//! | `Idle` | the thread | `Waiting`, by the thread |
//! | `Waiting` | nobody | `Claimed`, by any CPU that wins the exchange |
//! | `Claimed` | who won | `Done`, by him; or `Waiting` of the next wait (a sender that now waits for its reply) |
//! | `Done` | the thread | `Idle`, by the thread |
//!
//! The word counts waits, and begins at another million-fold for each thread that is made, so a word
//! that was noted once (by a server, of its caller) names one wait of one thread: a second reply
//! finds another word, and has no effect. That holds for 2^30 waits of a thread, and for 2^28 threads; after
//! so many, a note that somebody kept all the while could name a wait of a later thread with the same number.
//!
//! A thread that waits keeps nothing on its kernel stack but its frame. Only the thread itself takes
//! itself out of queues: deadline and kill merely have it run again, and it cleans up after itself.

use crate::object::Endpoint;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// What is waited for. Stands in the word, so that who claims a wait has claimed it for the right
/// thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum For {
    /// Nothing.
    Nothing = 0,
    /// A message, or bits of the bound notification.
    Message = 1,
    /// Somebody who receives the message; no reply is wanted.
    Receiver = 2,
    /// Somebody who receives the message and will reply.
    ReceiverOfCall = 3,
    /// The reply.
    Reply = 4,
    /// Bits of a notification.
    Bits = 5,
    /// The deadline.
    Time = 6,
    /// Somebody who receives the message that tells of the thread's fault.
    ReceiverOfFault = 7,
    /// The reply to that.
    FaultReply = 8,
}

impl For {
    const ALL: [Self; 9] = [
        Self::Nothing,
        Self::Message,
        Self::Receiver,
        Self::ReceiverOfCall,
        Self::Reply,
        Self::Bits,
        Self::Time,
        Self::ReceiverOfFault,
        Self::FaultReply,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum State {
    Idle = 0,
    Waiting = 1,
    Claimed = 2,
    Done = 3,
}

const STATE_BITS: u32 = 2;
const FOR_BITS: u32 = 4;
const COUNT_SHIFT: u32 = STATE_BITS + FOR_BITS;
/// So many waits has a thread before its words could be another's.
const INCARNATION: u64 = 1 << 30;

/// The word of one wait, as it was while it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// No wait's.
    pub(crate) const NONE: Self = Self(0);

    /// From [`Ticket::raw`].
    #[inline(always)]
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// As a number; 0 is no wait's.
    #[inline(always)]
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// What is waited for.
    #[inline(always)]
    pub(crate) fn reason(self) -> For {
        For::ALL[((self.0 >> STATE_BITS) as usize % (1 << FOR_BITS)).min(For::ALL.len() - 1)]
    }

    #[inline(always)]
    fn with(self, state: State) -> u64 {
        self.0 & !((1 << STATE_BITS) - 1) | state as u64
    }
}

/// How far a wait has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The thread does not wait.
    Idle,
    /// It waits.
    Waiting(Ticket),
    /// Somebody is ending the wait at this moment.
    Claimed,
    /// The wait is over, and what came of it is in the frame.
    Done,
}

/// A thread's wait.
pub(crate) struct Wait {
    word: AtomicU64,
    /// When it ends by itself, in ticks. The thread's own.
    deadline: AtomicU64,
    /// The badge that its message is to arrive with. Written before the wait begins.
    badge: AtomicU64,
    /// In whose queue it is, if `queued`: for the thread itself, to leave.
    place: AtomicPtr<()>,
    queued: AtomicBool,
    /// Whether it is there to receive.
    receives: AtomicBool,
    /// Links of that queue, under its lock.
    pub(super) next: AtomicPtr<crate::thread::Thread>,
    pub(super) previous: AtomicPtr<crate::thread::Thread>,
}

/// In which queue a thread waits.
#[derive(Clone, Copy)]
pub(crate) enum QueuePlace {
    /// None.
    Nowhere,
    /// One of an endpoint's.
    Endpoint(*const Endpoint),
    /// A notification's.
    Notification(*const crate::object::Notification),
}

/// In which of an endpoint's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who waits for a receiver.
    Sender,
    /// Who waits for a message, or for bits.
    Receiver,
}

/// The bit that tells a notification's address from an endpoint's.
const NOTIFICATION: usize = 1;

static THREADS_MADE: AtomicU64 = AtomicU64::new(1);

impl Wait {
    /// Of a new thread.
    pub(crate) fn new() -> Self {
        let incarnation = THREADS_MADE.fetch_add(1, Relaxed);
        Self {
            word: AtomicU64::new(incarnation.wrapping_mul(INCARNATION) << COUNT_SHIFT),
            deadline: AtomicU64::new(u64::MAX),
            badge: AtomicU64::new(0),
            place: AtomicPtr::new(core::ptr::null_mut()),
            queued: AtomicBool::new(false),
            receives: AtomicBool::new(false),
            next: AtomicPtr::new(core::ptr::null_mut()),
            previous: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Begins a wait. By the thread itself, when all that a partner may read is written.
    #[inline(always)]
    pub(crate) fn begin(&self, reason: For, deadline: u64) -> Ticket {
        self.deadline.store(deadline, Relaxed);
        let ticket = self.next_ticket(reason);
        self.word.store(ticket.0, Release);
        ticket
    }

    #[inline(always)]
    fn next_ticket(&self, reason: For) -> Ticket {
        let count = (self.word.load(Relaxed) >> COUNT_SHIFT) + 1;
        Ticket(count << COUNT_SHIFT | (reason as u64) << STATE_BITS | State::Waiting as u64)
    }

    /// Ends exactly that wait, if nobody else does. The caller owns the frame now, and calls
    /// [`Wait::done`] or [`Wait::go_on_waiting`].
    #[inline(always)]
    pub(crate) fn claim(&self, ticket: Ticket) -> bool {
        ticket != Ticket::NONE
            && self
                .word
                .compare_exchange(ticket.0, ticket.with(State::Claimed), AcqRel, Relaxed)
                .is_ok()
    }

    /// Ends the present wait, whichever it is, if it is for one of `reasons`.
    #[inline(always)]
    pub(crate) fn claim_any(&self, reasons: &[For]) -> Option<Ticket> {
        let Progress::Waiting(ticket) = self.progress() else {
            return None;
        };
        (reasons.contains(&ticket.reason()) && self.claim(ticket)).then_some(ticket)
    }

    /// What came of the wait is in the frame, which is the thread's again. Wake it next. By who claimed.
    #[inline(always)]
    pub(crate) fn done(&self) {
        let word = Ticket(self.word.load(Relaxed));
        self.word.store(word.with(State::Done), Release);
    }

    /// The wait goes on, for something else: a message was taken, the reply comes next. By who claimed.
    #[inline(always)]
    pub(crate) fn go_on_waiting(&self, reason: For) -> Ticket {
        let ticket = self.next_ticket(reason);
        self.word.store(ticket.0, Release);
        ticket
    }

    /// The thread has seen that its wait is over. By the thread itself.
    #[inline(always)]
    pub(crate) fn finish(&self) {
        let word = Ticket(self.word.load(Relaxed));
        self.word.store(word.with(State::Idle), Relaxed);
    }

    /// How far it has come.
    #[inline(always)]
    pub(crate) fn progress(&self) -> Progress {
        let word = self.word.load(Acquire);
        match word % (1 << STATE_BITS) {
            0 => Progress::Idle,
            1 => Progress::Waiting(Ticket(word)),
            2 => Progress::Claimed,
            _ => Progress::Done,
        }
    }

    /// When it ends by itself.
    #[inline(always)]
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Relaxed)
    }

    /// The badge of the message.
    #[inline(always)]
    pub(crate) fn badge(&self) -> u64 {
        self.badge.load(Relaxed)
    }

    /// Sets the badge of the message. Before the wait begins.
    #[inline(always)]
    pub(crate) fn set_badge(&self, badge: u64) {
        self.badge.store(badge, Relaxed);
    }

    /// Notes in which queue the thread now is. Under that queue's lock.
    #[inline(always)]
    pub(crate) fn enter(&self, place: QueuePlace, side: Side) {
        let address = match place {
            QueuePlace::Nowhere => core::ptr::null_mut(),
            QueuePlace::Endpoint(endpoint) => endpoint.cast_mut().cast::<()>(),
            QueuePlace::Notification(notification) => notification
                .cast_mut()
                .cast::<()>()
                .map_addr(|address| address | NOTIFICATION),
        };
        self.place.store(address, Relaxed);
        self.receives.store(side == Side::Receiver, Relaxed);
        self.queued.store(true, Release);
    }

    /// Notes that the thread has left it. Under that queue's lock.
    #[inline(always)]
    pub(crate) fn left(&self) {
        self.queued.store(false, Release);
    }

    /// Whether the thread is in a queue; certain only under that queue's lock.
    #[inline(always)]
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Acquire)
    }

    /// On which side of the endpoint it is, or was last.
    pub(crate) fn side(&self) -> Side {
        if self.receives.load(Relaxed) {
            Side::Receiver
        } else {
            Side::Sender
        }
    }

    /// In whose queue it is.
    pub(crate) fn place(&self) -> QueuePlace {
        if !self.is_queued() {
            return QueuePlace::Nowhere;
        }
        let address = self.place.load(Relaxed);
        if address.addr() & NOTIFICATION != 0 {
            QueuePlace::Notification(address.map_addr(|a| a & !NOTIFICATION).cast_const().cast())
        } else {
            QueuePlace::Endpoint(address.cast_const().cast())
        }
    }
}

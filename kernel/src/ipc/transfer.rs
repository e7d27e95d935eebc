//! What travels in a message, from the sender's frame to the receiver's.
//!
//! Each function writes into the frame of a thread whose wait the caller has claimed, or of the running
//! thread itself.

use super::wait::For;
use crate::thread::{Thread, User};
use abi::error::Error;
use abi::handle::Handle;
use abi::message::{HANDLES, Info, WORDS};
use entry::frame::Frame;

/// The register of a message's status.
const STATUS: usize = 9;
/// The register of its [`Info`].
const INFO: usize = 10;
/// The register of its badge.
const BADGE: usize = 11;
/// The registers of its handles.
const GIFTS: [usize; 2] = [12, 13];

/// What a sender asked for: the register that a badge arrives in is a deadline on the way in.
pub(crate) const DEADLINE: usize = BADGE;
/// The register that names where a message goes.
pub(crate) const TARGET: usize = STATUS;

/// A sender's [`Info`], if it is one: at most so many words and handles, and only bits a sender may set.
#[inline(always)]
pub(crate) fn info(frame: &Frame) -> Option<Info> {
    let info = Info(frame.x[INFO]);
    let sendable = info.0 & !Info::SENDABLE == 0;
    (sendable && info.words() <= WORDS && info.handles() <= HANDLES).then_some(info)
}

/// Copies words, info and badge of a message without handles.
#[inline(always)]
pub(crate) fn words(from: &Frame, to: &mut Frame, info: Info, badge: u64) {
    copy_words(&from.x, &mut to.x);
    to.x[STATUS] = 0;
    to.x[INFO] = info.0;
    to.x[BADGE] = badge;
    to.x[GIFTS[0]] = 0;
    to.x[GIFTS[1]] = 0;
}

/// Copies the words in eight instructions. The compiler would call `memcpy`, which takes fifty.
#[inline(always)]
fn copy_words(from: &[u64; 31], to: &mut [u64; 31]) {
    const { assert!(WORDS == 8) };
    // SAFETY: reads and writes the first eight of each.
    unsafe {
        core::arch::asm!(
            "ldp {a}, {b}, [{from}]",
            "ldp {c}, {d}, [{from}, #16]",
            "stp {a}, {b}, [{to}]",
            "stp {c}, {d}, [{to}, #16]",
            "ldp {a}, {b}, [{from}, #32]",
            "ldp {c}, {d}, [{from}, #48]",
            "stp {a}, {b}, [{to}, #32]",
            "stp {c}, {d}, [{to}, #48]",
            from = in(reg) from,
            to = in(reg) to,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

/// Delivers a message of `from` to `to`, handles and all. With ordinary interrupts held.
pub(crate) fn message(from: &Thread, to: &Thread, badge: u64) {
    let (source, target) = (from.user(), to.user());
    // SAFETY: the caller owns both frames; see the module's text.
    let (sent, arrived) = unsafe { (&*source.frame(), &mut *target.frame()) };
    // Looked at once more: whoever may write the sender's registers may have done so while it waited.
    let info = info(sent).unwrap_or(Info(0));
    let gifts = match info.handles() {
        0 => [0; 2],
        count => handles(source, target, sent, count),
    };
    words(sent, arrived, info, badge);
    arrived.x[GIFTS[0]] = gifts[0];
    arrived.x[GIFTS[1]] = gifts[1];
}

/// Moves the handles of a message. One that is not the sender's to give, or that the receiver has no
/// room for, stays where it is and arrives as none.
#[cold]
fn handles(source: &User, target: &User, sent: &Frame, count: usize) -> [u64; 2] {
    let [a, b] = Handle::unpack(sent.x[GIFTS[0]]);
    let [c, d] = Handle::unpack(sent.x[GIFTS[1]]);
    let mut moved = [Handle::NONE; HANDLES];
    for (at, handle) in [a, b, c, d].into_iter().take(count).enumerate() {
        if handle != Handle::NONE {
            let result = source
                .process()
                .handles
                .move_to(handle, &target.process().handles);
            moved[at] = result.unwrap_or(Handle::NONE);
        }
    }
    let [a, b, c, d] = moved;
    [Handle::pack([a, b]), Handle::pack([c, d])]
}

/// Delivers the message that tells of `from`'s fault.
pub(crate) fn fault(from: &Thread, to: &Thread, badge: u64) {
    // SAFETY: the caller owns the frame.
    let arrived = unsafe { &mut *to.user().frame() };
    arrived.x[..WORDS].copy_from_slice(&from.user().fault());
    arrived.x[STATUS] = 0;
    arrived.x[INFO] = Info::fault().0;
    arrived.x[BADGE] = badge;
    arrived.x[GIFTS[0]] = 0;
    arrived.x[GIFTS[1]] = 0;
}

/// Delivers bits of the bound notification to a thread that waits for a message.
pub(crate) fn bits_to_receiver(to: &Thread, bits: u64) {
    // SAFETY: the caller owns the frame.
    let arrived = unsafe { &mut *to.user().frame() };
    arrived.x[STATUS] = 0;
    arrived.x[INFO] = Info::notification().0;
    arrived.x[BADGE] = bits;
}

/// Delivers bits to a thread that waits for them alone.
pub(crate) fn bits_to_waiter(to: &Thread, bits: u64) {
    // SAFETY: the caller owns the frame.
    let arrived = unsafe { &mut *to.user().frame() };
    arrived.x[0] = 0;
    arrived.x[1] = bits;
}

/// Writes the status of a message call, and that nothing arrived.
pub(crate) fn message_status(frame: &mut Frame, result: Result<(), Error>) {
    frame.x[STATUS] = result.err().map_or(0, |error| error as u64);
    frame.x[INFO] = 0;
}

/// Prepares the frame of a sender: the status of a send that is taken at once.
pub(crate) fn message_sent(frame: &mut Frame, reason: For) {
    if reason == For::Receiver {
        frame.x[STATUS] = 0;
    }
}

/// Writes the status of a plain call.
pub(crate) fn plain_status(frame: &mut Frame, result: Result<(), Error>) {
    frame.x[0] = result.err().map_or(0, |error| error as u64);
}

//! Bits: signalled, waited for, together with messages, and by timers.

use alloc::sync::Arc;

use rt::time::{Deadline, Duration, now};
use rt::{Endpoint, Error, Message, Notification};

use crate::case::{Case, Outcome, World, bits, equal, hold, joined, message};
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("sel4test BIND0001", bind0001),
    ("sel4test BIND0002", bind0002),
    ("sel4test BIND0003", bind0003),
    ("sel4test BIND0004", bind0004),
    ("hubris test_post", test_post),
    ("hubris test_timer_advance", test_timer_advance),
    ("hubris test_timer_notify", test_timer_notify),
    ("hubris test_timer_notify_past", test_timer_notify_past),
];

/// A notification bound to the first thread while this lives.
struct Bound(Notification);

impl Bound {
    fn new() -> Result<Self, Error> {
        let notification = Notification::create()?;
        notification.bind()?;
        Ok(Self(notification))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // SAFETY: the call writes no memory; 0 binds nothing.
        let _ = unsafe { rt::syscall::plain(rt::syscall::Call::ThreadBindNotification, [0]) };
    }
}

/// A thread with a bound notification that waits for a message receives messages, and bits when they come.
fn bind0001(_: &World) -> Outcome {
    const ROUNDS: u64 = 20;
    let bound = Bound::new()?;
    let endpoint = Endpoint::create()?;
    let to = endpoint.sender(0)?;
    let bell = bound.0.signaller(0)?;
    let other = rt::thread::spawn(move || -> Result<(), Error> {
        for round in 1..=ROUNDS {
            bell.signal(round)?;
            to.send(Message::new(0).word(round), Deadline::FOREVER)?;
        }
        Ok(())
    })?;
    // Each round's bits were there before its message, and come first.
    for round in 1..=ROUNDS {
        equal!(
            bits(endpoint.receive(Deadline::FOREVER)?)?,
            round,
            "the bits"
        );
        let (arrived, _) = message(endpoint.receive(Deadline::FOREVER)?)?;
        equal!(arrived.words(), [round], "the message");
    }
    joined(other)??;
    Ok(())
}

/// A thread that waits for its bound notification alone receives its bits.
fn bind0002(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let bound = Bound::new()?;
    let bell = bound.0.signaller(0)?;
    let other = stage.actor(Stage::middle(), move || {
        (1..=20).try_for_each(|round| bell.signal(round))
    })?;
    for round in 1..=20 {
        equal!(bound.0.wait(Deadline::FOREVER)?, round, "the bits");
    }
    joined(other)??;
    Ok(())
}

/// While the thread waits for bits, a message waits at the endpoint, and is received next.
fn bind0003(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let bound = Bound::new()?;
    let endpoint = Endpoint::create()?;
    let (to, bell) = (endpoint.sender(0)?, bound.0.signaller(0)?);
    let sender = stage.actor(Stage::middle(), move || {
        to.send(Message::new(0).word(5), Deadline::FOREVER)
    })?;
    // Less urgent: it signals when the sender waits.
    let signaller = stage.actor(Stage::middle() - 1, move || bell.signal(4))?;
    equal!(bound.0.wait(Deadline::FOREVER)?, 4, "the bits");
    let (arrived, _) = message(endpoint.receive(Deadline::AT_ONCE)?)?;
    equal!(arrived.words(), [5], "the message");
    joined(sender)??;
    joined(signaller)??;
    Ok(())
}

/// While the thread waits for a message, whatever comes first ends the wait, and the other is kept.
fn bind0004(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let bound = Bound::new()?;
    let endpoint = Arc::new(Endpoint::create()?);
    for message_first in [true, false] {
        let (to, bell) = (endpoint.sender(0)?, bound.0.signaller(0)?);
        let (early, late) = (Stage::middle(), Stage::middle() - 1);
        let (send_level, signal_level) = if message_first {
            (early, late)
        } else {
            (late, early)
        };
        let sender = stage.actor(send_level, move || {
            to.send(Message::new(0).word(5), Deadline::FOREVER)
        })?;
        let signaller = stage.actor(signal_level, move || bell.signal(4))?;
        for is_message in [message_first, !message_first] {
            let incoming = endpoint.receive(Deadline::FOREVER)?;
            if is_message {
                equal!(message(incoming)?.0.words(), [5], "the message");
            } else {
                equal!(bits(incoming)?, 4, "the bits");
            }
        }
        joined(sender)??;
        joined(signaller)??;
    }
    Ok(())
}

/// Bits are added until somebody takes them, all at once; and they are exactly those that were signalled.
fn test_post(_: &World) -> Outcome {
    let notification = Notification::create()?;
    equal!(notification.poll()?, 0, "the bits of a new one");
    for bit in [0, 31, 63] {
        notification.signal(1 << bit)?;
    }
    notification.signal(1)?;
    equal!(
        notification.poll()?,
        1 | 1 << 31 | 1 << 63,
        "the bits that were signalled"
    );
    equal!(notification.poll()?, 0, "the bits after they were taken");
    let one = notification.signaller(8)?;
    one.signal(u64::MAX)?;
    equal!(
        notification.poll()?,
        8,
        "the bits of who may signal but one"
    );
    equal!(
        one.poll().err(),
        Some(Error::NoRight),
        "a wait of who may only signal"
    );
    Ok(())
}

/// Time goes on, and never back.
fn test_timer_advance(_: &World) -> Outcome {
    let first = now();
    let mut last = first;
    while last == first {
        let next = now();
        hold!(next >= last, "time went back from {last:?} to {next:?}");
        last = next;
    }
    Ok(())
}

/// A timer signals its bits, not before its time; one that was taken back never does.
fn test_timer_notify(_: &World) -> Outcome {
    let notification = Notification::create()?;
    for bit in 0..4 {
        let due = now() + Duration::from_micros(500 << bit);
        notification.set_timer(Deadline::at(due), 1 << bit)?;
        equal!(notification.wait(Deadline::FOREVER)?, 1 << bit, "the bits");
        hold!(now() >= due, "a timer of {due:?} came before its time");
    }
    notification.set_timer(Deadline::after(Duration::from_secs(3600)), 1)?;
    // The last one set is the one there is.
    notification.set_timer(Deadline::after(Duration::from_micros(600)), 2)?;
    equal!(
        notification.wait(Deadline::FOREVER)?,
        2,
        "the bits of the last timer set"
    );
    Ok(())
}

/// A timer whose time has passed signals at once.
fn test_timer_notify_past(_: &World) -> Outcome {
    let notification = Notification::create()?;
    for deadline in [Deadline::at(now()), Deadline::AT_ONCE] {
        notification.set_timer(deadline, 16)?;
        equal!(notification.wait(Deadline::FOREVER)?, 16, "the bits");
    }
    Ok(())
}

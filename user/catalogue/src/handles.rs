//! Handles: copied, weakened, moved, closed, revoked.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use rt::object::{Object, Owned, Reply};
use rt::time::Deadline;
use rt::{Endpoint, Error, Message, Notification, Process, Rights};

use crate::case::{Case, Outcome, World, equal, hold, joined, message};
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("sel4test CNODEOP0001", cnodeop0001),
    ("sel4test CNODEOP0002", cnodeop0002),
    ("sel4test CNODEOP0003", cnodeop0003),
    ("sel4test CNODEOP0004", cnodeop0004),
    ("sel4test CNODEOP0005", cnodeop0005),
    ("sel4test CNODEOP0007", cnodeop0007),
    ("sel4test CNODEOP0009", cnodeop0009),
    ("sel4test CSPACE0001", cspace0001),
    ("sel4test PREEMPT_REVOKE", preempt_revoke),
];

/// A copy names the same, with the same rights and badge; without the right to copy there is none.
fn cnodeop0001(_: &World) -> Outcome {
    let notification = Notification::create()?;
    let copy = notification.duplicate(Rights::ALL)?;
    equal!(
        copy.owned().inspect(),
        notification.owned().inspect(),
        "what the copy is"
    );
    copy.signal(5)?;
    equal!(notification.poll()?, 5, "the bits signalled by the copy");
    let fixed = notification.duplicate(Rights::ALL.without(Rights::DUPLICATE))?;
    let again = fixed.duplicate(Rights::SIGNAL).err();
    equal!(
        again,
        Some(Error::NoRight),
        "a copy of what may not be copied"
    );
    Ok(())
}

/// A handle that was closed names nothing; its copies and what it was copied from still do.
fn cnodeop0002(_: &World) -> Outcome {
    let first = Notification::create()?;
    let second = first.duplicate(Rights::ALL)?;
    let third = second.duplicate(Rights::ALL)?;
    let closed = second.handle();
    drop(second);
    let again = Owned::new(closed);
    equal!(
        again.inspect(),
        Err(Error::BadHandle),
        "a handle that was closed"
    );
    equal!(
        again.duplicate(Rights::NONE, 0),
        Err(Error::BadHandle),
        "its copy"
    );
    first.signal(1)?;
    equal!(third.poll()?, 1, "the bits between the others");
    // What was copied from it is the first one's now.
    first.owned().revoke()?;
    equal!(
        third.poll(),
        Err(Error::BadHandle),
        "a copy of a copy, revoked"
    );
    Ok(())
}

/// A copy may have fewer rights and a badge, never more rights, and what is sent with it has the badge.
fn cnodeop0003(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let rights = Rights::SEND.with(Rights::DUPLICATE);
    let weak = Endpoint::assume(endpoint.owned().duplicate(rights, 42)?);
    let found = weak.owned().inspect()?;
    equal!(
        (found.rights, found.badge),
        (rights, 42),
        "rights and badge"
    );
    let more = weak.duplicate(rights.with(Rights::RECEIVE)).err();
    equal!(more, Some(Error::NoRight), "more rights");
    let sender = rt::thread::spawn(move || weak.send(Message::new(0), Deadline::FOREVER))?;
    let (_, badge) = message(endpoint.receive(Deadline::FOREVER)?)?;
    joined(sender)??;
    equal!(badge, 42, "the badge that arrived");
    Ok(())
}

/// A handle that is moved into another process names nothing here any more, and the same thing there.
fn cnodeop0004(_: &World) -> Outcome {
    let process = Process::create("mover", 128 << 10)?;
    let notification = Notification::create()?;
    let before = process.report()?.handles;
    let moved = notification.signaller(1)?;
    let here = moved.handle();
    Owned::from(moved).give(&process)?;
    equal!(
        Owned::new(here).inspect(),
        Err(Error::BadHandle),
        "its old name"
    );
    equal!(process.report()?.handles, before + 1, "handles there");
    let fixed = notification.duplicate(Rights::SIGNAL)?;
    let kept = fixed.handle();
    let given = Owned::from(fixed).give(&process);
    equal!(given, Err(Error::NoRight), "one that may not be moved");
    hold!(kept != here, "a handle's number was used again at once");
    process.kill(0)?;
    process.wait()?;
    Ok(())
}

/// A badge, once put on, cannot be changed by any copy; and without one it can be put on each.
fn cnodeop0005(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let badged = endpoint.owned().duplicate(Rights::ALL, 7)?;
    let other = badged.duplicate(Rights::ALL, 8);
    equal!(other, Err(Error::BadArgument), "another badge");
    let same = badged.duplicate(Rights::SEND, 0)?;
    equal!(same.inspect()?.badge, 7, "the badge of a copy");
    let second = endpoint.owned().duplicate(Rights::ALL, 8)?;
    equal!(second.inspect()?.badge, 8, "the badge of another copy");
    Ok(())
}

/// To revoke a handle ends all that was derived from it, wherever it is, and not the handle itself.
fn cnodeop0007(_: &World) -> Outcome {
    let process = Process::create("holder", 128 << 10)?;
    let first = Notification::create()?;
    let other = first.duplicate(Rights::ALL)?;
    let mut derived = Vec::new();
    for _ in 0..4 {
        let parent = derived.last().unwrap_or(&other);
        derived.push(Notification::duplicate(parent, Rights::ALL)?);
    }
    let before = process.report()?.handles;
    Owned::from(other.signaller(1)?).give(&process)?;
    other.owned().revoke()?;
    for (depth, one) in derived.iter().enumerate() {
        equal!(one.poll(), Err(Error::BadHandle), "the handle {depth} deep");
    }
    equal!(
        process.report()?.handles,
        before,
        "handles in the other process"
    );
    first.signal(3)?;
    equal!(other.poll(), Ok(3), "the handle that was revoked itself");
    let fixed = first.duplicate(Rights::ALL.without(Rights::REVOKE))?;
    equal!(
        fixed.owned().revoke(),
        Err(Error::NoRight),
        "revoked without the right"
    );
    process.kill(0)?;
    process.wait()?;
    Ok(())
}

/// A caller can be kept as a handle, answered later and in any order, each once.
fn cnodeop0009(_: &World) -> Outcome {
    let endpoint = Arc::new(Endpoint::create()?);
    let mut replies = Vec::new();
    let mut callers = Vec::new();
    for number in 1..=3 {
        let to = endpoint.clone();
        callers.push(rt::thread::spawn(move || {
            to.call(Message::new(0).word(number))
                .map(|reply| reply.word_at(0))
        })?);
        let (called, _) = message(endpoint.receive(Deadline::FOREVER)?)?;
        equal!(called.words(), [number], "who calls");
        replies.push(Reply::save()?);
        equal!(
            Reply::save().err(),
            Some(Error::NoCaller),
            "a caller kept twice"
        );
    }
    let numbers = [1, 2, 3];
    for (reply, number) in replies.into_iter().zip(numbers).rev() {
        let used = Owned::new(reply.handle());
        reply.reply(Message::new(0).word(number * 10))?;
        equal!(
            used.inspect(),
            Err(Error::BadHandle),
            "a reply that was used"
        );
    }
    for (caller, number) in callers.into_iter().zip(numbers) {
        equal!(joined(caller)??, number * 10, "the reply to {number}");
    }
    Ok(())
}

/// Each of very many handles names what it was made for.
fn cspace0001(_: &World) -> Outcome {
    const HANDLES: u64 = 1500;
    let notification = Notification::create()?;
    let mut all = Vec::new();
    for badge in 1..=HANDLES {
        all.push(notification.owned().duplicate(Rights::SIGNAL, badge)?);
    }
    for (handle, badge) in all.iter().zip(1..) {
        equal!(
            handle.inspect()?.badge,
            badge,
            "the badge of handle {:?}",
            handle.handle()
        );
    }
    // Every other one goes; the rest stay what they are.
    let mut kept = Vec::new();
    for (number, handle) in all.into_iter().enumerate() {
        if number % 2 == 0 {
            kept.push(handle);
        }
    }
    for (handle, badge) in kept.iter().zip((1..).step_by(2)) {
        equal!(
            handle.inspect()?.badge,
            badge,
            "the badge of one that was kept"
        );
    }
    Ok(())
}

/// While very many handles are revoked, a more urgent thread of the same CPU runs; and all of them go.
fn preempt_revoke(_: &World) -> Outcome {
    const HANDLES: usize = 1000;
    let stage = Stage::new()?;
    let notification = Arc::new(Notification::create()?);
    let all: Vec<_> = (0..HANDLES)
        .map(|_| notification.duplicate(Rights::SIGNAL))
        .collect::<Result<_, _>>()?;
    let done = Arc::new(AtomicU64::new(0));
    let (root, finished) = (notification.clone(), done.clone());
    let revoker = stage.actor(Stage::middle(), move || {
        let revoked = root.owned().revoke();
        finished.store(1, Ordering::Release);
        revoked
    })?;
    // Sleeps, and so lets the revoker begin; woken, it is more urgent. How often it is depends on the
    // machine; that it gets on does not.
    let mut naps = 0;
    while done.load(Ordering::Acquire) == 0 {
        rt::time::sleep(rt::time::Duration::from_micros(50));
        naps += 1;
    }
    joined(revoker)??;
    hold!(naps > 0, "the more urgent thread never ran");
    for handle in &all {
        equal!(
            handle.signal(1),
            Err(Error::BadHandle),
            "a handle that was revoked"
        );
    }
    Ok(())
}

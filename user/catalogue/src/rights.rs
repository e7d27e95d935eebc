//! What a handle permits: each way to use an endpoint needs its right.

use rt::object::{Owned, reply_to_caller};
use rt::time::Deadline;
use rt::{Endpoint, Error, Message, Notification, Rights};

use crate::case::{Case, Outcome, World, equal, joined, message};

pub(crate) const CASES: &[Case] = &[
    ("sel4test IPCRIGHTS0001", ipcrights0001),
    ("sel4test IPCRIGHTS0002", ipcrights0002),
    ("sel4test IPCRIGHTS0003", ipcrights0003),
    ("sel4test IPCRIGHTS0004", ipcrights0004),
    ("sel4test IPCRIGHTS0005", ipcrights0005),
];

/// To send, the right to send is needed, and no other is.
fn ipcrights0001(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let without = endpoint.duplicate(Rights::ALL.without(Rights::SEND))?;
    equal!(
        without.send(Message::new(0), Deadline::AT_ONCE).err(),
        Some(Error::NoRight),
        "a send without the right"
    );
    let only = endpoint.duplicate(Rights::SEND)?;
    equal!(
        only.send(Message::new(0), Deadline::AT_ONCE).err(),
        Some(Error::TimedOut),
        "a send with that right only"
    );
    Ok(())
}

/// To receive, the right to receive is needed, and no other is.
fn ipcrights0002(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let without = endpoint.duplicate(Rights::ALL.without(Rights::RECEIVE))?;
    equal!(
        without.receive(Deadline::AT_ONCE).err(),
        Some(Error::NoRight),
        "a receive without the right"
    );
    let only = endpoint.duplicate(Rights::RECEIVE)?;
    equal!(
        only.receive(Deadline::AT_ONCE).err(),
        Some(Error::TimedOut),
        "a receive with that right only"
    );
    Ok(())
}

/// A handle in a message arrives if it may be transferred; if not, it stays where it is and the words arrive.
fn ipcrights0003(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let to = endpoint.sender(0)?;
    let gift = Notification::create()?;
    let fixed = gift.duplicate(Rights::SIGNAL)?;
    let (free, bound) = (gift.signaller(0)?, fixed.handle());
    let sender = rt::thread::spawn(move || {
        let with = Message::new(1).word(7).give(free).give(fixed);
        to.send(with, Deadline::FOREVER)
    })?;
    let (mut arrived, _) = message(endpoint.receive(Deadline::FOREVER)?)?;
    joined(sender)??;
    equal!(arrived.words(), [7], "the words");
    let signaller = arrived.take(0).map(|owned| owned.inspect().is_ok());
    equal!(signaller, Some(true), "the handle that may be transferred");
    equal!(arrived.take(1), None, "the handle that may not");
    let stayed = Owned::new(bound).inspect().map(|handle| handle.rights);
    equal!(stayed, Ok(Rights::SIGNAL), "the handle that stayed");
    Ok(())
}

/// To call, the right to be replied to is needed besides the right to send.
fn ipcrights0004(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    for (rights, expected) in [
        (Rights::SEND, Error::NoRight),
        (Rights::CALL, Error::NoRight),
        (Rights::SEND.with(Rights::CALL), Error::TimedOut),
    ] {
        let handle = endpoint.duplicate(rights)?;
        equal!(
            handle.call_until(Message::new(0), Deadline::AT_ONCE).err(),
            Some(expected),
            "a call with {rights:?}"
        );
    }
    Ok(())
}

/// A reply gives handles away as a message does, whatever rights the caller had to send any.
fn ipcrights0005(_: &World) -> Outcome {
    let endpoint = Endpoint::create()?;
    let to = endpoint.duplicate(Rights::SEND.with(Rights::CALL))?;
    let caller = rt::thread::spawn(move || to.call(Message::new(0)))?;
    message(endpoint.receive(Deadline::FOREVER)?)?;
    let gift = Notification::create()?;
    let fixed = gift.duplicate(Rights::SIGNAL)?;
    reply_to_caller(Message::new(1).give(gift.signaller(3)?).give(fixed))?;
    let mut reply = joined(caller)??;
    let first = reply.take(0).map(|owned| owned.inspect().map(|i| i.badge));
    equal!(first, Some(Ok(3)), "the badge of the handle in the reply");
    equal!(reply.take(1), None, "a handle that may not be transferred");
    Ok(())
}

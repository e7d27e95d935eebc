//! Messages: that they arrive, between whom ever, and what becomes of them when something intervenes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use rt::abi::message::WORDS;
use rt::object::{Reply, reply_to_caller};
use rt::time::Deadline;
use rt::{Endpoint, Error, Message};

use crate::assistant::{self, Assistant};
use crate::case::{Case, Outcome, World, equal, hold, joined, message};
use crate::probe::{Place, Probe, SVC};
use crate::stage::{Log, Stage};

pub(crate) const CASES: &[Case] = &[
    ("sel4test IPC0001", ipc0001),
    ("sel4test IPC0002", ipc0002),
    ("sel4test IPC0003", ipc0003),
    ("sel4test IPC0004", ipc0004),
    ("sel4test IPC1001", ipc1001),
    ("sel4test IPC1002", ipc1002),
    ("sel4test IPC1003", ipc1003),
    ("sel4test IPC1004", ipc1004),
    ("sel4test IPC0010", ipc0010),
    ("sel4test IPC0025", ipc0025),
    ("sel4test NBWAIT0001", nbwait0001),
    (
        "sel4test CANCEL_BADGED_SENDS_0001",
        cancel_badged_sends_0001,
    ),
    (
        "sel4test CANCEL_BADGED_SENDS_0002",
        cancel_badged_sends_0002,
    ),
    ("hubris test_send", test_send),
    ("hubris test_recv_reply", test_recv_reply),
    (
        "hubris test_borrow_without_peer_waiting",
        test_borrow_without_peer_waiting,
    ),
];

const ROUNDS: u64 = 20;

/// A message that fills all words, different in each round.
fn full(round: u64) -> Message {
    (0..WORDS as u64).fold(Message::new(round as u32), |message, at| {
        message.word((round + 1) * 1000 + at)
    })
}

fn is_full(message: &Message, round: u64) -> Outcome {
    let expected = full(round);
    equal!(
        message.label(),
        expected.label(),
        "the label in round {round}"
    );
    equal!(
        message.words(),
        expected.words(),
        "the words in round {round}"
    );
    Ok(())
}

/// A client and a server, placed in every way that there is.
fn between(
    world: &World,
    client: fn(&Endpoint) -> Outcome,
    server: fn(&Endpoint) -> Outcome,
) -> Outcome {
    for (one, other) in world.pairs() {
        let endpoint = Arc::new(Endpoint::create()?);
        let clients = endpoint.clone();
        let client = one.spawn(move || client(&clients))?;
        let server = other.spawn(move || server(&endpoint))?;
        joined(client)??;
        joined(server)??;
    }
    Ok(())
}

fn calls(endpoint: &Endpoint) -> Outcome {
    for round in 0..ROUNDS {
        is_full(&endpoint.call(full(round))?, round + 1)?;
    }
    Ok(())
}

/// Who sends and who receives, wherever they are and whoever comes first: all words arrive, in order.
fn ipc0001(world: &World) -> Outcome {
    let send = |endpoint: &Endpoint| {
        for round in 0..ROUNDS {
            endpoint.send(full(round), Deadline::FOREVER)?;
        }
        Ok(())
    };
    between(world, send, |endpoint| {
        for round in 0..ROUNDS {
            is_full(&message(endpoint.receive(Deadline::FOREVER)?)?.0, round)?;
        }
        Ok(())
    })
}

/// Calls are answered by who replies and receives in one call: each caller gets the reply to its own words.
fn ipc0002(world: &World) -> Outcome {
    between(world, calls, |endpoint| {
        let mut incoming = endpoint.receive(Deadline::FOREVER)?;
        for round in 0..ROUNDS {
            is_full(&message(incoming)?.0, round)?;
            if round + 1 == ROUNDS {
                reply_to_caller(full(round + 1))?;
                return Ok(());
            }
            incoming = endpoint.reply_receive(full(round + 1), Deadline::FOREVER)?;
        }
        Ok(())
    })
}

/// The same when the reply and the next receive are two calls.
fn ipc0003(world: &World) -> Outcome {
    between(world, calls, |endpoint| {
        for round in 0..ROUNDS {
            is_full(&message(endpoint.receive(Deadline::FOREVER)?)?.0, round)?;
            reply_to_caller(full(round + 1))?;
            equal!(
                reply_to_caller(full(0)).err(),
                Some(Error::NoCaller),
                "a second reply"
            );
        }
        Ok(())
    })
}

/// Who sends without waiting is heard by a receiver that waits, and by nobody that comes later.
fn ipc0004(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let endpoint = Arc::new(Endpoint::create()?);
    for round in 0..ROUNDS {
        equal!(
            endpoint.send(full(0), Deadline::AT_ONCE).err(),
            Some(Error::TimedOut),
            "a send to nobody"
        );
        let from = endpoint.clone();
        let receiver = stage.actor(Stage::middle(), move || -> Outcome {
            is_full(&message(from.receive(Deadline::FOREVER)?)?.0, round)
        })?;
        stage.settle()?;
        endpoint.send(full(round), Deadline::AT_ONCE)?;
        joined(receiver)??;
    }
    Ok(())
}

/// One-way messages reach another process, each once and in order.
fn ipc1001(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    for round in 1..=ROUNDS {
        let note = Message::new(assistant::NOTE).word(round * 3);
        assistant.requests.send(note, Deadline::FOREVER)?;
        let noted = assistant.requests.call(Message::new(assistant::NOTED))?;
        equal!(
            noted.words(),
            [round, round * 3],
            "how many arrived, and the last"
        );
    }
    Ok(())
}

/// Another process answers calls with one call that replies and receives.
fn ipc1002(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    for round in 0..ROUNDS {
        equal!(assistant.ask(assistant::ECHO, round)?, !round, "the reply");
    }
    Ok(())
}

/// Another process answers calls with a reply, and receives in a call of its own.
fn ipc1003(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    for round in 0..ROUNDS {
        equal!(
            assistant.ask(assistant::ECHO_APART, round)?,
            !round,
            "the reply"
        );
    }
    Ok(())
}

/// Another process that sends without waiting is heard if somebody waits, and only then.
fn ipc1004(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    let endpoint = Arc::new(Endpoint::create()?);
    let ask = |word| -> Result<u64, Error> {
        let to = endpoint.sender(0)?;
        let request = Message::new(assistant::SEND_AT_ONCE).word(word).give(to);
        Ok(assistant.requests.call(request)?.word_at(0))
    };
    equal!(ask(1)?, Error::TimedOut as u64, "a send to nobody");
    // The assistant is on the stage too, so that the receiver waits before it sends.
    let stage = Stage::new()?;
    assistant.thread.set_cpus(1)?;
    let from = endpoint.clone();
    let receiver = stage.actor(Stage::middle(), move || from.receive(Deadline::FOREVER))?;
    stage.settle()?;
    equal!(ask(2)?, 0, "a send to who waits");
    let (arrived, _) = message(joined(receiver)??)?;
    equal!(arrived.words(), [2], "what arrived");
    Ok(())
}

/// A caller that is suspended keeps its call: it gets the reply when it is resumed, and not before.
fn ipc0010(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let log = Log::default();
    let endpoint = Arc::new(Endpoint::create()?);
    let (to, notes) = (endpoint.clone(), log.clone());
    let caller = stage.actor(Stage::middle(), move || -> Outcome {
        let reply = to.call(full(1))?;
        notes.note(1);
        is_full(&reply, 2)
    })?;
    stage.settle()?;
    is_full(&message(endpoint.receive(Deadline::AT_ONCE)?)?.0, 1)?;
    caller.thread().suspend()?;
    reply_to_caller(full(2))?;
    stage.settle()?;
    equal!(log.take(), [], "what a suspended caller did with the reply");
    caller.thread().resume()?;
    joined(caller)??;
    equal!(log.take(), [1], "what it did when it was resumed");
    Ok(())
}

/// Who replies and receives without waiting replies in any case, and receives what is there already.
fn ipc0025(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let endpoint = Arc::new(Endpoint::create()?);
    let mut callers = Vec::new();
    for number in 0..2 {
        let to = endpoint.clone();
        callers.push(stage.actor(Stage::middle(), move || to.call(full(number)))?);
        // They wait in the order in which they came.
        stage.settle()?;
    }
    is_full(&message(endpoint.receive(Deadline::AT_ONCE)?)?.0, 0)?;
    is_full(
        &message(endpoint.reply_receive(full(10), Deadline::AT_ONCE)?)?.0,
        1,
    )?;
    equal!(
        endpoint.reply_receive(full(11), Deadline::AT_ONCE).err(),
        Some(Error::TimedOut),
        "a receive when nobody sends"
    );
    for (caller, reply) in callers.into_iter().zip(10..) {
        is_full(&joined(caller)??, reply)?;
    }
    Ok(())
}

/// Who receives without waiting gets the message of a sender that waits, or hears that there is none.
fn nbwait0001(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let endpoint = Arc::new(Endpoint::create()?);
    let nothing = |when| {
        equal!(
            endpoint.receive(Deadline::AT_ONCE).err(),
            Some(Error::TimedOut),
            "a receive {when}"
        );
        Ok(())
    };
    nothing("before anybody sends")?;
    let to = endpoint.clone();
    let sender = stage.actor(Stage::middle(), move || to.send(full(3), Deadline::FOREVER))?;
    stage.settle()?;
    is_full(&message(endpoint.receive(Deadline::AT_ONCE)?)?.0, 3)?;
    joined(sender)??;
    nothing("when the message was taken")
}

/// The messages of one client are taken back by ending that client; those of others stay in their order.
fn cancel_badged_sends_0001(_: &World) -> Outcome {
    const CLIENTS: u64 = 6;
    let stage = Stage::new()?;
    let endpoint = Endpoint::create()?;
    let mut clients = Vec::new();
    for badge in 1..=CLIENTS {
        let to = endpoint.sender(badge)?;
        clients.push(stage.actor(Stage::middle(), move || {
            to.send(full(badge), Deadline::FOREVER)
        })?);
    }
    stage.settle()?;
    for client in clients.iter().step_by(2) {
        client.thread().kill(0)?;
        client.thread().wait()?;
    }
    let mut left = Vec::new();
    while let Ok(incoming) = endpoint.receive(Deadline::AT_ONCE) {
        let (message, badge) = message(incoming)?;
        is_full(&message, badge)?;
        left.push(badge);
    }
    equal!(left, [2, 4, 6], "the badges that arrived");
    for (client, badge) in clients.into_iter().zip(1..) {
        let sent = client.join()?.is_some();
        equal!(sent, badge % 2 == 0, "whether client {badge} has sent");
    }
    Ok(())
}

/// A handle in a message that is taken back is not delivered, and goes with the process that sent it.
fn cancel_badged_sends_0002(_: &World) -> Outcome {
    // `svc`, as the probe's registers say: a send with a handle.
    let probe = Probe::new(Place::Elsewhere, &[SVC])?;
    let endpoint = Endpoint::create()?;
    let inner = Endpoint::create()?;
    let watched = inner.sender(0)?;
    let to = rt::object::Owned::from(endpoint.sender(5)?).give(probe.process())?;
    let gift = rt::object::Owned::from(inner).give(probe.process())?;
    let mut registers = rt::object::Registers::default();
    registers.x[8] = rt::abi::syscall::Call::Send as u64;
    registers.x[9] = u64::from(to.0);
    registers.x[10] = rt::abi::message::Info::new(0, 0).with_handles(1).0;
    registers.x[11] = Deadline::FOREVER.ticks();
    registers.x[12] = u64::from(gift.0);
    probe.starts(registers)?;
    probe.process().kill(0)?;
    probe.process().wait()?;
    equal!(
        endpoint.receive(Deadline::AT_ONCE).err(),
        Some(Error::TimedOut),
        "a receive after the sender's end"
    );
    equal!(
        watched.send(Message::new(0), Deadline::AT_ONCE).err(),
        Some(Error::Gone),
        "the endpoint that nobody can receive at any more"
    );
    Ok(())
}

/// A message with a word gets a reply with another.
fn test_send(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    let challenge = 0xdead_beef;
    equal!(
        assistant.ask(assistant::ECHO, challenge)?,
        !challenge,
        "the reply"
    );
    Ok(())
}

/// A process that is asked to calls back: its message, badge and reply are all as they should be.
fn test_recv_reply(world: &World) -> Outcome {
    const CHALLENGE: u64 = 0xcafe_f00d;
    const TOKEN: u64 = 0x1de;
    const BADGE: u64 = 77;
    let assistant = Assistant::start(world)?;
    let endpoint = Endpoint::create()?;
    let request = Message::new(assistant::CALL_BACK).word(CHALLENGE);
    assistant
        .requests
        .call(request.give(endpoint.sender(BADGE)?))?;
    let (called, badge) = message(endpoint.receive(Deadline::FOREVER)?)?;
    equal!(badge, BADGE, "the badge");
    equal!(called.label(), assistant::CALL_BACK, "the label");
    equal!(called.words(), [CHALLENGE], "the words");
    reply_to_caller(Message::new(0).word(TOKEN))?;
    equal!(
        assistant.ask(assistant::KEPT, 0)?,
        TOKEN,
        "what our reply was"
    );
    Ok(())
}

/// Who no longer waits for a reply cannot be replied to, and nothing of the reply reaches it.
fn test_borrow_without_peer_waiting(_: &World) -> Outcome {
    let stage = Stage::new()?;
    let endpoint = Arc::new(Endpoint::create()?);
    let to = endpoint.clone();
    let caller = stage.actor(Stage::middle(), move || to.call(full(1)))?;
    stage.settle()?;
    endpoint.receive(Deadline::AT_ONCE)?;
    let reply = Reply::save()?;
    caller.thread().kill(0)?;
    hold!(caller.join()?.is_none(), "a caller that was ended returned");
    equal!(
        reply.reply(full(2)).err(),
        Some(Error::NoCaller),
        "a reply to who has ended"
    );
    Ok(())
}

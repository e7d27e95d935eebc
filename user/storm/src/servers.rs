//! Servers that die, and replies that were used.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loader::{Grant, Spec};
use rt::object::{Answer, ProcessState, reply_to_caller};
use rt::time::Deadline;
use rt::{Endpoint, Error, Incoming, Memory, Message, Notification, Rights};

use crate::board::Post;
use crate::coordinator::{PATH, ROLE_QUOTA, STACK_BYTES};
use crate::{Wrong, ensure};

/// What makes the program the server.
pub(crate) const SERVER: &str = "server";
/// What a server is killed with.
const STATUS: u64 = 77;

/// Starts a server, calls it, kills it, again and again: what was held of the old one must say so.
pub(crate) fn restart(post: &Post) -> Result<(), Wrong> {
    let (memory, bytes) = rt::start::take_with_detail::<Memory>("image")
        .ok_or_else(|| Wrong::from("no image was granted"))?;
    // SAFETY: nobody writes to it any more.
    let image = unsafe { memory.map(Rights::READ)?.leak_slice() };
    let image = image.get(..bytes as usize).unwrap_or(image);
    post.work(|| {
        let endpoint = Endpoint::create()?;
        let inbox = endpoint.duplicate(Rights::RECEIVE.with(Rights::TRANSFER))?;
        let server = endpoint.sender(1)?;
        drop(endpoint);
        let loaded = loader::load(Spec {
            path: PATH,
            file: image,
            arguments: &["storm-server", SERVER],
            grants: alloc::vec![Grant::new("inbox", inbox)],
            quota_bytes: ROLE_QUOTA / 4,
            priority: rt::thread::default_priority(),
            stack_bytes: STACK_BYTES,
        })?;
        loaded.thread.resume()?;
        for _ in 0..8 {
            let number = post.random.number();
            let reply = server.call(Message::new(1).word(number))?;
            let found = reply.word_at(0);
            ensure!(found == number ^ STATUS, "the server answers {found:#x}");
        }
        loaded.process.kill(STATUS)?;
        let report = loaded.process.wait()?;
        ensure!(
            report.state == ProcessState::Killed as u32 && report.status == STATUS,
            "a server that was killed ended in state {}, status {}",
            report.state,
            report.status
        );
        let late = server.call(Message::new(1)).map(drop);
        ensure!(late == Err(Error::Gone), "a dead server answers {late:?}");
        post.events(1);
        Ok(())
    })
}

/// The server. It has no board: it does not live long enough.
pub(crate) fn serve() -> Result<(), Wrong> {
    let inbox: Endpoint =
        rt::start::take("inbox").ok_or_else(|| Wrong::from("no inbox was granted"))?;
    inbox.serve(|incoming| match incoming {
        Incoming::Message(message, _) => {
            Answer::Reply(Message::new(0).word(message.word_at(0) ^ STATUS))
        }
        _ => Answer::Later,
    })?;
    Ok(())
}

/// Between the two servers of a client: whose turn it is.
struct Between {
    inbox: Endpoint,
    first_has_replied: Notification,
    second_has_received: Notification,
    first_has_tried: Notification,
    over: AtomicBool,
}

/// One client, two servers. The first answers a call; while the client waits for the second one, the first
/// answers its old call once more, which must reach nobody.
pub(crate) fn replies(post: &Post) -> Result<(), Wrong> {
    let between = Arc::new(Between {
        inbox: Endpoint::create()?,
        first_has_replied: Notification::create()?,
        second_has_received: Notification::create()?,
        first_has_tried: Notification::create()?,
        over: AtomicBool::new(false),
    });
    let servers = [first, second].map(|server| {
        let between = between.clone();
        rt::thread::spawn(move || {
            if let Err(Wrong(why)) = server(&between) {
                rt::log!("storm: replies: {why}");
                rt::exit(1);
            }
        })
    });
    let servers = servers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let to = between.inbox.sender(1)?;
    let worked = post.work(|| {
        let number = post.random.number();
        for expected in [number ^ FIRST, number ^ SECOND] {
            let found = to.call(Message::new(1).word(number))?.word_at(0);
            ensure!(
                found == expected,
                "an answer is {found:#x}, not {expected:#x}: a reply was used twice"
            );
        }
        post.events(1);
        Ok(())
    });
    worked?;
    between.over.store(true, Relaxed);
    for _ in 0..2 {
        to.call(Message::new(1))?;
    }
    for server in servers {
        server.join()?;
    }
    Ok(())
}

/// What the servers answer with.
const FIRST: u64 = 0x1111;
const SECOND: u64 = 0x2222;
const STALE: u64 = 0x3333;

fn receive(inbox: &Endpoint) -> Result<u64, Wrong> {
    match inbox.receive(Deadline::FOREVER)? {
        Incoming::Message(message, _) => Ok(message.word_at(0)),
        _ => Err(Wrong::from("what arrived is no message")),
    }
}

fn first(between: &Between) -> Result<(), Wrong> {
    loop {
        let number = receive(&between.inbox)?;
        reply_to_caller(Message::new(0).word(number ^ FIRST))?;
        between.first_has_replied.signal(1)?;
        between.second_has_received.wait(Deadline::FOREVER)?;
        let over = between.over.load(Relaxed);
        let again = reply_to_caller(Message::new(0).word(number ^ STALE));
        between.first_has_tried.signal(1)?;
        ensure!(
            again == Err(Error::NoCaller),
            "a second reply to one call: {again:?}"
        );
        if over {
            return Ok(());
        }
    }
}

fn second(between: &Between) -> Result<(), Wrong> {
    loop {
        between.first_has_replied.wait(Deadline::FOREVER)?;
        let number = receive(&between.inbox)?;
        let over = between.over.load(Relaxed);
        between.second_has_received.signal(1)?;
        between.first_has_tried.wait(Deadline::FOREVER)?;
        reply_to_caller(Message::new(0).word(number ^ SECOND))?;
        if over {
            return Ok(());
        }
    }
}

//! This program again, as another process that does what it is asked.

use alloc::string::String;
use core::cell::Cell;

use rt::object::{Answer, MemoryKind, Object, PAGE, reply_to_caller};
use rt::time::Deadline;
use rt::{Endpoint, Error, Incoming, Memory, Message, Process, Rights, Thread};

use crate::case::{PATH, World, Wrong};
use crate::probe::READ_WRITE;

/// The argument that makes this program the assistant.
pub(crate) const ROLE: &str = "assist";
/// The grant that it receives at.
const REQUESTS: &str = "requests";
const QUOTA_BYTES: usize = 1 << 20;
const STACK_BYTES: usize = 64 << 10;

/// Replies with the complement of the word.
pub(crate) const ECHO: u32 = 1;
/// Sent without a reply: notes the word.
pub(crate) const NOTE: u32 = 2;
/// Replies with how many were noted, and the last.
pub(crate) const NOTED: u32 = 3;
/// As [`ECHO`], by a call that only replies.
pub(crate) const ECHO_APART: u32 = 4;
/// Replies, then calls the endpoint that it is given with the word, and keeps the reply's.
pub(crate) const CALL_BACK: u32 = 5;
/// Replies with what it kept.
pub(crate) const KEPT: u32 = 6;
/// Sends the word to the endpoint that it is given if somebody waits; replies with the error's number.
pub(crate) const SEND_AT_ONCE: u32 = 7;
/// Stores the word; replies with what was stored before.
pub(crate) const STORE: u32 = 8;
/// Replies, and panics.
pub(crate) const PANIC: u32 = 9;
/// Replies, then calls the endpoint that it is given with two memories: one to write, one to read.
pub(crate) const LEND: u32 = 10;
/// Never replies.
pub(crate) const KEEP_WAITING: u32 = 11;
/// Calls the endpoint that it is given, with badge and handle of its own, before it replies.
pub(crate) const SEND_WITH_HANDLE: u32 = 12;

/// What the memory to read begins with.
pub(crate) const GREETING: &[u8] = b"hello";

/// The assistant, as who started it has it. It ends with this.
pub(crate) struct Assistant {
    /// Its process.
    pub(crate) process: Process,
    /// Its thread.
    pub(crate) thread: Thread,
    /// Where it is asked.
    pub(crate) requests: Endpoint,
}

impl Assistant {
    /// Starts one.
    pub(crate) fn start(world: &World) -> Result<Self, Wrong> {
        let endpoint = Endpoint::create()?;
        let requests = endpoint.sender(0)?;
        let receiver = endpoint.duplicate(Rights::RECEIVE.with(Rights::TRANSFER))?;
        drop(endpoint);
        let spec = loader::Spec {
            path: PATH,
            file: &world.file,
            arguments: &["catalogue", ROLE],
            grants: alloc::vec![loader::Grant::new(REQUESTS, receiver)],
            quota_bytes: QUOTA_BYTES,
            priority: rt::thread::default_priority(),
            stack_bytes: STACK_BYTES,
        };
        let loaded = loader::load(spec).map_err(|error| Wrong(alloc::format!("{error}")))?;
        loaded.thread.resume()?;
        Ok(Self {
            process: loaded.process,
            thread: loaded.thread,
            requests,
        })
    }

    /// Asks for something with a word; the first word of the reply.
    pub(crate) fn ask(&self, what: u32, word: u64) -> Result<u64, Error> {
        let reply = self.requests.call(Message::new(what).word(word))?;
        Ok(reply.word_at(0))
    }
}

impl Drop for Assistant {
    fn drop(&mut self) {
        let _ = self.process.kill(0);
        let _ = self.process.wait();
    }
}

/// What the assistant does.
pub(crate) fn serve() -> Result<u64, Error> {
    let requests = rt::start::take::<Endpoint>(REQUESTS).ok_or(Error::BadHandle)?;
    let (noted, last, kept, stored) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    requests.serve(|incoming| {
        let Incoming::Message(mut message, _) = incoming else {
            return Answer::Later;
        };
        let word = message.word_at(0);
        let given = message.take(0).map(Endpoint::assume);
        match message.label() {
            ECHO => Answer::Reply(Message::new(0).word(!word)),
            NOTE => {
                noted.set(noted.get() + 1);
                last.set(word);
                Answer::Later
            }
            NOTED => Answer::Reply(Message::new(0).word(noted.get()).word(last.get())),
            ECHO_APART => {
                let _ = reply_to_caller(Message::new(0).word(!word));
                Answer::Later
            }
            CALL_BACK => {
                let _ = reply_to_caller(Message::new(0));
                if let Some(reply) =
                    given.and_then(|to| to.call(Message::new(CALL_BACK).word(word)).ok())
                {
                    kept.set(reply.word_at(0));
                }
                Answer::Later
            }
            KEPT => Answer::Reply(Message::new(0).word(kept.get())),
            SEND_AT_ONCE => {
                let sent =
                    given.map(|to| to.send(Message::new(0).word(word), Deadline::AT_ONCE).err());
                let error = sent.flatten().map_or(0, |error| error as u64);
                Answer::Reply(Message::new(0).word(error))
            }
            STORE => Answer::Reply(Message::new(0).word(stored.replace(word))),
            PANIC => {
                let _ = reply_to_caller(Message::new(0));
                panic!("asked to")
            }
            LEND => {
                let _ = reply_to_caller(Message::new(0));
                if let (Some(to), Ok(loan)) = (given, loan()) {
                    let _ = to.call(loan);
                }
                Answer::Later
            }
            SEND_WITH_HANDLE => {
                if let (Some(to), Ok(endpoint)) = (given, Endpoint::create()) {
                    let _ = reply_to_caller(Message::new(0));
                    let _ = to.call(Message::new(SEND_WITH_HANDLE).word(word).give(endpoint));
                }
                Answer::Later
            }
            // Whoever asked waits.
            KEEP_WAITING => loop {
                rt::time::sleep_until(rt::time::Instant::from_ticks(u64::MAX - 1));
            },
            other => {
                let text = alloc::format!("assistant: no such request: {other}");
                rt::log!("{}", String::as_str(&text));
                Answer::Stop
            }
        }
    })?;
    Ok(1)
}

/// Two memories: one to read and write, one with a greeting, to read.
fn loan() -> Result<Message, Error> {
    let bytes = PAGE as usize;
    let to_write = Memory::create(bytes, MemoryKind::Normal)?;
    let to_read = Memory::create(2 * bytes, MemoryKind::Normal)?;
    to_read.map(READ_WRITE)?.write(0, GREETING);
    let look = Rights::INSPECT.with(Rights::TRANSFER).with(Rights::READ);
    Ok(Message::new(LEND)
        .give(to_write.duplicate(look.with(Rights::WRITE))?)
        .give(to_read.duplicate(look)?))
}

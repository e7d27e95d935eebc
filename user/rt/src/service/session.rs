//! Sessions: who is connected to a server, and the memory it shares with each.
//!
//! A client makes memory, and gives it to the server with a handle of its own process that permits to
//! look and no more. The server maps the memory, and watches the process: when it ends, in whatever way,
//! the session ends, too. Back comes an endpoint whose badge names the session, so no client can speak
//! for another.

use alloc::vec::Vec;

use abi::message::HANDLES;
use abi::report::ProcessState;

use super::{Error, done, request};
use crate::Rights;
use crate::message::Message;
use crate::object::{Endpoint, Mapping, Memory, MemoryKind, Notification, Object, Process};
use crate::time::{Deadline, Duration};

/// How many clients a server has at most: one bit of its notification each.
pub const MAX_SESSIONS: usize = 48;
/// How many sessions one process has at most.
pub const MAX_SESSIONS_OF_ONE: usize = 8;
/// The most memory a client shares.
pub const MAX_BUFFER_BYTES: usize = 1 << 20;
/// The bits of the bound notification that are the sessions'; the others are the server's own.
pub const SESSION_BITS: u64 = (1 << MAX_SESSIONS) - 1;

/// A client's side of a session.
///
/// Dropped, it is closed; the server also closes it when this process ends.
#[derive(Debug)]
pub struct Connection {
    endpoint: Endpoint,
    disconnect: u32,
    buffer: Mapping,
}

impl Connection {
    /// Connects to a server. `connect` is the protocol's operation for it; [`disconnect`] is the one that
    /// closes the session.
    ///
    /// # Errors
    /// [`Error::Kernel`]; what the server refuses it with.
    pub fn open(server: &Endpoint, connect: u32, buffer_bytes: usize) -> Result<Self, Error> {
        let memory = Memory::create(buffer_bytes, MemoryKind::Normal)?;
        let both = Rights::READ.with(Rights::WRITE);
        let buffer = memory.map(both)?;
        let look = Rights::INSPECT.with(Rights::TRANSFER);
        let process = Process::own().duplicate(look)?;
        let shared = memory.duplicate(both.with(look))?;
        let mut reply = request(server, Message::new(connect).give(shared).give(process))?;
        let endpoint = reply.take(0).ok_or(Error::BadReply)?;
        Ok(Self {
            endpoint: Endpoint::from_owned(endpoint)?,
            disconnect: disconnect(connect),
            buffer,
        })
    }

    /// Asks the server.
    ///
    /// # Errors
    /// The kernel's, or the server's.
    pub fn request(&self, message: Message) -> Result<Message, Error> {
        request(&self.endpoint, message)
    }

    /// What is shared.
    pub fn buffer(&self) -> &Mapping {
        &self.buffer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let patience = Deadline::after(Duration::from_secs(1));
        let _ = self
            .endpoint
            .call_until(Message::new(self.disconnect), patience);
    }
}

/// The operation that closes what `connect` has opened: number 0 of the same protocol.
pub const fn disconnect(connect: u32) -> u32 {
    connect & !0xff
}

/// A server's side of one session.
#[derive(Debug)]
pub struct Session<T> {
    /// What the client shares. It may write there at any time.
    pub buffer: Mapping,
    /// What the server keeps for it.
    pub state: T,
    process: Process,
    process_number: u32,
    badge: u64,
}

/// All sessions of a server.
#[derive(Debug)]
pub struct Sessions<T> {
    slots: Vec<Option<Session<T>>>,
    ends: Notification,
    opened: u64,
}

impl<T: Default> Sessions<T> {
    /// None yet. The calling thread, which is the one that serves, is bound to the notification on which
    /// the ends of clients are heard.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn new() -> Result<Self, Error> {
        let ends = Notification::create()?;
        ends.bind()?;
        Ok(Self {
            slots: Vec::new(),
            ends,
            opened: 0,
        })
    }

    /// The bound notification. Its bits that are not [`SESSION_BITS`] are the server's to use.
    pub fn notification(&self) -> &Notification {
        &self.ends
    }

    /// Opens a session for who sent `message`; the reply.
    ///
    /// # Errors
    /// [`Error::BadRequest`] without memory and process; [`Error::OutOfRange`] if the memory is too
    /// large; [`Error::Full`] if there are too many.
    pub fn open(&mut self, server: &Endpoint, message: &mut Message) -> Result<Message, Error> {
        const { assert!(HANDLES >= 2) };
        let memory = message.take(0).ok_or(Error::BadRequest)?;
        let memory = Memory::from_owned(memory)?;
        let process = message.take(1).ok_or(Error::BadRequest)?;
        let process = Process::from_owned(process)?;
        let report = process.report()?;
        if report.state != ProcessState::Alive as u32 {
            return Err(Error::Kernel(crate::Error::Gone));
        }
        if memory.bytes()? > MAX_BUFFER_BYTES {
            return Err(Error::OutOfRange);
        }
        let of_one = |session: &&Session<T>| session.process_number == report.number;
        if self.slots.iter().flatten().filter(of_one).count() >= MAX_SESSIONS_OF_ONE {
            return Err(Error::Full);
        }
        let buffer = memory.map(Rights::READ.with(Rights::WRITE))?;
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(slot) => slot,
            None if self.slots.len() < MAX_SESSIONS => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return Err(Error::Full),
        };
        self.opened += 1;
        let badge = self.opened << 8 | (slot as u64 + 1);
        let endpoint = server.sender(badge)?;
        process.watch(&self.ends, 1 << slot)?;
        self.slots[slot] = Some(Session {
            buffer,
            state: T::default(),
            process,
            process_number: report.number,
            badge,
        });
        Ok(done().give(endpoint))
    }

    /// The session with that badge.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if there is none: it was never opened, or was closed.
    pub fn with_badge(&mut self, badge: u64) -> Result<&mut Session<T>, Error> {
        let slot = (badge & 0xff).wrapping_sub(1);
        self.slots
            .get_mut(slot as usize)
            .and_then(Option::as_mut)
            .filter(|session| session.badge == badge)
            .ok_or(Error::BadRequest)
    }

    /// Closes the session with that badge. What the server kept for it.
    ///
    /// # Errors
    /// As [`Sessions::with_badge`].
    pub fn close(&mut self, badge: u64) -> Result<T, Error> {
        self.with_badge(badge)?;
        let slot = &mut self.slots[(badge & 0xff) as usize - 1];
        slot.take()
            .map(|session| session.state)
            .ok_or(Error::BadRequest)
    }

    /// Closes the sessions whose client has ended, after the bound notification gave `bits`. What the
    /// server kept for them.
    pub fn bury(&mut self, bits: u64) -> Vec<T> {
        let mut ended = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let lives = |session: &Session<T>| {
                session
                    .process
                    .report()
                    .is_ok_and(|report| report.state == ProcessState::Alive as u32)
            };
            if bits & 1 << index != 0 && slot.as_ref().is_some_and(|session| !lives(session)) {
                ended.extend(slot.take().map(|session| session.state));
            }
        }
        ended
    }
}

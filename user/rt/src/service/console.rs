//! The console: bytes to a person and from one.
//!
//! | operation | words | reply |
//! |---|---|---|
//! | [`WRITE`] | count, bytes (at most 56) | |
//! | [`READ`] | how many at most | count, bytes; waits until there is one |
//!
//! Bytes are what the line carries: no echo, no lines, no editing; those are the shell's. There are no
//! sessions; who has an endpoint may write and read.

use super::{Error, done, find, operation, refused, request};
use crate::message::{INLINE_BYTES, Incoming, Message};
use crate::object::{Answer, Endpoint, Reply};
use crate::sync::Mutex;
use crate::time::Deadline;

const PROTOCOL: u16 = 0x4301;
/// Writes bytes.
pub const WRITE: u32 = operation(PROTOCOL, 1, 1);
/// Waits for bytes.
pub const READ: u32 = operation(PROTOCOL, 1, 2);

/// The name it is found by.
pub const NAME: &str = "console";

/// A client's way to the console.
#[derive(Debug)]
pub struct Console(Endpoint);

impl Console {
    /// Finds it.
    ///
    /// # Errors
    /// [`find`].
    pub fn connect() -> Result<Self, Error> {
        find(NAME).map(Self)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`Error::is_gone`] if its driver died: connect again.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        for chunk in bytes.chunks(INLINE_BYTES) {
            request(&self.0, Message::new(WRITE).bytes(chunk))?;
        }
        Ok(())
    }

    /// Waits for bytes; how many there were, at most 56 and never 0 if `to` has room.
    ///
    /// # Errors
    /// As [`Console::write`]; [`Error::Kernel`] of a deadline that has passed. Nothing is lost then: what
    /// is typed later, the next read gets.
    pub fn read(&self, to: &mut [u8], deadline: Deadline) -> Result<usize, Error> {
        let most = to.len().min(INLINE_BYTES);
        let reply = self
            .0
            .call_until(Message::new(READ).word(most as u64), deadline)?;
        if let Some(error) = Error::from_label(reply.label()) {
            return Err(error);
        }
        Ok(reply.bytes_at(0, to).ok_or(Error::BadReply)?.len())
    }
}

/// What this process prints to.
static OUT: Mutex<Option<Console>> = Mutex::new(None);

/// Writes to the console if this process has one; whether it did. Connects as needed.
pub(crate) fn write_if_any(bytes: &[u8]) -> bool {
    let mut out = OUT.lock();
    if let Some(console) = out.as_ref()
        && console.write(bytes).is_ok()
    {
        return true;
    }
    *out = Console::connect().ok();
    match out.as_ref() {
        Some(console) => console.write(bytes).is_ok(),
        None => false,
    }
}

/// What a console's driver does.
pub trait Server {
    /// Puts bytes on the line.
    fn write(&mut self, bytes: &[u8]);

    /// Somebody waits for at most `most` bytes. [`send_input`] gives it some, now or later.
    fn wants_input(&mut self, most: usize, reader: Reply);

    /// Bits of the serving thread's bound notification, of which the driver knows what they mean.
    fn bits(&mut self, bits: u64);
}

/// Gives a reader bytes; how many, which is 0 if it no longer waits.
pub fn send_input(reader: Reply, bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(INLINE_BYTES)];
    match reader.reply(done().bytes(bytes)) {
        Ok(()) => bytes.len(),
        Err(_) => 0,
    }
}

/// Serves the protocol, for as long as something can be received.
///
/// # Errors
/// Why nothing can be received any more.
pub fn serve(endpoint: &Endpoint, server: &mut impl Server) -> Result<(), crate::Error> {
    endpoint.serve(|incoming| match incoming {
        Incoming::Message(message, _) => handle(server, &message),
        Incoming::Bits(bits) => {
            server.bits(bits);
            Answer::Later
        }
        Incoming::Fault(..) => Answer::Reply(refused(Error::BadRequest)),
    })
}

fn handle(server: &mut impl Server, message: &Message) -> Answer {
    let mut buffer = [0; INLINE_BYTES];
    match message.label() {
        WRITE => match message.bytes_at(0, &mut buffer) {
            Some(bytes) => {
                server.write(bytes);
                Answer::Reply(done())
            }
            None => Answer::Reply(refused(Error::BadRequest)),
        },
        READ => match usize::try_from(message.word_at(0)) {
            Ok(0) => Answer::Reply(done().bytes(&[])),
            Ok(most) => match Reply::save() {
                Ok(reader) => {
                    server.wants_input(most.min(INLINE_BYTES), reader);
                    Answer::Later
                }
                Err(error) => Answer::Reply(refused(error.into())),
            },
            Err(_) => Answer::Reply(refused(Error::BadRequest)),
        },
        _ => Answer::Reply(refused(Error::BadRequest)),
    }
}

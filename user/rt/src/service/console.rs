//! The console: bytes to a person and from one.
//!
//! | operation | words | reply |
//! |---|---|---|
//! | [`WRITE`] | count, bytes (at most 56) | |
//! | [`READ`] | how many at most | count, bytes; waits until there is one |
//! | [`NOTIFY`] | bits for input, bits for Control-C; handle: a notification | |
//! | [`LAST`] | how many of the kernel's last lines | where they begin |
//! | [`LOG`] | where | where the bytes begin, count, bytes (at most 48; none at the end) |
//! | [`FLUSH`] | | waits until all that was written has left, the kernel's lines and half lines too |
//!
//! Bytes are what the line carries: no echo, no lines, no editing; those are the shell's. There are no
//! sessions; who has an endpoint may write and read. What one badge writes is kept together until
//! the line ends.

use super::{Error, done, find, operation, refused, request};
use crate::Rights;
use crate::message::{INLINE_BYTES, Incoming, Message};
use crate::object::{Answer, Endpoint, Notification, Object};
use crate::sync::Mutex;
use crate::time::{Deadline, Duration, sleep};

const PROTOCOL: u16 = 0x4301;
/// Writes bytes.
pub const WRITE: u32 = operation(PROTOCOL, 1, 1);
/// Waits for bytes.
pub const READ: u32 = operation(PROTOCOL, 1, 2);
/// Names the notification to signal when there is input that nobody waits for, and at Control-C. One
/// at a time: the last. Bits that are 0 ask for nothing; Control-C is then input. It is input, too, for
/// the one who named the notification, when that is who reads.
pub const NOTIFY: u32 = operation(PROTOCOL, 1, 3);
/// Finds the beginning of the kernel's last lines.
pub const LAST: u32 = operation(PROTOCOL, 1, 4);
/// Reads them from there.
pub const LOG: u32 = operation(PROTOCOL, 1, 5);
/// Waits until nothing is left to be sent.
pub const FLUSH: u32 = operation(PROTOCOL, 1, 6);

/// How much of the log is in a reply.
const LOG_BYTES: usize = INLINE_BYTES - 8;

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

    /// From now on `bell` gets `input` when there are bytes that nobody waits for, and `control_c` at
    /// Control-C. Bits that are 0 ask for nothing. While this client itself reads, Control-C is input; so
    /// it is for all if its bits are 0. What was typed before it and not read is dropped.
    ///
    /// # Errors
    /// As [`Console::write`].
    pub fn notify(&self, bell: &Notification, input: u64, control_c: u64) -> Result<(), Error> {
        let signaller = bell.duplicate(Rights::SIGNAL.with(Rights::TRANSFER))?;
        let message = Message::new(NOTIFY).word(input).word(control_c);
        request(&self.0, message.give(signaller)).map(drop)
    }

    /// Waits until all that anybody has written, the kernel too, has left: before the machine is switched
    /// off, which nothing survives that the driver still holds.
    ///
    /// # Errors
    /// As [`Console::write`]; [`Error::Kernel`] of a deadline that has passed.
    pub fn flush(&self, deadline: Deadline) -> Result<(), Error> {
        flush(&self.0, deadline)
    }

    /// Gives the last `lines` lines that the kernel printed to `to`, part by part. Those that the
    /// driver has seen: it forgets them when it dies.
    ///
    /// # Errors
    /// As [`Console::write`].
    pub fn log(&self, lines: usize, mut to: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut at = request(&self.0, Message::new(LAST).word(lines as u64))?.word_at(0);
        loop {
            let reply = request(&self.0, Message::new(LOG).word(at))?;
            let mut buffer = [0; LOG_BYTES];
            match reply.bytes_at(1, &mut buffer).ok_or(Error::BadReply)? {
                [] => return Ok(()),
                bytes => {
                    to(bytes);
                    at = reply.word_at(0).saturating_add(bytes.len() as u64);
                }
            }
        }
    }
}

/// [`Console::flush`], for who has the endpoint.
///
/// # Errors
/// As there.
pub fn flush(console: &Endpoint, deadline: Deadline) -> Result<(), Error> {
    let reply = console.call_until(Message::new(FLUSH), deadline)?;
    Error::from_label(reply.label()).map_or(Ok(()), Err)
}

/// What this process prints to.
static OUT: Mutex<Option<Console>> = Mutex::new(None);

/// How often a console that is gone is asked for again. Just after a death the supervisor may not know
/// of it yet, and give the old one.
const ATTEMPTS: usize = 20;
/// How long it is given in between.
const PAUSE: Duration = Duration::from_millis(1);

/// Writes to the console if this process has one; whether it did. Connects as needed.
pub(crate) fn write_if_any(bytes: &[u8]) -> bool {
    let mut out = OUT.lock();
    for attempt in 0..ATTEMPTS {
        if attempt > 1 {
            sleep(PAUSE);
        }
        if out.is_none() {
            *out = Console::connect().ok();
        }
        match out.as_ref().map(|console| console.write(bytes)) {
            Some(Ok(())) => return true,
            Some(Err(error)) if error.is_gone() => *out = None,
            Some(Err(_)) | None => return false,
        }
    }
    false
}

/// What a console's driver does. What each returns is the answer to the caller, who is known by its
/// badge; a driver that answers later has saved the reply ([`Reply::save`](crate::object::Reply::save)).
pub trait Server {
    /// Puts bytes on the line.
    fn write(&mut self, writer: u64, bytes: &[u8]) -> Answer;

    /// Gives at most `most` bytes that came, which is not 0; waits until there is one.
    fn read(&mut self, reader: u64, most: usize) -> Answer;

    /// Signals what [`NOTIFY`] says from now on.
    fn notify(&mut self, listener: u64, bell: Notification, input: u64, control_c: u64);

    /// Where the kernel's last `lines` lines begin.
    fn last(&mut self, lines: usize) -> u64;

    /// Copies the kernel's lines from a position on; where they begin and how many bytes there were.
    fn log(&mut self, at: u64, to: &mut [u8]) -> (u64, usize);

    /// Answers when nothing is left to be sent.
    fn flush(&mut self) -> Answer;

    /// Bits of the serving thread's bound notification, of which the driver knows what they mean.
    fn bits(&mut self, bits: u64);
}

/// The reply to a reader.
pub fn input(bytes: &[u8]) -> Message {
    done().bytes(bytes)
}

/// Serves the protocol, for as long as something can be received.
///
/// # Errors
/// Why nothing can be received any more.
pub fn serve(endpoint: &Endpoint, server: &mut impl Server) -> Result<(), crate::Error> {
    endpoint.serve(|incoming| match incoming {
        Incoming::Message(message, badge) => {
            handle(server, message, badge).unwrap_or_else(|error| Answer::Reply(refused(error)))
        }
        Incoming::Bits(bits) => {
            server.bits(bits);
            Answer::Later
        }
        Incoming::Fault(..) => Answer::Reply(refused(Error::BadRequest)),
    })
}

fn handle(server: &mut impl Server, mut message: Message, badge: u64) -> Result<Answer, Error> {
    let number = |index| usize::try_from(message.word_at(index)).map_err(|_| Error::OutOfRange);
    let mut buffer = [0; INLINE_BYTES];
    Ok(match message.label() {
        WRITE => match message.bytes_at(0, &mut buffer).ok_or(Error::BadRequest)? {
            [] => Answer::Reply(done()),
            bytes => server.write(badge, bytes),
        },
        READ => match number(0)? {
            0 => Answer::Reply(input(&[])),
            most => server.read(badge, most.min(INLINE_BYTES)),
        },
        NOTIFY => {
            let bell = message.take(0).ok_or(Error::BadRequest)?;
            let (input, control_c) = (message.word_at(0), message.word_at(1));
            server.notify(badge, Notification::from_owned(bell)?, input, control_c);
            Answer::Reply(done())
        }
        LAST => Answer::Reply(done().word(server.last(number(0)?))),
        LOG => {
            let (at, count) = server.log(message.word_at(0), &mut buffer[..LOG_BYTES]);
            Answer::Reply(done().word(at).bytes(&buffer[..count]))
        }
        FLUSH => server.flush(),
        _ => return Err(Error::BadRequest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Answers at once, and notes what it was asked.
    #[derive(Default)]
    struct Noted(Vec<(&'static str, u64, usize)>);

    impl Server for Noted {
        fn write(&mut self, writer: u64, bytes: &[u8]) -> Answer {
            self.0.push(("write", writer, bytes.len()));
            Answer::Reply(done())
        }

        fn read(&mut self, reader: u64, most: usize) -> Answer {
            self.0.push(("read", reader, most));
            Answer::Reply(input(b"ab"))
        }

        fn notify(&mut self, _: u64, _: Notification, _: u64, _: u64) {
            self.0.push(("notify", 0, 0));
        }

        fn last(&mut self, lines: usize) -> u64 {
            lines as u64
        }

        fn log(&mut self, at: u64, to: &mut [u8]) -> (u64, usize) {
            (at, to.len())
        }

        fn flush(&mut self) -> Answer {
            self.0.push(("flush", 0, 0));
            Answer::Reply(done())
        }

        fn bits(&mut self, _: u64) {}
    }

    fn asked(message: Message) -> (Noted, Result<Message, Error>) {
        let mut server = Noted::default();
        let answer = match handle(&mut server, message, 7) {
            Ok(Answer::Reply(reply)) => Ok(reply),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        (server, answer)
    }

    #[test]
    fn requests_reach_the_driver_with_their_senders_badge() {
        let (server, _) = asked(Message::new(WRITE).bytes(b"hello"));
        assert_eq!(server.0, [("write", 7, 5)]);
        let (server, reply) = asked(Message::new(READ).word(1000));
        assert_eq!(server.0, [("read", 7, INLINE_BYTES)]);
        let mut buffer = [0; 8];
        let reply = reply.expect("input");
        assert_eq!(reply.bytes_at(0, &mut buffer), Some(&b"ab"[..]));
        let (server, reply) = asked(Message::new(FLUSH));
        assert!(server.0 == [("flush", 0, 0)] && reply.is_ok());
        let (_, reply) = asked(Message::new(LOG).word(9));
        let reply = reply.expect("a part of the log");
        assert_eq!((reply.word_at(0), reply.word_at(1)), (9, LOG_BYTES as u64));
    }

    #[test]
    fn what_asks_for_nothing_does_not_wait() {
        for message in [Message::new(READ), Message::new(WRITE).bytes(&[])] {
            let (server, reply) = asked(message);
            assert!(server.0.is_empty() && reply.is_ok());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for message in [
            Message::new(WRITE),
            Message::new(WRITE).word(57),
            Message::new(NOTIFY).word(1).word(2),
            Message::new(0),
        ] {
            let (server, reply) = asked(message);
            assert!(server.0.is_empty());
            assert_eq!(reply.err(), Some(Error::BadRequest));
        }
    }

    proptest! {
        #[test]
        fn no_request_panics(operation in 0_u32..8, words in prop::collection::vec(any::<u64>(), 0..8)) {
            let message = Message::new(operation + (WRITE & !0xff));
            let _ = asked(words.into_iter().fold(message, Message::word));
        }
    }
}

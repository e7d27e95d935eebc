//! The supervisor: knows services by name, starts programs, ends them.
//!
//! | operation | words | handles | reply |
//! |---|---|---|---|
//! | [`LOOKUP`] | name | | word: generation; handle: an endpoint of the service |
//! | [`START`] | bytes of text, bytes of image | memory with the text; perhaps memory with an image | handle: the process |
//! | [`KILL`] | name | | |
//! | [`LIST`] | index | | words: name, process number, generation, deaths, state; [`Error::NotFound`] beyond the last |
//!
//! Names are two words, 16 bytes ([`abi::report::Name`]). The text of [`START`] is the program's path in the init image, or its
//! name if an image comes with it, and its arguments, each with a zero byte after it; when the program
//! cannot be loaded, the supervisor writes there why, and how long that is is the reply's word.
//!
//! What a program may do, the supervisor knows by the badge on its endpoint: which names it may look up,
//! and whether it may start, kill and list.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::mem::ManuallyDrop;

use abi::report::Name;
use abi::start::{name as to_name, text as name_text};

use super::{Error, operation, request};
use crate::Rights;
use crate::message::Message;
use crate::object::{Endpoint, Memory, MemoryKind, Object, PAGE, Process};

const PROTOCOL: u16 = 0x5301;
/// Finds a service.
pub const LOOKUP: u32 = operation(PROTOCOL, 1, 1);
/// Starts a program.
pub const START: u32 = operation(PROTOCOL, 1, 2);
/// Ends a service, which is then started anew, or a program.
pub const KILL: u32 = operation(PROTOCOL, 1, 3);
/// What services and programs there are.
pub const LIST: u32 = operation(PROTOCOL, 1, 4);

/// The name of the grant.
pub const NAME: &str = "supervisor";
/// The most bytes that path and arguments have.
pub const MAX_TEXT_BYTES: usize = 2048;
/// The largest image of a program.
pub const MAX_IMAGE_BYTES: usize = 32 << 20;

/// How a service or program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// It runs.
    Runs = 0,
    /// It died, and is about to be started anew.
    Waits = 1,
    /// It died too often, or cannot be started.
    GivenUp = 2,
    /// It ended because it had nothing to do.
    Done = 3,
}

/// A service or a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its process's number.
    pub process: u32,
    /// How often it was started, from 1; 0 for a program, which is started once.
    pub generation: u64,
    /// How often it died.
    pub deaths: u64,
    /// How it is.
    pub state: State,
}

/// Why a program was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted {
    /// In short.
    pub error: Error,
    /// In a sentence that names the file, if the supervisor gave one.
    pub text: String,
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            self.error.fmt(f)
        } else {
            f.write_str(&self.text)
        }
    }
}

impl core::error::Error for NotStarted {}

impl<E: Into<Error>> From<E> for NotStarted {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            text: String::new(),
        }
    }
}

/// A client's way to the supervisor.
#[derive(Debug)]
pub struct Supervisor(Endpoint);

impl Supervisor {
    /// The one this process was given.
    pub fn own() -> Option<ManuallyDrop<Self>> {
        let endpoint = crate::start::borrow::<Endpoint>(NAME)?;
        Some(ManuallyDrop::new(Self(ManuallyDrop::into_inner(endpoint))))
    }

    /// An endpoint of the service with that name, as it runs now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotPermitted`], [`Error::GivenUp`].
    pub fn lookup(&self, name: &str) -> Result<Endpoint, Error> {
        self.lookup_generation(name).map(|(endpoint, _)| endpoint)
    }

    /// As [`Supervisor::lookup`], with how often the service was started.
    ///
    /// # Errors
    /// As [`Supervisor::lookup`].
    pub fn lookup_generation(&self, name: &str) -> Result<(Endpoint, u64), Error> {
        let mut reply = request(&self.0, with_name(LOOKUP, name)?)?;
        let endpoint = reply.take(0).ok_or(Error::BadReply)?;
        Ok((Endpoint::from_owned(endpoint)?, reply.word_at(0)))
    }

    /// Starts a program of the init image.
    ///
    /// # Errors
    /// Why it was not started, in words.
    pub fn start(&self, path: &str, arguments: &[&str]) -> Result<Process, NotStarted> {
        self.start_any(path, arguments, None)
    }

    /// Starts a program whose ELF file is `image`.
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub fn start_image(
        &self,
        name: &str,
        arguments: &[&str],
        image: &[u8],
    ) -> Result<Process, NotStarted> {
        self.start_any(name, arguments, Some(image))
    }

    fn start_any(
        &self,
        path: &str,
        arguments: &[&str],
        image: Option<&[u8]>,
    ) -> Result<Process, NotStarted> {
        let mut text = Vec::new();
        for part in core::iter::once(&path).chain(arguments) {
            text.extend_from_slice(part.as_bytes());
            text.push(0);
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::OutOfRange.into());
        }
        let both = Rights::READ.with(Rights::WRITE);
        let pass = Rights::INSPECT.with(Rights::TRANSFER);
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        let shared = memory.map(both)?;
        shared.write(0, &text);
        let image_bytes = image.map_or(0, <[u8]>::len) as u64;
        let mut message = Message::new(START)
            .word(text.len() as u64)
            .word(image_bytes)
            .give(memory.duplicate(both.with(pass))?);
        if let Some(image) = image {
            let memory = Memory::create(image.len(), MemoryKind::Normal)?;
            memory.map(both)?.write(0, image);
            message = message.give(memory.duplicate(Rights::READ.with(pass))?);
        }
        let mut reply = self.0.call(message)?;
        if let Some(error) = Error::from_label(reply.label()) {
            let mut text = alloc::vec![0; (reply.word_at(0) as usize).min(shared.bytes())];
            shared.read(0, &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(NotStarted { error, text });
        }
        let process = reply.take(0).ok_or(Error::BadReply)?;
        Ok(Process::from_owned(process)?)
    }

    /// Ends the service or program of that name. A service is started anew.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotPermitted`].
    pub fn kill(&self, name: &str) -> Result<(), Error> {
        request(&self.0, with_name(KILL, name)?).map(drop)
    }

    /// What services and programs there are.
    ///
    /// # Errors
    /// [`Error::NotPermitted`].
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        loop {
            match request(&self.0, Message::new(LIST).word(all.len() as u64)) {
                Ok(reply) => all.push(Listed {
                    name: String::from(name_text(&name_at(&reply, 0))),
                    process: reply.word_at(2) as u32,
                    generation: reply.word_at(3),
                    deaths: reply.word_at(4),
                    state: match reply.word_at(5) {
                        0 => State::Runs,
                        1 => State::Waits,
                        2 => State::GivenUp,
                        _ => State::Done,
                    },
                }),
                Err(Error::NotFound) => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A request about a name.
fn with_name(label: u32, name: &str) -> Result<Message, Error> {
    if name.len() > size_of::<Name>() {
        return Err(Error::BadName);
    }
    Ok(put_name(Message::new(label), name))
}

/// The message with two more words, the name.
pub fn put_name(message: Message, name: &str) -> Message {
    let number = u128::from_le_bytes(to_name(name));
    message.word(number as u64).word((number >> 64) as u64)
}

/// The name in words `index` and `index + 1`.
pub fn name_at(message: &Message, index: usize) -> Name {
    let high = u128::from(message.word_at(index + 1));
    (high << 64 | u128::from(message.word_at(index))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["", "console", "exactly sixteen!"] {
            let message = put_name(Message::new(LOOKUP).word(1), name);
            assert_eq!(name_text(&name_at(&message, 1)), name);
        }
        assert_eq!(
            with_name(KILL, "more than sixteen").err(),
            Some(Error::BadName)
        );
    }
}

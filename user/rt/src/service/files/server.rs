//! The server's side: everything but the file system itself.

use alloc::string::String;
use alloc::vec::Vec;

use super::{
    CLOSE, CONNECT, CREATE, DISCONNECT, Entry, FLUSH, Kind, LIST, MAX_OPEN, MAX_PATH_BYTES, OPEN,
    READ, REMOVE, RESIZE, STAT, Stat, WRITE, normalize,
};
use crate::message::{Incoming, Message};
use crate::object::{Answer, Endpoint, Mapping};
use crate::service::session::{SESSION_BITS, Sessions};
use crate::service::{Error, answer, done, refused};

/// A file system. Paths are normal ([`normalize`]). What it does not define it cannot do.
pub trait FileSystem {
    /// A file that is open.
    type Node;

    /// What the path names.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Device`], [`Error::Corrupt`]; so everywhere.
    fn stat(&mut self, path: &str) -> Result<Stat, Error>;

    /// Opens the file; it is one by [`FileSystem::stat`].
    ///
    /// # Errors
    /// As there.
    fn open(&mut self, path: &str) -> Result<Self::Node, Error>;

    /// Reads from `offset` on; how much: less than `to` has room for only at the end.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it was removed meanwhile; [`Error::Device`], [`Error::Corrupt`].
    fn read(&mut self, node: &mut Self::Node, offset: u64, to: &mut [u8]) -> Result<usize, Error>;

    /// What is in the directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`].
    fn list(&mut self, path: &str) -> Result<Vec<Entry>, Error>;

    /// Writes at `offset`; how much. The file becomes longer as needed.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Full`], [`Error::Device`].
    fn write(&mut self, node: &mut Self::Node, offset: u64, from: &[u8]) -> Result<usize, Error> {
        let _ = (node, offset, from);
        Err(Error::ReadOnly)
    }

    /// Makes the file `size` bytes long.
    ///
    /// # Errors
    /// As [`FileSystem::write`].
    fn resize(&mut self, node: &mut Self::Node, size: u64) -> Result<(), Error> {
        let _ = (node, size);
        Err(Error::ReadOnly)
    }

    /// Makes a file or directory.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ReadOnly`], [`Error::Full`], [`Error::NotFound`].
    fn create(&mut self, path: &str, kind: Kind) -> Result<(), Error> {
        let _ = (path, kind);
        Err(Error::ReadOnly)
    }

    /// Removes a file, or a directory that is empty.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::NotEmpty`].
    fn remove(&mut self, path: &str) -> Result<(), Error> {
        let _ = path;
        Err(Error::ReadOnly)
    }

    /// The file is used no longer.
    fn close(&mut self, node: Self::Node) {
        drop(node);
    }

    /// Makes what was written lasting.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// A session's open files: their numbers are their places, from 1.
struct Open<N>(Vec<Option<N>>);

impl<N> Default for Open<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N> Open<N> {
    fn add(&mut self, node: N) -> u64 {
        let place = match self.0.iter().position(Option::is_none) {
            Some(place) => {
                self.0[place] = Some(node);
                place
            }
            None => {
                self.0.push(Some(node));
                self.0.len() - 1
            }
        };
        place as u64 + 1
    }

    /// Closes all of them.
    fn close<F: FileSystem<Node = N>>(self, files: &mut F) {
        for node in self.0.into_iter().flatten() {
            files.close(node);
        }
    }

    fn is_full(&self) -> bool {
        self.0.iter().flatten().count() >= MAX_OPEN
    }

    fn place(&mut self, number: u64) -> Result<&mut Option<N>, Error> {
        let place = usize::try_from(number.wrapping_sub(1)).map_err(|_| Error::BadRequest)?;
        self.0.get_mut(place).ok_or(Error::BadRequest)
    }

    fn get(&mut self, number: u64) -> Result<&mut N, Error> {
        self.place(number)?.as_mut().ok_or(Error::BadRequest)
    }
}

/// Serves the protocol.
///
/// # Errors
/// Why nothing can be received any more.
pub fn serve<F: FileSystem>(endpoint: &Endpoint, files: &mut F) -> Result<(), Error> {
    let mut sessions = Sessions::<Open<F::Node>>::new()?;
    let mut scratch = Vec::new();
    endpoint.serve(|incoming| match incoming {
        Incoming::Message(mut message, badge) => Answer::Reply(answer(match message.label() {
            CONNECT => sessions.open(endpoint, &mut message),
            DISCONNECT => sessions.close(badge).map(|open| {
                open.close(files);
                done()
            }),
            _ => sessions.with_badge(badge).and_then(|session| {
                let open = &mut session.state;
                handle(files, &session.buffer, open, &mut scratch, &message)
            }),
        })),
        Incoming::Bits(bits) => {
            for open in sessions.bury(bits & SESSION_BITS) {
                open.close(files);
            }
            Answer::Later
        }
        Incoming::Fault(..) => Answer::Reply(refused(Error::BadRequest)),
    })?;
    Ok(())
}

fn handle<F: FileSystem>(
    files: &mut F,
    buffer: &Mapping,
    open: &mut Open<F::Node>,
    scratch: &mut Vec<u8>,
    message: &Message,
) -> Result<Message, Error> {
    let [first, second, third] = [0, 1, 2].map(|index| message.word_at(index));
    match message.label() {
        OPEN => {
            let path = path_in(buffer, first)?;
            if open.is_full() {
                return Err(Error::Full);
            }
            let stat = files.stat(&path)?;
            if stat.kind == Kind::Directory {
                return Err(Error::IsDirectory);
            }
            let number = open.add(files.open(&path)?);
            Ok(done().word(number).word(stat.size))
        }
        CLOSE => {
            let node = open.place(first)?.take().ok_or(Error::BadRequest)?;
            files.close(node);
            Ok(done())
        }
        READ => {
            scratch.clear();
            scratch.resize(count_in(buffer, second, third)?, 0);
            let count = files.read(open.get(first)?, second, scratch)?;
            buffer.write(0, &scratch[..count.min(scratch.len())]);
            Ok(done().word(count as u64))
        }
        WRITE => {
            scratch.clear();
            scratch.resize(count_in(buffer, second, third)?, 0);
            buffer.read(0, scratch);
            let count = files.write(open.get(first)?, second, scratch)?;
            Ok(done().word(count as u64))
        }
        RESIZE => files.resize(open.get(first)?, second).map(|()| done()),
        STAT => {
            let stat = files.stat(&path_in(buffer, first)?)?;
            Ok(done().word(stat.kind as u64).word(stat.size))
        }
        LIST => {
            let entries = files.list(&path_in(buffer, first)?)?;
            let skip = usize::try_from(second).unwrap_or(usize::MAX);
            scratch.clear();
            let mut count = 0;
            for entry in entries.iter().skip(skip) {
                let before = scratch.len();
                entry.encode(scratch);
                if scratch.len() > buffer.bytes() {
                    scratch.truncate(before);
                    break;
                }
                count += 1;
            }
            buffer.write(0, scratch);
            Ok(done().word(count))
        }
        CREATE => {
            let kind = Kind::from_number(second).ok_or(Error::BadRequest)?;
            let path = path_in(buffer, first)?;
            if path.is_empty() {
                return Err(Error::Exists);
            }
            files.create(&path, kind).map(|()| done())
        }
        REMOVE => {
            let path = path_in(buffer, first)?;
            if path.is_empty() {
                return Err(Error::BadName);
            }
            files.remove(&path).map(|()| done())
        }
        FLUSH => files.flush().map(|()| done()),
        _ => Err(Error::BadRequest),
    }
}

/// The path in shared memory: copied first, so that it stays what was checked.
fn path_in(buffer: &Mapping, bytes: u64) -> Result<String, Error> {
    let mut copy = [0; MAX_PATH_BYTES];
    let place = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| copy.get_mut(..bytes))
        .ok_or(Error::BadName)?;
    if buffer.read(0, place) < place.len() {
        return Err(Error::BadName);
    }
    normalize(core::str::from_utf8(place).map_err(|_| Error::BadName)?)
}

/// A count of bytes that shared memory has room for, and an offset with them that exists.
fn count_in(buffer: &Mapping, offset: u64, bytes: u64) -> Result<usize, Error> {
    if bytes > buffer.bytes() as u64 || offset.checked_add(bytes).is_none() {
        return Err(Error::OutOfRange);
    }
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_files() {
        let mut open = Open::default();
        assert_eq!((open.add('a'), open.add('b')), (1, 2));
        assert_eq!(open.place(1).map(Option::take), Ok(Some('a')));
        assert_eq!(open.get(1), Err(Error::BadRequest));
        assert_eq!(open.add('c'), 1);
        assert_eq!(open.get(1), Ok(&mut 'c'));
        for number in [0, 3, u64::MAX] {
            assert_eq!(open.get(number), Err(Error::BadRequest));
        }
        for _ in 0..MAX_OPEN - 2 {
            assert!(!open.is_full());
            open.add('x');
        }
        assert!(open.is_full());
    }
}

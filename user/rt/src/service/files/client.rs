//! The client's side.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{
    CLOSE, CONNECT, CREATE, Entry, FLUSH, Kind, LIST, OPEN, READ, REMOVE, RESIZE, STAT, Stat, WRITE,
};
use crate::message::Message;
use crate::service::session::Connection;
use crate::service::{Error, find};
use crate::sync::Mutex;

/// How much a client shares.
const BUFFER_BYTES: usize = 64 << 10;

/// A way to a file system. Clones share one session.
#[derive(Clone, Debug)]
pub struct Files(Arc<Mutex<Connection>>);

/// A file that is open until this is dropped.
#[derive(Debug)]
pub struct File {
    files: Files,
    number: u64,
    size: u64,
}

impl Files {
    /// Connects to the service of that name.
    ///
    /// # Errors
    /// [`find`], [`Connection::open`].
    pub fn connect(name: &str) -> Result<Self, Error> {
        let connection = Connection::open(&find(name)?, CONNECT, BUFFER_BYTES)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::BadName`]; [`Error::Full`] if too many are
    /// open.
    pub fn open(&self, path: &str) -> Result<File, Error> {
        let reply = self.about(OPEN, path, 0)?;
        Ok(File {
            files: self.clone(),
            number: reply.word_at(0),
            size: reply.word_at(1),
        })
    }

    /// All of a file.
    ///
    /// # Errors
    /// As [`Files::open`]; [`Error::Full`] if it is larger than `most_bytes`.
    pub fn read_all(&self, path: &str, most_bytes: usize) -> Result<Vec<u8>, Error> {
        let file = self.open(path)?;
        let size = usize::try_from(file.size()).map_err(|_| Error::Full)?;
        if size > most_bytes {
            return Err(Error::Full);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| Error::Full)?;
        bytes.resize(size, 0);
        let count = file.read_at(0, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// What a path names.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadName`].
    pub fn stat(&self, path: &str) -> Result<Stat, Error> {
        let reply = self.about(STAT, path, 0)?;
        Ok(Stat {
            kind: Kind::from_number(reply.word_at(0)).ok_or(Error::BadReply)?,
            size: reply.word_at(1),
        })
    }

    /// What is in a directory.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::BadName`].
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let mut all = Vec::new();
        loop {
            let connection = self.0.lock();
            let reply = about(&connection, LIST, path, all.len() as u64)?;
            let count = reply.word_at(0);
            if count == 0 {
                return Ok(all);
            }
            let mut bytes = alloc::vec![0; connection.buffer().bytes()];
            connection.buffer().read(0, &mut bytes);
            let mut rest = &bytes[..];
            for _ in 0..count {
                let (entry, after) = Entry::decode(rest).ok_or(Error::BadReply)?;
                all.push(entry);
                rest = after;
            }
        }
    }

    /// Makes a file or directory.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ReadOnly`], [`Error::Full`], [`Error::BadName`], [`Error::NotFound`]
    /// if there is no directory for it.
    pub fn create(&self, path: &str, kind: Kind) -> Result<(), Error> {
        self.about(CREATE, path, kind as u64).map(drop)
    }

    /// Removes a file, or a directory that is empty.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ReadOnly`], [`Error::NotEmpty`].
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        self.about(REMOVE, path, 0).map(drop)
    }

    /// Makes what was written lasting.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn flush(&self) -> Result<(), Error> {
        self.0.lock().request(Message::new(FLUSH)).map(drop)
    }

    fn about(&self, label: u32, path: &str, word: u64) -> Result<Message, Error> {
        about(&self.0.lock(), label, path, word)
    }
}

fn about(connection: &Connection, label: u32, path: &str, word: u64) -> Result<Message, Error> {
    if connection.buffer().write(0, path.as_bytes()) < path.len() {
        return Err(Error::BadName);
    }
    let message = Message::new(label).word(path.len() as u64).word(word);
    connection.request(message)
}

impl File {
    /// Its bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `offset` on; how much: less than `to` has room for only at the file's end.
    ///
    /// # Errors
    /// [`Error::Device`], [`Error::Corrupt`].
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let connection = self.files.0.lock();
        let mut done = 0;
        while done < to.len() {
            let want = (to.len() - done).min(connection.buffer().bytes());
            let reply = connection.request(self.transfer(READ, offset, done, want))?;
            let got = (reply.word_at(0) as usize).min(want);
            connection.buffer().read(0, &mut to[done..done + got]);
            done += got;
            if got < want {
                break;
            }
        }
        Ok(done)
    }

    /// Writes at `offset`; how much: less only if there is no more room.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Full`], [`Error::Device`].
    pub fn write_at(&self, offset: u64, from: &[u8]) -> Result<usize, Error> {
        let connection = self.files.0.lock();
        let mut done = 0;
        while done < from.len() {
            let want = (from.len() - done).min(connection.buffer().bytes());
            connection.buffer().write(0, &from[done..done + want]);
            let reply = connection.request(self.transfer(WRITE, offset, done, want))?;
            let put = (reply.word_at(0) as usize).min(want);
            done += put;
            if put == 0 {
                break;
            }
        }
        Ok(done)
    }

    /// Makes it `size` bytes long; what is added is zeroes.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Full`].
    pub fn resize(&mut self, size: u64) -> Result<(), Error> {
        let message = Message::new(RESIZE).word(self.number).word(size);
        self.files.0.lock().request(message)?;
        self.size = size;
        Ok(())
    }

    fn transfer(&self, label: u32, offset: u64, done: usize, bytes: usize) -> Message {
        Message::new(label)
            .word(self.number)
            .word(offset.saturating_add(done as u64))
            .word(bytes as u64)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let message = Message::new(CLOSE).word(self.number);
        let _ = self.files.0.lock().request(message);
    }
}

//! Block devices: sectors by number.
//!
//! | operation | words | reply |
//! |---|---|---|
//! | [`CONNECT`] | handles: memory to share, own process | handle: the session's endpoint |
//! | [`DISCONNECT`] | | |
//! | [`GEOMETRY`] | | bytes in a sector, sectors, 1 if read-only |
//! | [`READ`] | first sector, how many | they are in the shared memory |
//! | [`WRITE`] | first sector, how many | they were in the shared memory |
//! | [`FLUSH`] | | what was written stays |

use alloc::vec::Vec;

use super::session::{Connection, SESSION_BITS, Sessions, disconnect};
use super::{Error, answer, done, find, operation};
use crate::message::{Incoming, Message};
use crate::object::{Answer, Endpoint};

const PROTOCOL: u16 = 0x4201;
/// Opens a session.
pub const CONNECT: u32 = operation(PROTOCOL, 1, 1);
/// Closes it.
pub const DISCONNECT: u32 = disconnect(CONNECT);
/// How large the device is.
pub const GEOMETRY: u32 = operation(PROTOCOL, 1, 2);
/// Reads sectors.
pub const READ: u32 = operation(PROTOCOL, 1, 3);
/// Writes sectors.
pub const WRITE: u32 = operation(PROTOCOL, 1, 4);
/// Makes what was written lasting.
pub const FLUSH: u32 = operation(PROTOCOL, 1, 5);

/// How much a client shares.
const BUFFER_BYTES: usize = 64 << 10;

/// How large a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a sector: a power of two, at least 512.
    pub sector_bytes: usize,
    /// How many there are.
    pub sectors: u64,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// A client's way to a device.
#[derive(Debug)]
pub struct Block {
    connection: Connection,
    geometry: Geometry,
}

impl Block {
    /// Connects to the service of that name.
    ///
    /// # Errors
    /// [`find`], [`Connection::open`].
    pub fn connect(name: &str) -> Result<Self, Error> {
        let connection = Connection::open(&find(name)?, CONNECT, BUFFER_BYTES)?;
        let reply = connection.request(Message::new(GEOMETRY))?;
        let sector_bytes = reply.word_at(0) as usize;
        if !sector_bytes.is_power_of_two() || !(512..=BUFFER_BYTES).contains(&sector_bytes) {
            return Err(Error::BadReply);
        }
        let geometry = Geometry {
            sector_bytes,
            sectors: reply.word_at(1),
            read_only: reply.word_at(2) != 0,
        };
        Ok(Self {
            connection,
            geometry,
        })
    }

    /// How large it is.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Reads whole sectors from `first` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] beyond the end or if `to` is no whole sectors; [`Error::Device`].
    pub fn read(&mut self, first: u64, to: &mut [u8]) -> Result<(), Error> {
        self.check(to.len())?;
        let mut sector = first;
        for chunk in to.chunks_mut(BUFFER_BYTES) {
            let count = (chunk.len() / self.geometry.sector_bytes) as u64;
            self.connection
                .request(Message::new(READ).word(sector).word(count))?;
            self.connection.buffer().read(0, chunk);
            sector = sector.saturating_add(count);
        }
        Ok(())
    }

    /// Writes whole sectors from `first` on.
    ///
    /// # Errors
    /// As [`Block::read`]; [`Error::ReadOnly`].
    pub fn write(&mut self, first: u64, from: &[u8]) -> Result<(), Error> {
        self.check(from.len())?;
        let mut sector = first;
        for chunk in from.chunks(BUFFER_BYTES) {
            let count = (chunk.len() / self.geometry.sector_bytes) as u64;
            self.connection.buffer().write(0, chunk);
            self.connection
                .request(Message::new(WRITE).word(sector).word(count))?;
            sector = sector.saturating_add(count);
        }
        Ok(())
    }

    /// Makes what was written lasting.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.connection.request(Message::new(FLUSH)).map(drop)
    }

    fn check(&self, bytes: usize) -> Result<(), Error> {
        if bytes.is_multiple_of(self.geometry.sector_bytes) {
            Ok(())
        } else {
            Err(Error::OutOfRange)
        }
    }
}

/// What a driver does. Ranges are checked before it is asked.
pub trait BlockDevice {
    /// How large it is.
    fn geometry(&self) -> Geometry;

    /// Fills `to`, whole sectors, from `first` on.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn read(&mut self, first: u64, to: &mut [u8]) -> Result<(), Error>;

    /// Writes `from`, whole sectors, from `first` on. Not asked of a device that is read-only.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn write(&mut self, first: u64, from: &[u8]) -> Result<(), Error>;

    /// Makes what was written lasting.
    ///
    /// # Errors
    /// [`Error::Device`].
    fn flush(&mut self) -> Result<(), Error>;
}

/// Serves the protocol. A driver waits for its interrupts with a notification of its own.
///
/// # Errors
/// Why nothing can be received any more.
pub fn serve(endpoint: &Endpoint, device: &mut impl BlockDevice) -> Result<(), Error> {
    let mut sessions = Sessions::<()>::new()?;
    let mut scratch = Vec::new();
    endpoint.serve(|incoming| match incoming {
        Incoming::Message(message, badge) => Answer::Reply(answer(handle(
            endpoint,
            device,
            &mut sessions,
            &mut scratch,
            message,
            badge,
        ))),
        Incoming::Bits(bits) => {
            sessions.bury(bits & SESSION_BITS);
            Answer::Later
        }
        Incoming::Fault(..) => Answer::Reply(super::refused(Error::BadRequest)),
    })?;
    Ok(())
}

fn handle(
    endpoint: &Endpoint,
    device: &mut impl BlockDevice,
    sessions: &mut Sessions<()>,
    scratch: &mut Vec<u8>,
    mut message: Message,
    badge: u64,
) -> Result<Message, Error> {
    if message.label() == CONNECT {
        return sessions.open(endpoint, &mut message);
    }
    if message.label() == DISCONNECT {
        return sessions.close(badge).map(|()| done());
    }
    let session = sessions.with_badge(badge)?;
    let geometry = device.geometry();
    let (first, count) = (message.word_at(0), message.word_at(1));
    match message.label() {
        GEOMETRY => Ok(done()
            .word(geometry.sector_bytes as u64)
            .word(geometry.sectors)
            .word(u64::from(geometry.read_only))),
        READ => {
            let bytes = bytes_of(geometry, first, count, session.buffer.bytes())?;
            scratch.resize(bytes, 0);
            device.read(first, scratch)?;
            session.buffer.write(0, scratch);
            Ok(done())
        }
        WRITE if geometry.read_only => Err(Error::ReadOnly),
        WRITE => {
            let bytes = bytes_of(geometry, first, count, session.buffer.bytes())?;
            scratch.resize(bytes, 0);
            session.buffer.read(0, scratch);
            device.write(first, scratch)?;
            Ok(done())
        }
        FLUSH => device.flush().map(|()| done()),
        _ => Err(Error::BadRequest),
    }
}

/// How many bytes `count` sectors from `first` on are, if the device has them and the buffer room.
fn bytes_of(geometry: Geometry, first: u64, count: u64, room: usize) -> Result<usize, Error> {
    let end = first.checked_add(count).ok_or(Error::OutOfRange)?;
    let bytes = count
        .checked_mul(geometry.sector_bytes as u64)
        .ok_or(Error::OutOfRange)?;
    if end > geometry.sectors || bytes > room as u64 {
        return Err(Error::OutOfRange);
    }
    Ok(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let geometry = Geometry {
            sector_bytes: 512,
            sectors: 100,
            read_only: false,
        };
        assert_eq!(bytes_of(geometry, 98, 2, 4096), Ok(1024));
        assert_eq!(bytes_of(geometry, 100, 0, 4096), Ok(0));
        for (first, count) in [
            (98, 3),
            (0, 9),
            (101, 0),
            (u64::MAX, 1),
            (1, u64::MAX),
            (0, u64::MAX / 512 + 1),
        ] {
            let refused = bytes_of(geometry, first, count, 4096);
            assert_eq!(refused, Err(Error::OutOfRange), "{first} {count}");
        }
    }
}

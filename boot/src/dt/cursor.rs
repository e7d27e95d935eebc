//! Reads the structure block token by token.
//!
//! One reader for both users: the validator, which meets a blob for the first time, and the walk,
//! which meets it again. It checks each token against the two blocks as it goes, so it cannot be
//! led outside them by any input; what depends on more than one token (nesting, one root, the end)
//! is the validator's.

use super::blob::be32;
use super::blob_error::{BlobError, StructureFault};
use super::value::Property;

/// Nodes may nest this deep, the root counted. Real trees stay below ten.
pub const MAX_DEPTH: usize = 16;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// One step through the structure block. `FDT_NOP` is skipped and never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A node begins; its properties follow, then its children.
    Begin {
        /// Node name with its unit address, `pl011@9000000`; empty for the root.
        name: &'a str,
        /// Offset of the node's token: the node's identity within this blob.
        at: u32,
    },
    /// A property of the node begun last.
    Property(Property<'a>),
    /// The innermost open node ends.
    End,
    /// The tree ends.
    Finish,
}

/// A place in the structure block.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at offset `start` of the blob `bytes`, whose structure block ends before offset
    /// `end` and whose strings block is `strings`. The caller has checked the bounds.
    pub(super) fn new(bytes: &'a [u8], start: u32, end: u32, strings: &'a [u8]) -> Self {
        Self {
            bytes,
            strings,
            at: start as usize,
            end: end as usize,
        }
    }

    /// Offset of the next token to be read.
    pub fn offset(&self) -> u32 {
        self.at as u32
    }

    /// Offset of the end of the structure block.
    pub(super) fn end_offset(&self) -> u32 {
        self.end as u32
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// [`BlobError::Structure`] when there is no whole, well-formed token at this place. On a
    /// [`super::ValidBlob`] that does not happen before [`Event::Finish`] was returned.
    pub fn step(&mut self) -> Result<Event<'a>, BlobError> {
        loop {
            let at = self.at;
            match self.word()? {
                NOP => {}
                BEGIN_NODE => return self.begin(at),
                END_NODE => return Ok(Event::End),
                PROP => return self.property(at),
                END => return Ok(Event::Finish),
                found => return Err(fault(at, StructureFault::UnknownToken { found })),
            }
        }
    }

    fn begin(&mut self, at: usize) -> Result<Event<'a>, BlobError> {
        // A slash in a name would make a path say two things.
        let name = text(&self.bytes[..self.end], self.at)
            .filter(|name| !name.contains('/'))
            .ok_or(fault(at, StructureFault::NodeName))?;
        self.advance(name.len() + 1)?;
        Ok(Event::Begin {
            name,
            at: at as u32,
        })
    }

    fn property(&mut self, at: usize) -> Result<Event<'a>, BlobError> {
        let len = self.word()? as usize;
        let name_offset = self.word()? as usize;
        let name_on = self
            .strings
            .get(name_offset..)
            .filter(|name_on| name_on.first().is_some_and(|&byte| byte != 0))
            .ok_or(fault(at, StructureFault::PropertyName))?;
        let start = self.at;
        self.advance(len)
            .map_err(|_| fault(at, StructureFault::PropertyCut { len: len as u32 }))?;
        Ok(Event::Property(Property {
            name_on,
            value: &self.bytes[start..start + len],
            offset: start as u32,
        }))
    }

    /// The next big-endian word.
    fn word(&mut self) -> Result<u32, BlobError> {
        let word =
            be32(&self.bytes[..self.end], self.at).ok_or(fault(self.at, StructureFault::Cut))?;
        self.at += 4;
        Ok(word)
    }

    /// Moves over `len` bytes and the padding up to the next token.
    fn advance(&mut self, len: usize) -> Result<(), BlobError> {
        let next = len
            .checked_next_multiple_of(4)
            .and_then(|padded| self.at.checked_add(padded))
            .filter(|&next| next <= self.end)
            .ok_or(fault(self.at, StructureFault::Cut))?;
        self.at = next;
        Ok(())
    }
}

/// The NUL-terminated printable ASCII text at `start`, without its NUL.
///
/// The specification allows even fewer characters in node names (2.2.1); refusing what cannot be
/// printed is enough for a name to be safe in a message.
fn text(bytes: &[u8], start: usize) -> Option<&str> {
    let rest = bytes.get(start..)?;
    let len = rest.iter().position(|&byte| byte == 0)?;
    let name = &rest[..len];
    if !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    core::str::from_utf8(name).ok()
}

fn fault(offset: usize, fault: StructureFault) -> BlobError {
    BlobError::Structure {
        offset: offset as u32,
        fault,
    }
}

//! The first program: a header, and the pages of its segments.
//!
//! A kernel that starts one program, once, needs to know where that program's pages go and where it
//! begins, and nothing else. So this format says just that: one page of header, then the bytes of up
//! to three segments, each begun on a page. Which rights a segment has is given by which of the three
//! it is, so nothing here can be both written and executed.
//!
//! ```text
//! page 0         the header, then zeros
//! page 1 ...     text    (read, execute)
//! then           rodata  (read)
//! then           data    (read, write); what the file has no bytes for is zero
//! ```
//!
//! The host makes it of the program's ELF (`harness/src/flat.rs`).

use core::fmt;

/// Bytes in a page; the header takes one.
pub const PAGE: usize = 4096;
/// What the header begins with.
pub const MAGIC: [u8; 8] = *b"petrelfp";
/// The only version there is.
pub const VERSION: u32 = 1;
/// How many segments a program can have.
pub const SEGMENTS: usize = 3;
/// Where in the header a segment stands, as three numbers: address, bytes of memory, bytes in the file.
const fn record(segment: usize) -> usize {
    24 + 24 * segment
}

/// What may be done with a segment's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Text.
    ReadExecute,
    /// Constants.
    Read,
    /// Data.
    ReadWrite,
}

impl Access {
    /// In the order of the segments.
    pub const ALL: [Self; SEGMENTS] = [Self::ReadExecute, Self::Read, Self::ReadWrite];

    /// The segment's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadExecute => "text",
            Self::Read => "rodata",
            Self::ReadWrite => "data",
        }
    }
}

/// A stretch of the program's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it begins: a whole page.
    pub address: u64,
    /// How much memory it is, in bytes: whole pages, at least one.
    pub memory_bytes: u64,
    /// What it begins with, at most `memory_bytes`; the rest is zero.
    pub bytes: &'a [u8],
    /// What may be done with it.
    pub access: Access,
}

impl Segment<'_> {
    /// The first address behind it.
    pub const fn end(&self) -> u64 {
        self.address + self.memory_bytes
    }
}

/// The first program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// The address of its first instruction, which lies in text.
    pub entry: u64,
    /// What it has of text, rodata and data, in this order.
    pub segments: [Option<Segment<'a>>; SEGMENTS],
}

impl<'a> Program<'a> {
    /// The segments that it has. Of a program that was read: they do not overlap, and text is there.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a, '_> {
        self.segments.iter().flatten().copied()
    }

    /// Reads a program. It holds `bytes` and nothing else.
    ///
    /// # Errors
    /// When it is none, or what its header says cannot be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = bytes.get(..PAGE).ok_or(Error::NoHeader)?;
        if !header.starts_with(&MAGIC) {
            return Err(Error::NotAProgram);
        }
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let mut program = Self {
            entry: u64_at(header, 16),
            segments: [None; SEGMENTS],
        };
        let mut at = PAGE;
        for (index, access) in Access::ALL.into_iter().enumerate() {
            let record = record(index);
            let address = u64_at(header, record);
            let memory_bytes = u64_at(header, record + 8);
            let file_bytes = u64_at(header, record + 16);
            if memory_bytes == 0 && file_bytes == 0 {
                continue;
            }
            let impossible = Error::Impossible(access);
            let whole_pages =
                address.is_multiple_of(PAGE as u64) && memory_bytes.is_multiple_of(PAGE as u64);
            if !whole_pages || file_bytes > memory_bytes {
                return Err(impossible);
            }
            let end = address.checked_add(memory_bytes).ok_or(impossible)?;
            let overlaps = |other: Segment<'_>| other.address < end && address < other.end();
            if program.segments().any(overlaps) {
                return Err(Error::Overlap(access));
            }
            let content = usize::try_from(file_bytes)
                .ok()
                .and_then(|file_bytes| bytes.get(at..)?.get(..file_bytes))
                .ok_or(Error::Short(access))?;
            at = (at + content.len())
                .checked_next_multiple_of(PAGE)
                .ok_or(impossible)?;
            program.segments[index] = Some(Segment {
                address,
                memory_bytes,
                bytes: content,
                access,
            });
        }
        if at != bytes.len() {
            return Err(Error::Length {
                expected: at,
                found: bytes.len(),
            });
        }
        let holds_entry = |text: &Segment<'_>| (text.address..text.end()).contains(&program.entry);
        let in_text = program.segments[0].as_ref().is_some_and(holds_entry);
        if !in_text || !program.entry.is_multiple_of(4) {
            return Err(Error::Entry(program.entry));
        }
        Ok(program)
    }

    /// The header, as it stands in the file's first page. Behind that page follow the segments'
    /// bytes, each filled up to a page with zeros.
    pub fn header(&self) -> [u8; PAGE] {
        let mut header = [0; PAGE];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.entry.to_le_bytes());
        for (index, segment) in self.segments.iter().enumerate() {
            let Some(segment) = segment else { continue };
            let record = record(index);
            put(record, &segment.address.to_le_bytes());
            put(record + 8, &segment.memory_bytes.to_le_bytes());
            put(record + 16, &(segment.bytes.len() as u64).to_le_bytes());
        }
        header
    }
}

fn u32_at(header: &[u8], at: usize) -> u32 {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(header: &[u8], at: usize) -> u64 {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Why some bytes are no first program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// They are shorter than the header's page.
    NoHeader,
    /// They begin otherwise.
    NotAProgram,
    /// They are of a version that is not known here.
    Version(u32),
    /// A segment is not of whole pages, ends beyond the last address, or has more in the file than in
    /// memory.
    Impossible(Access),
    /// A segment wants memory that one before it has.
    Overlap(Access),
    /// A segment goes on beyond the file's end.
    Short(Access),
    /// The file ends elsewhere than behind its last segment.
    Length {
        /// Where it should end.
        expected: usize,
        /// Where it does.
        found: usize,
    },
    /// The first instruction is not in text, or between two.
    Entry(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("it is shorter than the header of a first program"),
            Self::NotAProgram => f.write_str("it does not begin as a first program (petrelfp)"),
            Self::Version(version) => write!(f, "its version is {version}, not {VERSION}"),
            Self::Impossible(access) => write!(
                f,
                "its {} is not of whole pages, or larger in the file than in memory",
                access.name()
            ),
            Self::Overlap(access) => {
                write!(f, "its {} wants memory that is taken", access.name())
            }
            Self::Short(access) => write!(f, "its {} is cut off", access.name()),
            Self::Length { expected, found } => {
                write!(
                    f,
                    "it has {found} bytes, but its header speaks of {expected}"
                )
            }
            Self::Entry(entry) => write!(f, "its entry {entry:#x} is no instruction of its text"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;

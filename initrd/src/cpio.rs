//! Archives: the `newc` format of cpio.
//!
//! An archive is a row of entries, each a header of 110 ASCII characters, a name, and the file's
//! bytes; name and bytes end at a multiple of four. Its end is the entry named `TRAILER!!!`. Source:
//! cpio(5) "New ASCII Format"; Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`.
//!
//! Two things are narrower here than in the wild. Names are [plain](is_plain): relative, no `..`, so
//! that what unpacks or serves an archive need not think about escapes. And behind the name's zero
//! byte there may be more of them: with these the writer moves the bytes of a file to the start of a
//! page, where they can be mapped as they are. (Linux's `gen_init_cpio` does the same.)

use core::fmt;

/// Bytes of a header: the magic, and thirteen numbers of eight hexadecimal digits.
pub const HEADER_BYTES: usize = 6 + 13 * 8;
/// What a header begins with.
pub const MAGIC: &[u8; 6] = b"070701";
/// The name of the entry that ends an archive.
pub const TRAILER: &str = "TRAILER!!!";
/// The longest name.
pub const MAX_NAME_BYTES: usize = 255;
/// Names and files end at a multiple of this, counted from the archive's start.
pub const ALIGN: usize = 4;

/// An archive, not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
}

impl<'a> Archive<'a> {
    /// What `bytes` hold. Bytes behind the trailer do not matter.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The entries, in their order. After an error there are no more.
    pub const fn entries(&self) -> Entries<'a> {
        Entries {
            bytes: self.bytes,
            at: 0,
            over: false,
        }
    }

    /// The first file of that name.
    ///
    /// # Errors
    /// When the archive is damaged before the file is found.
    pub fn find(&self, name: &str) -> Result<Option<Entry<'a>>, Error> {
        for entry in self.entries() {
            let entry = entry?;
            if entry.name == name && entry.kind() == Kind::File {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name, relative and [plain](is_plain): `bin/shell`.
    pub name: &'a str,
    /// Its `st_mode`: what it is and who may do what with it, as POSIX has it.
    pub mode: u32,
    /// What is in it.
    pub bytes: &'a [u8],
    /// Where its bytes begin, counted from the archive's start.
    pub offset: usize,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Something else: a link, a device.
    Other,
}

/// The part of a mode that says what an entry is (POSIX `S_IFMT`).
pub const MODE_KIND: u32 = 0o170_000;
/// A regular file (POSIX `S_IFREG`).
pub const MODE_FILE: u32 = 0o100_000;
/// A folder (POSIX `S_IFDIR`).
pub const MODE_FOLDER: u32 = 0o040_000;

impl Entry<'_> {
    /// What it is.
    pub const fn kind(&self) -> Kind {
        match self.mode & MODE_KIND {
            MODE_FILE => Kind::File,
            MODE_FOLDER => Kind::Folder,
            _ => Kind::Other,
        }
    }
}

/// Whether `name` is one that an archive may hold: words with `/` between them, none of them empty,
/// `.` or `..`, nothing in them that a terminal would obey, at most [`MAX_NAME_BYTES`].
pub fn is_plain(name: &str) -> bool {
    let word = |word: &str| !matches!(word, "" | "." | "..");
    name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control) && name.split('/').all(word)
}

/// The entries of an archive.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    over: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.read() {
                // The root itself, which `find . | cpio -o` puts first, is no news.
                Ok(Some(entry)) if entry.name == "." => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => self.over = true,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl core::iter::FusedIterator for Entries<'_> {}

/// Where in a header a number stands: the how manieth it is.
#[derive(Clone, Copy)]
enum Field {
    Mode = 1,
    FileBytes = 6,
    NameBytes = 11,
}

impl<'a> Entries<'a> {
    /// The next entry, which may be the root, `.`; `None` at the trailer. Moves on by a header at least.
    fn read(&mut self) -> Result<Option<Entry<'a>>, Error> {
        let start = self.at;
        let damaged = |what| Error { at: start, what };
        let header = self
            .piece(start, HEADER_BYTES)
            .ok_or(damaged(Damage::NoTrailer))?;
        if !header.starts_with(MAGIC) {
            return Err(damaged(Damage::NotAHeader));
        }
        let field = |field| number(header, field).ok_or(damaged(Damage::NotANumber));
        let mode = field(Field::Mode)?;
        let file_bytes = field(Field::FileBytes)? as usize;
        let name_bytes = field(Field::NameBytes)? as usize;

        let name = self
            .piece(start + HEADER_BYTES, name_bytes)
            .ok_or(damaged(Damage::NameBeyondTheEnd))?;
        let end = name.iter().position(|byte| *byte == 0);
        let (name, zeros) = name.split_at(end.ok_or(damaged(Damage::EndlessName))?);
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(damaged(Damage::EndlessName));
        }
        let name = core::str::from_utf8(name).map_err(|_| damaged(Damage::UnwantedName))?;

        let offset = aligned(start + HEADER_BYTES + name_bytes);
        let bytes = offset.and_then(|offset| self.piece(offset, file_bytes));
        let (Some(offset), Some(bytes)) = (offset, bytes) else {
            return Err(damaged(Damage::FileBeyondTheEnd));
        };
        if name == TRAILER {
            return Ok(None);
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        if name != "." && !is_plain(name) {
            return Err(damaged(Damage::UnwantedName));
        }
        // Behind the last file nothing may follow, not even the bytes up to a multiple of four.
        let end = self.bytes.len();
        self.at = aligned(offset + file_bytes).map_or(end, |next| next.min(end));
        Ok(Some(Entry {
            name,
            mode,
            bytes,
            offset,
        }))
    }

    /// So many bytes from there, if they are there.
    fn piece(&self, from: usize, bytes: usize) -> Option<&'a [u8]> {
        self.bytes.get(from..)?.get(..bytes)
    }
}

/// The next multiple of [`ALIGN`].
fn aligned(at: usize) -> Option<usize> {
    at.checked_next_multiple_of(ALIGN)
}

/// The number in a header that is known to be whole.
fn number(header: &[u8], field: Field) -> Option<u32> {
    let at = MAGIC.len() + 8 * field as usize;
    header.get(at..at + 8)?.iter().try_fold(0, |number, digit| {
        Some(number << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// What is wrong with an archive, and in which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where the entry begins, counted from the archive's start.
    pub at: usize,
    /// What is wrong with it.
    pub what: Damage,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The archive ends here, without its trailer.
    NoTrailer,
    /// No header is here.
    NotAHeader,
    /// A number of its header is none.
    NotANumber,
    /// Its name is longer than the archive.
    NameBeyondTheEnd,
    /// Its name does not end with a zero byte, or there is something behind it.
    EndlessName,
    /// Its name is not [plain](is_plain), or no UTF-8.
    UnwantedName,
    /// Its file is longer than the archive.
    FileBeyondTheEnd,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Damage::NoTrailer => "it ends without its trailer",
            Damage::NotAHeader => "no cpio header (070701) is here",
            Damage::NotANumber => "a number in the header is not hexadecimal",
            Damage::NameBeyondTheEnd => "the name goes on beyond the archive's end",
            Damage::EndlessName => "the name does not end where its header says",
            Damage::UnwantedName => "the name is not a plain relative path",
            Damage::FileBeyondTheEnd => "the file goes on beyond the archive's end",
        };
        write!(f, "cpio archive, entry at byte {:#x}: {what}", self.at)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;

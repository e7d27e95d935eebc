//! Files: by path, read and written at offsets.
//!
//! | operation | words | shared memory | reply |
//! |---|---|---|---|
//! | [`CONNECT`] | handles: memory to share, own process | | handle: the session's endpoint |
//! | [`DISCONNECT`] | | | |
//! | [`OPEN`] | bytes of path | path | file, size |
//! | [`CLOSE`] | file | | |
//! | [`READ`] | file, offset, bytes | gets the bytes | how many: fewer at the end |
//! | [`WRITE`] | file, offset, bytes | bytes | how many |
//! | [`RESIZE`] | file, size | | |
//! | [`STAT`] | bytes of path | path | kind, size |
//! | [`LIST`] | bytes of path, first entry | path; gets entries | how many |
//! | [`CREATE`] | bytes of path, kind | path | |
//! | [`REMOVE`] | bytes of path | path | |
//! | [`FLUSH`] | | | what was written stays |
//!
//! Paths are UTF-8, of names with `/` between them, from the file system's root; `.` and `..` are no
//! names. Who writes a file system writes [`FileSystem`]; [`serve`] has checked every path, range and
//! number before it is asked.

mod client;
mod server;

pub use client::{File, Files};
pub use server::{FileSystem, serve};

use alloc::string::String;
use alloc::vec::Vec;

use super::session::disconnect;
use super::{Error, operation};

const PROTOCOL: u16 = 0x4601;
/// Opens a session.
pub const CONNECT: u32 = operation(PROTOCOL, 1, 1);
/// Closes it.
pub const DISCONNECT: u32 = disconnect(CONNECT);
/// Opens a file.
pub const OPEN: u32 = operation(PROTOCOL, 1, 2);
/// Closes one.
pub const CLOSE: u32 = operation(PROTOCOL, 1, 3);
/// Reads from one.
pub const READ: u32 = operation(PROTOCOL, 1, 4);
/// Writes to one.
pub const WRITE: u32 = operation(PROTOCOL, 1, 5);
/// Makes one shorter or longer.
pub const RESIZE: u32 = operation(PROTOCOL, 1, 6);
/// What a path names.
pub const STAT: u32 = operation(PROTOCOL, 1, 7);
/// What is in a directory.
pub const LIST: u32 = operation(PROTOCOL, 1, 8);
/// Makes a file or directory.
pub const CREATE: u32 = operation(PROTOCOL, 1, 9);
/// Removes a file, or a directory that is empty.
pub const REMOVE: u32 = operation(PROTOCOL, 1, 10);
/// Makes what was written lasting.
pub const FLUSH: u32 = operation(PROTOCOL, 1, 11);

/// The name under which the image's files are found.
pub const NAME: &str = "files";
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// The longest name in one, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// How many files a session has open at most.
pub const MAX_OPEN: usize = 32;

/// What a path can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Bytes.
    File = 1,
    /// Names.
    Directory = 2,
}

impl Kind {
    /// The kind with that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::File),
            2 => Some(Self::Directory),
            _ => None,
        }
    }
}

/// What is known of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which of them.
    pub kind: Kind,
    /// Its bytes; of a directory 0.
    pub size: u64,
}

/// What a directory contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name there.
    pub name: String,
    /// What it is.
    pub stat: Stat,
}

/// Bytes of an entry before its name.
const ENTRY_HEADER_BYTES: usize = 10;

impl Entry {
    /// Appends it as it lies in shared memory: kind, length of the name, size, name.
    fn encode(&self, to: &mut Vec<u8>) {
        let mut end = self.name.len().min(MAX_NAME_BYTES);
        while !self.name.is_char_boundary(end) {
            end -= 1;
        }
        to.push(self.stat.kind as u8);
        to.push(end as u8);
        to.extend_from_slice(&self.stat.size.to_le_bytes());
        to.extend_from_slice(&self.name.as_bytes()[..end]);
    }

    /// The first entry in `bytes`, and what follows it.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_at_checked(ENTRY_HEADER_BYTES)?;
        let kind = Kind::from_number(u64::from(header[0]))?;
        let size = u64::from_le_bytes(header[2..].try_into().ok()?);
        let (name, rest) = rest.split_at_checked(usize::from(header[1]))?;
        let name = String::from(core::str::from_utf8(name).ok()?);
        let stat = Stat { kind, size };
        Some((Self { name, stat }, rest))
    }
}

/// A path as file systems get it: no slash at either end and one between names; the root is empty.
///
/// # Errors
/// [`Error::BadName`] if it is too long, or has a name that there cannot be.
pub fn normalize(path: &str) -> Result<String, Error> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::BadName);
    }
    let mut normal = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let bad = name == "." || name == ".." || name.len() > MAX_NAME_BYTES;
        if bad || name.chars().any(char::is_control) {
            return Err(Error::BadName);
        }
        if !normal.is_empty() {
            normal.push('/');
        }
        normal.push_str(name);
    }
    Ok(normal)
}

/// The directory of a normal path, and the name in it; `None` for the root.
pub fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/') {
        Some(both) => Some(both),
        None if path.is_empty() => None,
        None => Some(("", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        assert_eq!(normalize("/bin//console/").as_deref(), Ok("bin/console"));
        assert_eq!(normalize("").as_deref(), Ok(""));
        assert_eq!(normalize("///").as_deref(), Ok(""));
        for bad in ["..", "/a/../b", "a/.", "a\0b", "line\n", &"x".repeat(256)] {
            assert_eq!(normalize(bad), Err(Error::BadName), "{bad:?}");
        }
        assert_eq!(normalize(&"x/".repeat(513)), Err(Error::BadName));
        assert_eq!(split("a/b/c"), Some(("a/b", "c")));
        assert_eq!(split("a"), Some(("", "a")));
        assert_eq!(split(""), None);
    }

    proptest! {
        #[test]
        fn entries_come_back(name in ".{0,80}", size: u64, directory: bool) {
            let kind = if directory { Kind::Directory } else { Kind::File };
            let entry = Entry { name, stat: Stat { kind, size } };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            bytes.push(7);
            let (back, rest) = Entry::decode(&bytes).expect("it was encoded");
            if entry.name.len() <= MAX_NAME_BYTES {
                prop_assert_eq!(back, entry);
            }
            prop_assert_eq!(rest, [7]);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while let Some((_, after)) = Entry::decode(rest) {
                rest = after;
            }
        }
    }
}

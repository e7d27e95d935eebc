//! What a new process finds: a page of words and handles, written by who made it.
//!
//! The first thread's `x0` is the page's address. It holds a [`StartHeader`], then so many
//! [`Grant`]s, then the arguments, each a string that ends with a zero byte.

use crate::report::Name;

/// Where loaders put the start page.
pub const START_PAGE: u64 = 0x1_0000;
/// Where loaders put the top of the first thread's stack.
pub const STACK_TOP: u64 = 0x7f_f000_0000;
/// What [`StartHeader::magic`] is.
pub const MAGIC: u64 = u64::from_le_bytes(*b"petrelst");

/// The head of the start page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct StartHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// How many [`Grant`]s follow.
    pub grants: u32,
    /// How many arguments follow them; the first is the program's name.
    pub arguments: u32,
    /// Bytes of the arguments, zero bytes included.
    pub argument_bytes: u32,
    /// 0.
    pub reserved: u32,
}

/// A handle that the process was given, under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Grant {
    /// What it is for: `process` (itself), `thread` (its first), `console`, `files`, `supervisor`, …
    pub name: Name,
    /// The handle.
    pub handle: u32,
    /// What goes with it, such as the size of a memory.
    pub detail: u32,
}

/// `name` as it stands in a report or a grant; cut to 16 bytes.
pub const fn name(text: &str) -> Name {
    let mut name = [0; 16];
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && at < name.len() {
        name[at] = bytes[at];
        at += 1;
    }
    name
}

/// The text of a name; what is not UTF-8 is left out.
pub fn text(name: &Name) -> &str {
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    match core::str::from_utf8(&name[..end]) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&name[..error.valid_up_to()]).unwrap_or(""),
    }
}

const _: () = {
    assert!(size_of::<StartHeader>() == 24);
    assert!(size_of::<Grant>() == 24);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        assert_eq!(text(&name("console")), "console");
        assert_eq!(text(&name("a name that is too long")), "a name that is t");
        assert_eq!(text(&[0xff; 16]), "");
    }
}

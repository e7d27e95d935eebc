//! Properties, and the few forms that their values take (specification 2.2.4).

use super::blob::{be32, be64};
use super::error::ValueFault;

/// One property of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// The strings block from where its name begins. Most walks pass over most properties, so the
    /// name's end is only looked for when somebody asks.
    pub(super) name_on: &'a [u8],
    /// Its value, of any length.
    pub value: &'a [u8],
    /// Offset of the value.
    pub offset: u32,
}

impl<'a> Property<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        // The validator has seen that the block is ASCII.
        core::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// Its name, for comparing.
    pub(crate) fn name_bytes(&self) -> &'a [u8] {
        let end = self.name_on.iter().position(|&byte| byte == 0);
        &self.name_on[..end.unwrap_or(self.name_on.len())]
    }

    /// Length of the value in bytes.
    pub fn len(&self) -> u32 {
        // A blob's length is a u32, and the value is inside.
        self.value.len() as u32
    }

    /// Whether the value is empty, as that of a property which says all by being there.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// The value as one cell.
    ///
    /// # Errors
    /// When it is not 4 bytes long.
    pub fn cell(&self) -> Result<u32, ValueFault> {
        match self.value.len() {
            4 => be32(self.value, 0),
            _ => None,
        }
        .ok_or(ValueFault::Length {
            len: self.len(),
            expected: "4",
        })
    }

    /// The value as a number of one or two cells.
    ///
    /// # Errors
    /// When it is neither 4 nor 8 bytes long.
    pub fn number(&self) -> Result<u64, ValueFault> {
        match self.value.len() {
            4 => be32(self.value, 0).map(u64::from),
            8 => be64(self.value, 0),
            _ => None,
        }
        .ok_or(ValueFault::Length {
            len: self.len(),
            expected: "4 or 8",
        })
    }

    /// The value as one text.
    ///
    /// # Errors
    /// When it is not UTF-8 that ends with its only NUL.
    pub fn text(&self) -> Result<&'a str, ValueFault> {
        match self.value.split_last() {
            Some((0, text)) if !text.contains(&0) => {
                core::str::from_utf8(text).map_err(|_| ValueFault::NotText)
            }
            _ => Err(ValueFault::NotText),
        }
    }

    /// The value as a list of texts. What is not one (not terminated, not UTF-8) is passed over: a
    /// list is only ever searched for texts that are.
    pub fn texts(&self) -> Strings<'a> {
        Strings { rest: self.value }
    }
}

/// The texts of a list, in order: first the most specific, in a `compatible`.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let len = self.rest.iter().position(|&byte| byte == 0)?;
            let (text, rest) = self.rest.split_at(len);
            self.rest = &rest[1..];
            if let Ok(text) = core::str::from_utf8(text) {
                return Some(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn property(value: &[u8]) -> Property<'_> {
        Property {
            name_on: b"p\0",
            value,
            offset: 0,
        }
    }

    #[test]
    fn numbers_are_one_or_two_cells_wide() {
        assert_eq!(property(&[0, 0, 1, 2]).number(), Ok(0x102));
        assert_eq!(
            property(&[1, 0, 0, 0, 0, 0, 0, 2]).number(),
            Ok(1 << 56 | 2)
        );
        for len in [0, 1, 3, 5, 7, 9, 12] {
            assert!(property(&[0; 12][..len]).number().is_err(), "{len}");
            assert!(property(&[0; 12][..len]).cell().is_err(), "{len}");
        }
        assert!(property(&[0; 8]).cell().is_err());
    }

    #[test]
    fn a_text_ends_with_its_only_nul() {
        assert_eq!(property(b"ab\0").text(), Ok("ab"));
        assert_eq!(property(b"\0").text(), Ok(""));
        for bad in [&b""[..], b"ab", b"a\0b\0", b"\xff\0"] {
            assert_eq!(property(bad).text(), Err(ValueFault::NotText));
        }
    }

    #[test]
    fn a_list_of_texts_passes_over_what_is_none() {
        let all = |value| property(value).texts().collect::<Vec<_>>();
        assert_eq!(all(b"a\0bc\0"), ["a", "bc"]);
        assert_eq!(all(b"a\0\xff\0c\0cut"), ["a", "c"]);
        assert_eq!(all(b""), [""; 0]);
    }
}

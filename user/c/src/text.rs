//! The string functions that the compiler's own run-time does not bring. (It brings `memcpy`,
//! `memmove`, `memset`, `memcmp` and `strlen`.)

use core::ffi::{c_char, c_int};
use core::ptr;

use abi::error::Error;

/// Compares two strings of at most `limit` bytes.
///
/// # Safety
/// Both end with a zero byte or have `limit` bytes.
unsafe fn compare(left: *const c_char, right: *const c_char, limit: usize) -> c_int {
    for at in 0..limit {
        // SAFETY: no byte behind a zero byte or the limit is read.
        let (left, right) = unsafe { (*left.cast::<u8>().add(at), *right.cast::<u8>().add(at)) };
        if left != right || left == 0 {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

/// `strcmp`.
///
/// # Safety
/// Both end with a zero byte.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn petrel_strcmp(left: *const c_char, right: *const c_char) -> c_int {
    // SAFETY: as the caller promised.
    unsafe { compare(left, right, usize::MAX) }
}

/// `strncmp`.
///
/// # Safety
/// Both end with a zero byte or have so many bytes.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn petrel_strncmp(
    left: *const c_char,
    right: *const c_char,
    bytes: usize,
) -> c_int {
    // SAFETY: as the caller promised.
    unsafe { compare(left, right, bytes) }
}

/// `strchr`.
///
/// # Safety
/// `text` ends with a zero byte.
#[cfg_attr(target_os = "none", unsafe(no_mangle))]
pub unsafe extern "C" fn petrel_strchr(text: *const c_char, character: c_int) -> *const c_char {
    let mut at = text;
    loop {
        // SAFETY: the zero byte was not passed yet.
        let byte = unsafe { *at };
        if byte == character as c_char {
            return at;
        }
        if byte == 0 {
            return ptr::null();
        }
        // SAFETY: as above.
        at = unsafe { at.add(1) };
    }
}

/// Room for an error's words and a zero byte.
const WORDS_BYTES: usize = 64;

/// The words of each error, in the order of [`Error::ALL`], as C strings.
static WORDS: [[u8; WORDS_BYTES]; Error::ALL.len()] = {
    let mut words = [[0; WORDS_BYTES]; Error::ALL.len()];
    let mut error = 0;
    while error < words.len() {
        let text = Error::ALL[error].text().as_bytes();
        assert!(text.len() < WORDS_BYTES);
        let mut at = 0;
        while at < text.len() {
            words[error][at] = text[at];
            at += 1;
        }
        error += 1;
    }
    words
};

/// A status in words.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_status_text(status: u64) -> *const c_char {
    let index = Error::ALL.iter().position(|error| *error as u64 == status);
    match index {
        Some(index) => WORDS[index].as_ptr().cast(),
        None if status == 0 => c"no error".as_ptr(),
        None => c"an unknown error".as_ptr(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn strings_compare_as_bytes() {
        let order = |left: &CStr, right: &CStr, bytes| {
            // SAFETY: C strings.
            let whole = unsafe { petrel_strcmp(left.as_ptr(), right.as_ptr()) };
            // SAFETY: the same.
            let part = unsafe { petrel_strncmp(left.as_ptr(), right.as_ptr(), bytes) };
            (whole.signum(), part.signum())
        };
        assert_eq!(order(c"abc", c"abc", 9), (0, 0));
        assert_eq!(order(c"abc", c"abd", 2), (-1, 0));
        assert_eq!(order(c"abc", c"ab", 3), (1, 1));
        assert_eq!(order(c"", c"\xff", 1), (-1, -1));
        assert_eq!(order(c"\xff", c"a", 0), (1, 0));
    }

    #[test]
    fn a_character_is_found_or_not() {
        let text = c"petrel";
        let at = |byte: u8| {
            // SAFETY: a C string.
            let found = unsafe { petrel_strchr(text.as_ptr(), byte.into()) };
            (!found.is_null()).then(|| found.addr() - text.as_ptr().addr())
        };
        assert_eq!(at(b'e'), Some(1));
        assert_eq!(at(b'z'), None);
        assert_eq!(at(0), Some(6));
    }

    #[test]
    fn every_error_has_words() {
        for error in Error::ALL {
            // SAFETY: it gives C strings.
            let text = unsafe { CStr::from_ptr(petrel_status_text(*error as u64)) };
            assert_eq!(text.to_str(), Ok(error.text()));
        }
    }
}

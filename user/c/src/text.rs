//! The string functions that the compiler's own run-time does not bring. (It brings `memcpy`,
//! `memmove`, `memset`, `memcmp` and `strlen`.)

use core::ffi::{c_char, c_int};
use core::ptr;

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
}

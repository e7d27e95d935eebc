//! What functions return: 0, or why not. Below 256 the kernel said so, above it a service.

use core::ffi::c_char;

use rt::service::Error;

/// A result as a status, and a value where the caller wants it.
pub(crate) fn give<T>(result: Result<T, impl Into<Error>>, place: Option<&mut T>) -> u64 {
    match result {
        Ok(value) => {
            if let Some(place) = place {
                *place = value;
            }
            0
        }
        Err(error) => error.into().label().into(),
    }
}

/// The first number of a service's error.
const SERVICES: u32 = 256;

/// Room for an error's words and a zero byte.
const WORDS_BYTES: usize = 64;

/// How many numbers from `first` on are errors'.
const fn count(first: u32) -> usize {
    let mut number = first;
    // What has no number of its own is a bad reply, which has one.
    while let Some(error) = Error::from_label(number)
        && error.label() == number
    {
        number += 1;
    }
    (number - first) as usize
}

/// The words of the errors from `first` on, as C strings.
const fn words<const N: usize>(first: u32) -> [[u8; WORDS_BYTES]; N] {
    let mut words = [[0; WORDS_BYTES]; N];
    let mut index = 0;
    while index < N {
        let text = match Error::from_label(first + index as u32) {
            Some(error) => error.text().as_bytes(),
            None => &[],
        };
        assert!(text.len() < WORDS_BYTES);
        let mut at = 0;
        while at < text.len() {
            words[index][at] = text[at];
            at += 1;
        }
        index += 1;
    }
    words
}

static OF_THE_KERNEL: [[u8; WORDS_BYTES]; count(1)] = words(1);
static OF_SERVICES: [[u8; WORDS_BYTES]; count(SERVICES)] = words(SERVICES);

/// A status in words.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_status_text(status: u64) -> *const c_char {
    if status == 0 {
        return c"no error".as_ptr();
    }
    let services = u64::from(SERVICES);
    let words = match usize::try_from(status - if status < services { 1 } else { services }) {
        Ok(index) if status < services => OF_THE_KERNEL.get(index),
        Ok(index) => OF_SERVICES.get(index),
        Err(_) => None,
    };
    words.map_or(c"an unknown error".as_ptr(), |words| words.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn text(status: u64) -> &'static str {
        // SAFETY: it gives C strings.
        let text = unsafe { CStr::from_ptr(petrel_status_text(status)) };
        text.to_str().expect("ASCII")
    }

    #[test]
    fn every_error_has_words() {
        for error in rt::Error::ALL {
            assert_eq!(text(*error as u64), error.text());
        }
        assert_eq!(text(Error::NotFound.label().into()), Error::NotFound.text());
        assert_eq!(text(Error::GivenUp.label().into()), Error::GivenUp.text());
        assert_eq!(text(0), "no error");
        for unknown in [255, 300, u64::MAX] {
            assert_eq!(text(unknown), "an unknown error");
        }
    }
}

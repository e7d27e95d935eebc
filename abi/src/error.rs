//! Why a system call did not do what it was asked.

macro_rules! errors {
    ($( $(#[$about:meta])* $name:ident = $number:literal, $text:literal; )+) => {
        /// Why. The number is the call's status; 0 is no error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Error { $( $(#[$about])* $name = $number, )+ }

        impl Error {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The error with that number; `None` for 0 and for numbers that no error has.
            pub const fn from_number(number: u64) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$name), )+
                    _ => None,
                }
            }

            /// In words.
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )+ }
            }
        }
    };
}

errors! {
    /// No call has that number.
    NoSuchCall = 1, "no such system call";
    /// The handle is none: never was, was closed, or was revoked.
    BadHandle = 2, "not a handle";
    /// The handle is of another kind.
    WrongKind = 3, "the handle names another kind of object";
    /// The handle lacks a right.
    NoRight = 4, "the handle lacks a right for this";
    /// What the handle named has ended: the process died, or nobody can receive any more.
    Gone = 5, "gone";
    /// An argument is out of its range.
    BadArgument = 6, "an argument is out of range";
    /// An address is not the caller's to read or write.
    BadAddress = 7, "a bad address";
    /// The quota, or the machine, has not so much.
    NoMemory = 8, "not enough memory";
    /// The deadline has passed.
    TimedOut = 9, "timed out";
    /// It is in use: an address that is mapped, an interrupt or a notification that is bound.
    Busy = 10, "in use already";
    /// There is no caller to reply to.
    NoCaller = 11, "nobody waits for a reply";
    /// The thread is not in the state for this.
    WrongState = 12, "not in the state for this";
    /// The table is full.
    TooMany = 13, "too many";
    /// Writable and executable at once.
    WriteAndExecute = 14, "memory cannot be writable and executable";
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

/// A status as a result.
///
/// # Errors
/// The error that the status stands for; [`Error::NoSuchCall`] for a number that stands for none.
#[inline(always)]
pub const fn check(status: u64) -> Result<(), Error> {
    match status {
        0 => Ok(()),
        _ => match Error::from_number(status) {
            Some(error) => Err(error),
            None => Err(Error::NoSuchCall),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for error in Error::ALL {
            assert_eq!(check(*error as u64), Err(*error));
        }
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(u64::MAX), Err(Error::NoSuchCall));
    }
}

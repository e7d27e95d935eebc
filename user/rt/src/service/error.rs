//! Why a service did not do what it was asked.

use core::fmt;

use crate::Error as KernelError;

macro_rules! errors {
    ($( $(#[$about:meta])* $name:ident = $number:literal, $text:literal; )+) => {
        /// Why. As the label of a reply it is a number; those of the kernel's errors are below 256.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error {
            /// The kernel said so, to the client or to the server.
            Kernel(KernelError),
            $( $(#[$about])* $name, )+
        }

        impl Error {
            /// As a reply's label.
            pub const fn label(self) -> u32 {
                match self {
                    Self::Kernel(error) => error as u32,
                    $( Self::$name => $number, )+
                }
            }

            /// What a reply's label says; `None` if all went well.
            pub const fn from_label(label: u32) -> Option<Self> {
                Some(match label {
                    0 => return None,
                    $( $number => Self::$name, )+
                    _ => match KernelError::from_number(label as u64) {
                        Some(error) => Self::Kernel(error),
                        None => Self::BadReply,
                    },
                })
            }

            /// In words.
            pub const fn text(self) -> &'static str {
                match self {
                    Self::Kernel(error) => error.text(),
                    $( Self::$name => $text, )+
                }
            }
        }

        #[cfg(test)]
        const ALL: &[Error] = &[$(Error::$name),+];
    };
}

errors! {
    /// The server does not know the request, or it makes no sense.
    BadRequest = 256, "the server does not understand the request";
    /// The reply makes no sense.
    BadReply = 257, "the server's reply makes no sense";
    /// There is nothing of that name.
    NotFound = 258, "not found";
    /// The client may not.
    NotPermitted = 259, "not permitted";
    /// There is one already.
    Exists = 260, "exists already";
    /// It is a directory.
    IsDirectory = 261, "is a directory";
    /// It is no directory.
    NotDirectory = 262, "is not a directory";
    /// It cannot be written.
    ReadOnly = 263, "cannot be written";
    /// There is no more room.
    Full = 264, "no room left";
    /// A name or path that there cannot be.
    BadName = 265, "a bad name";
    /// Beyond the end, or longer than the buffer.
    OutOfRange = 266, "out of range";
    /// The device failed.
    Device = 267, "the device failed";
    /// What is on the device makes no sense.
    Corrupt = 268, "the data is corrupt";
    /// The directory is not empty.
    NotEmpty = 269, "is not empty";
    /// The program could not be loaded.
    NotLoaded = 270, "the program could not be loaded";
    /// It was started anew too often, and is not started any more.
    GivenUp = 271, "died too often and was given up";
}

impl Error {
    /// Whether who was asked has ended. A successor may be found under its name.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Kernel(KernelError::Gone))
    }
}

impl From<KernelError> for Error {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back() {
        for error in ALL {
            assert_eq!(Error::from_label(error.label()), Some(*error));
        }
        for error in KernelError::ALL {
            let error = Error::Kernel(*error);
            assert_eq!(Error::from_label(error.label()), Some(error));
        }
        assert_eq!(Error::from_label(0), None);
        assert_eq!(Error::from_label(u32::MAX), Some(Error::BadReply));
    }
}

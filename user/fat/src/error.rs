//! Why something could not be done with a file.

use hadris_io::ErrorKind;

/// Why something could not be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no FAT volume on the disk.
    NoVolume,
    /// The volume contradicts itself.
    Corrupt,
    /// The disk could not be read or written.
    Disk,
    /// Nothing has that path.
    NotFound,
    /// A part of the path, other than the last, is a file; or a file was used as a folder.
    NotAFolder,
    /// A folder was used as a file.
    IsAFolder,
    /// Something has that path already.
    Exists,
    /// The folder is not empty.
    NotEmpty,
    /// The volume is full.
    Full,
    /// The volume cannot be written.
    ReadOnly,
    /// The path, or a part of it, can be nobody's name.
    BadPath,
    /// Too much is open at the same time, or it would be larger than FAT permits.
    TooMuch,
    /// It is open, and this cannot be done with an open file.
    Busy,
    /// The file is none that is open.
    NotOpen,
}

impl Error {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoVolume => "no FAT volume on the disk",
            Self::Corrupt => "the volume is damaged",
            Self::Disk => "the disk cannot be read or written",
            Self::NotFound => "not found",
            Self::NotAFolder => "not a folder",
            Self::IsAFolder => "a folder",
            Self::Exists => "exists already",
            Self::NotEmpty => "the folder is not empty",
            Self::Full => "the volume is full",
            Self::ReadOnly => "the volume cannot be written",
            Self::BadPath => "not a path",
            Self::TooMuch => "too much",
            Self::Busy => "open",
            Self::NotOpen => "not open",
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotRecognized | ErrorKind::Unsupported => Self::NoVolume,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::NotADirectory => Self::NotAFolder,
            ErrorKind::IsADirectory => Self::IsAFolder,
            ErrorKind::DirectoryNotEmpty => Self::NotEmpty,
            ErrorKind::NoSpace => Self::Full,
            ErrorKind::ReadOnly => Self::ReadOnly,
            ErrorKind::InvalidInput | ErrorKind::NameTooLong | ErrorKind::Symlink => Self::BadPath,
            ErrorKind::LimitExceeded | ErrorKind::FileTooLarge => Self::TooMuch,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::InvalidHandle => Self::NotOpen,
            // `Io`, and whatever a later version adds.
            _ => Self::Disk,
        }
    }
}

impl<E> From<hadris_io::Error<E>> for Error {
    fn from(error: hadris_io::Error<E>) -> Self {
        error.kind().into()
    }
}

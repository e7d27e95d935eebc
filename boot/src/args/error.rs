//! What can be wrong with the boot arguments. Each message quotes the word and says what would do.

use core::fmt;

/// Why a boot argument is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgError<'a> {
    /// A word without `=`.
    NotAnArgument {
        /// The word.
        word: &'a str,
        /// The keys that there are.
        keys: &'static [&'static str],
    },
    /// A key that is not known.
    UnknownKey {
        /// The word it is in.
        word: &'a str,
        /// The key.
        key: &'a str,
        /// The keys that there are.
        known: &'static [&'static str],
    },
    /// A value that is none of the permitted ones.
    UnknownValue {
        /// The word it is in.
        word: &'a str,
        /// The value.
        value: &'a str,
        /// The values that there are.
        permitted: &'static [&'static str],
    },
    /// A value that is not of the right form.
    BadValue {
        /// The word it is in.
        word: &'a str,
        /// The value.
        value: &'a str,
        /// The form.
        expected: &'static str,
    },
    /// A key for the second time.
    Duplicate {
        /// The word it is in.
        word: &'a str,
        /// The key.
        key: &'a str,
    },
    /// More than there is room for.
    TooMany {
        /// The word with the first one too many.
        word: &'a str,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        capacity: usize,
    },
    /// A workload was given a key that it does not know.
    UnknownParam {
        /// The word it is in.
        word: &'a str,
        /// The key.
        key: &'a str,
        /// The keys that the workload asked for.
        known: &'a [&'static str],
    },
    /// A workload was not given a key that it needs.
    MissingParam {
        /// The word; empty for a run that was not written there.
        word: &'a str,
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for ArgError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("boot arguments: ")?;
        // `{:?}` makes what cannot be printed visible.
        match self {
            Self::NotAnArgument { word, keys } => {
                write!(
                    f,
                    "{word:?} is not of the form key=value (keys: {})",
                    List(keys)
                )
            }
            Self::UnknownKey { word, key, known } => {
                write!(f, "{word:?}: no key {key:?} (known: {})", List(known))
            }
            Self::UnknownValue {
                word,
                value,
                permitted,
            } => write!(
                f,
                "{word:?}: no value {value:?} (permitted: {})",
                List(permitted)
            ),
            Self::BadValue {
                word,
                value,
                expected,
            } => write!(f, "{word:?}: {value:?} is not {expected}"),
            Self::Duplicate { word, key } => write!(f, "{word:?}: {key:?} was given before"),
            Self::TooMany {
                word,
                what,
                capacity,
            } => write!(f, "{word:?}: more than {capacity} {what}"),
            Self::UnknownParam { word, key, known } => {
                write!(
                    f,
                    "{word:?}: this workload has no key {key:?} (known: {})",
                    List(known)
                )
            }
            Self::MissingParam { word, key } => {
                write!(f, "{word:?}: this workload needs {key}=")
            }
        }
    }
}

impl core::error::Error for ArgError<'_> {}

/// Words with commas between them; `none` for no words.
struct List<'l>(&'l [&'static str]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("none");
        };
        f.write_str(first)?;
        rest.iter().try_for_each(|word| write!(f, ", {word}"))
    }
}

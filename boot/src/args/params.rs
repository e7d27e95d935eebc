//! What one run is given: `key=value,...`.
//!
//! A workload asks for each key that it knows, with the value it would like otherwise, and then
//! calls [`Params::finish`]: what nobody asked for is an error, and the list of what was asked for
//! is the message. So a workload's keys stand in one place, where they are used.

use core::time::Duration;
use heapless::Vec;

use super::{ArgError, number};

/// Room for `key=value` in one run.
pub const MAX_PARAMS: usize = 8;
/// Room for the keys that one workload knows.
pub const MAX_KNOWN_KEYS: usize = 16;
/// The largest [`Params::count`].
pub const MAX_COUNT: u64 = 1_000_000_000;
/// The longest [`Params::duration`].
pub const MAX_DURATION: Duration = Duration::from_secs(1_000_000);

/// The parameters of one run.
///
/// They stay the text they were, since eight runs of eight parsed pairs each are more than a boot
/// stack should carry; only that the text is well-formed has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params<'a> {
    /// The word they stand in, for messages.
    word: &'a str,
    /// `key=value,...`; empty when there are none.
    text: &'a str,
    asked: Vec<&'static str, MAX_KNOWN_KEYS>,
}

impl<'a> Params<'a> {
    /// Reads `key=value,...`, which stands in `word`.
    ///
    /// # Errors
    /// An entry without a key or without `=`, a key for the second time, too many.
    pub fn parse(word: &'a str, text: &'a str) -> Result<Self, ArgError<'a>> {
        let mut keys = Vec::<&str, MAX_PARAMS>::new();
        for entry in text.split(',') {
            let (key, _) = entry
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or(ArgError::BadValue {
                    word,
                    value: entry,
                    expected: "of the form key=value",
                })?;
            if keys.contains(&key) {
                return Err(ArgError::Duplicate { word, key });
            }
            keys.push(key).map_err(|_| ArgError::TooMany {
                word,
                what: "parameters of one run",
                capacity: MAX_PARAMS,
            })?;
        }
        Ok(Self {
            word,
            text,
            asked: Vec::new(),
        })
    }

    /// Those of a run without any, which stands in `word`.
    pub fn none(word: &'a str) -> Self {
        Self {
            word,
            ..Self::default()
        }
    }

    /// What was given, in order: keys and values.
    pub fn given(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.text
            .split(',')
            .filter_map(|entry| entry.split_once('='))
    }

    /// The text given as `key`, if it was.
    ///
    /// # Errors
    /// When the workload asks for more than [`MAX_KNOWN_KEYS`] keys.
    pub fn text(&mut self, key: &'static str) -> Result<Option<&'a str>, ArgError<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key).map_err(|_| ArgError::TooMany {
                word: self.word,
                what: "keys that a workload may know",
                capacity: MAX_KNOWN_KEYS,
            })?;
        }
        Ok(self.find(key))
    }

    /// The text given as `key`, which the workload cannot do without.
    ///
    /// # Errors
    /// When it was not given.
    pub fn required_text(&mut self, key: &'static str) -> Result<&'a str, ArgError<'a>> {
        self.text(key)?.ok_or(ArgError::MissingParam {
            word: self.word,
            key,
        })
    }

    /// The number given as `key`, decimal or after `0x`; else `default`.
    ///
    /// # Errors
    /// When what was given is not a number below 2^64.
    pub fn u64(&mut self, key: &'static str, default: u64) -> Result<u64, ArgError<'a>> {
        self.value(key, default, "a number below 2^64, as 42 or 0x2a", number)
    }

    /// The count given as `key`, at most [`MAX_COUNT`], so that workloads may do sums with it; else
    /// `default`.
    ///
    /// # Errors
    /// When what was given is not such a number.
    pub fn count(&mut self, key: &'static str, default: u64) -> Result<u64, ArgError<'a>> {
        let expected = "a number up to 1000000000, as 42 or 0x2a";
        self.value(key, default, expected, |text| {
            number(text).filter(|count| *count <= MAX_COUNT)
        })
    }

    /// The time given as `key`: `10s`, `500ms`, `20us`, `100ns`; at most [`MAX_DURATION`]; else
    /// `default`.
    ///
    /// # Errors
    /// When what was given is not a whole number and one of these units, or more than that.
    pub fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
    ) -> Result<Duration, ArgError<'a>> {
        let expected = "a time up to 1000000s, as 10s, 500ms, 20us or 100ns";
        self.value(key, default, expected, |text| {
            duration(text).filter(|time| *time <= MAX_DURATION)
        })
    }

    /// The word given as `key`, which `from_word` understands; else `default`.
    ///
    /// # Errors
    /// When `from_word` does not know it: then the message lists `permitted`.
    pub fn choice<T>(
        &mut self,
        key: &'static str,
        default: T,
        permitted: &'static [&'static str],
        from_word: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ArgError<'a>> {
        match self.text(key)? {
            None => Ok(default),
            Some(value) => super::choice(self.word, value, from_word, permitted),
        }
    }

    /// Whether all that was given has been asked for. To be called when the workload has asked.
    ///
    /// # Errors
    /// Names the first key that has not been, and lists those that have (by reference: the error
    /// lives no longer than the parameters).
    pub fn finish(&self) -> Result<(), ArgError<'_>> {
        match self.given().find(|(key, _)| !self.asked.contains(key)) {
            None => Ok(()),
            Some((key, _)) => Err(ArgError::UnknownParam {
                word: self.word,
                key,
                known: &self.asked,
            }),
        }
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ArgError<'a>> {
        match self.text(key)? {
            None => Ok(default),
            Some(value) => read(value).ok_or(ArgError::BadValue {
                word: self.word,
                value,
                expected,
            }),
        }
    }

    fn find(&self, key: &str) -> Option<&'a str> {
        self.given()
            .find(|(given, _)| *given == key)
            .map(|(_, value)| value)
    }
}

/// A whole decimal number with a unit.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_at);
    let count = number(count)?;
    match unit {
        "s" => Some(Duration::from_secs(count)),
        "ms" => Some(Duration::from_millis(count)),
        "us" => Some(Duration::from_micros(count)),
        "ns" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

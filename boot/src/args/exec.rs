//! `run=exec:path=/extra/x,args=one:two`: a program to run at EL0.
//!
//! The kernel runs no programs; `init` does, and reads the same words. They are judged here all the same, before
//! anything has run, so that a mistake in them is named as every other is.

use super::{ArgError, Params};

/// The workload that is no workload of the kernel's.
pub const EXEC: &str = "exec";

/// What parts arguments: a blank would end the word, a comma the parameter.
const PARTING: char = ':';

/// A program to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    /// Where it is, from the root: `/extra/x`.
    pub path: &'a str,
    /// Its arguments, with colons between them; empty when there are none.
    arguments: &'a str,
}

impl<'a> Exec<'a> {
    /// Reads the parameters of a `run=exec`, which stands in `word`.
    ///
    /// # Errors
    /// No path, a path that does not begin at the root, a key that is not known.
    pub fn parse(word: &'a str, mut params: Params<'a>) -> Result<Self, ArgError<'a>> {
        let path = params.required_text("path")?;
        let arguments = params.text("args")?.unwrap_or_default();
        let known: &'static [&'static str] = &["path", "args"];
        if let Some((key, _)) = params.given().find(|(key, _)| !known.contains(key)) {
            return Err(ArgError::UnknownParam { word, key, known });
        }
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(ArgError::BadValue {
                word,
                value: path,
                expected: "a path of the form /extra/x",
            });
        }
        Ok(Self { path, arguments })
    }

    /// Its arguments, without its own name.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let none = self.arguments.is_empty();
        self.arguments.split(PARTING).filter(move |_| !none)
    }
}

//! A check of the shipped kernel that is no scenario: a name and what it does.

use anyhow::Result;

use crate::lab::Lab;

/// One check, with its name among the tests.
pub struct Check {
    /// `group/what`. Unique.
    pub name: &'static str,
    /// Does it.
    pub run: fn(&Lab) -> Result<()>,
}

//! The lines that were entered before.

use alloc::{collections::VecDeque, string::String};

/// How many lines are kept.
pub const LINES: usize = 64;

/// The last [`LINES`] lines, and which of them is looked at.
#[derive(Debug, Default)]
pub struct History {
    lines: VecDeque<String>,
    /// How far back: 0 is the line being written, 1 the last one entered.
    back: usize,
    /// The line being written, while another is looked at.
    draft: String,
}

impl History {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            back: 0,
            draft: String::new(),
        }
    }

    /// A line was entered. Blank lines and repetitions of the last one are not kept.
    pub fn add(&mut self, line: &str) {
        self.leave();
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.into());
    }

    /// The line before the one looked at, if there is one. `line` is what stands there now.
    pub fn older(&mut self, line: &str) -> Option<&str> {
        if self.back == self.lines.len() {
            return None;
        }
        if self.back == 0 {
            self.draft = line.into();
        }
        self.back += 1;
        self.lines
            .get(self.lines.len() - self.back)
            .map(String::as_str)
    }

    /// The line after the one looked at, if one is looked at; the last of these is the draft.
    pub fn newer(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        match self.back {
            0 => Some(&self.draft),
            back => self.lines.get(self.lines.len() - back).map(String::as_str),
        }
    }

    /// Back to the line being written.
    pub fn leave(&mut self) {
        self.back = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn up_and_down_and_the_draft_is_still_there() {
        let mut history = History::new();
        assert_eq!(history.older("draft"), None);
        assert_eq!(history.newer(), None);
        history.add("one");
        history.add("two");
        assert_eq!(history.older("draft"), Some("two"));
        assert_eq!(history.older("two, changed"), Some("one"));
        assert_eq!(history.older("one"), None);
        assert_eq!(history.newer(), Some("two"));
        assert_eq!(history.newer(), Some("draft"));
        assert_eq!(history.newer(), None);
    }

    #[test]
    fn blanks_and_repetitions_are_not_kept() {
        let mut history = History::new();
        for line in ["ps", "ps", "  ", "", "ls", "ps"] {
            history.add(line);
        }
        assert!(history.lines.iter().eq(["ps", "ls", "ps"]));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut history = History::new();
        for number in 0..LINES + 3 {
            history.add(&format!("{number}"));
        }
        assert_eq!(history.lines.len(), LINES);
        assert_eq!(history.lines.front().map(String::as_str), Some("3"));
    }
}

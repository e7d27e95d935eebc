//! One line being written, as it is shown.
//!
//! The terminal is told as little as possible: a letter at the end of the line is that letter;
//! everything else is the line written again from its first column (`\r`), the rest of the row
//! erased, the cursor moved left to its place. A line that is longer than the terminal is wide is
//! shown in part, around the cursor, so that it never wraps, and this simple way stays right.
//!
//! The last bytes after the last `\r` are enough to show the line again: that is how the console
//! driver puts other people's lines above the one being written.

use crate::{history::History, key::Key};
use alloc::{string::String, vec::Vec};
use core::fmt::Write;

/// The longest line.
pub const LINE_BYTES: usize = 512;
/// How wide the terminal is taken to be: the narrowest that is in use.
const COLUMNS: usize = 80;
/// How many completions are listed at most.
const SHOWN_COMPLETIONS: usize = 100;

/// How words are completed.
pub trait Complete {
    /// What the last word of `line` may become. Each begins with that word, and ends in what parts it
    /// from the next: a blank, or a slash.
    fn complete(&mut self, line: &str) -> Vec<String>;
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The line is still being written.
    Editing,
    /// Here it is. The cursor is in the first column of a new line.
    Line(String),
    /// Somebody does not want it; the next one begins.
    Cancelled,
    /// Control-D in an empty line.
    EndOfInput,
}

/// A line being written.
pub struct Editor {
    prompt: &'static str,
    /// ASCII, printable.
    line: String,
    /// How many characters are before it.
    cursor: usize,
    history: History,
}

impl Editor {
    /// An empty line after `prompt`, which is ASCII and much shorter than a terminal is wide.
    pub const fn new(prompt: &'static str) -> Self {
        Self {
            prompt,
            line: String::new(),
            cursor: 0,
            history: History::new(),
        }
    }

    /// Shows the prompt and what was written so far.
    pub fn show(&self, screen: &mut String) {
        let room = COLUMNS - 1 - self.prompt.len();
        // The cursor may stand behind the last character: it needs a column as well.
        let start = (self.cursor + 1).saturating_sub(room);
        let end = self.line.len().min(start + room);
        screen.push('\r');
        screen.push_str(self.prompt);
        screen.push_str(&self.line[start..end]);
        screen.push_str("\x1b[K");
        if end > self.cursor {
            // Writing to a string cannot fail.
            let _ = write!(screen, "\x1b[{}D", end - self.cursor);
        }
    }

    /// Does what `key` means. What is to be sent to the terminal is added to `screen`.
    pub fn press(
        &mut self,
        key: Key,
        screen: &mut String,
        completions: &mut dyn Complete,
    ) -> Outcome {
        match key {
            Key::Text(byte) => self.insert(byte, screen),
            Key::Enter => return Outcome::Line(self.finish(screen)),
            Key::Cancel => {
                self.to(self.line.len(), screen);
                screen.push_str("^C\n");
                self.line.clear();
                self.cursor = 0;
                self.history.leave();
                return Outcome::Cancelled;
            }
            Key::EndOfInput if self.line.is_empty() => {
                screen.push('\n');
                return Outcome::EndOfInput;
            }
            Key::EndOfInput | Key::Delete => {
                let end = self.line.len().min(self.cursor + 1);
                self.remove(self.cursor, end, screen);
            }
            Key::Backspace => self.remove(self.cursor.saturating_sub(1), self.cursor, screen),
            Key::KillToEnd => self.remove(self.cursor, self.line.len(), screen),
            Key::KillToStart => self.remove(0, self.cursor, screen),
            Key::KillWord => self.remove(self.word_start(), self.cursor, screen),
            Key::Left => self.to(self.cursor.saturating_sub(1), screen),
            Key::Right => self.to(self.line.len().min(self.cursor + 1), screen),
            Key::WordLeft => self.to(self.word_start(), screen),
            Key::WordRight => self.to(self.word_end(), screen),
            Key::Home => self.to(0, screen),
            Key::End => self.to(self.line.len(), screen),
            Key::Up => {
                let older = self.history.older(&self.line).map(String::from);
                self.replace(older, screen);
            }
            Key::Down => {
                let newer = self.history.newer().map(String::from);
                self.replace(newer, screen);
            }
            Key::Tab => self.complete(screen, completions),
            Key::Clear => {
                screen.push_str("\x1b[H\x1b[2J");
                self.show(screen);
            }
        }
        Outcome::Editing
    }

    fn finish(&mut self, screen: &mut String) -> String {
        self.to(self.line.len(), screen);
        screen.push('\n');
        self.cursor = 0;
        let line = core::mem::take(&mut self.line);
        self.history.add(&line);
        line
    }

    fn insert(&mut self, byte: u8, screen: &mut String) {
        if self.line.len() == LINE_BYTES {
            return bell(screen);
        }
        let at_end = self.cursor == self.line.len();
        self.line.insert(self.cursor, byte.into());
        self.cursor += 1;
        if at_end && self.prompt.len() + self.line.len() < COLUMNS - 1 {
            screen.push(byte.into());
        } else {
            self.show(screen);
        }
    }

    fn remove(&mut self, start: usize, end: usize, screen: &mut String) {
        if start == end {
            return;
        }
        self.line.drain(start..end);
        self.cursor = start;
        self.show(screen);
    }

    fn to(&mut self, cursor: usize, screen: &mut String) {
        if cursor != self.cursor {
            self.cursor = cursor;
            self.show(screen);
        }
    }

    fn replace(&mut self, line: Option<String>, screen: &mut String) {
        match line {
            Some(line) => {
                self.cursor = line.len();
                self.line = line;
                self.show(screen);
            }
            None => bell(screen),
        }
    }

    fn complete(&mut self, screen: &mut String, completions: &mut dyn Complete) {
        let before = &self.line[..self.cursor];
        let word = last_word(before);
        let found = completions.complete(before);
        let common = common_start(&found);
        match common.get(word.len()..) {
            Some(more) if !more.is_empty() && self.line.len() + more.len() <= LINE_BYTES => {
                self.line.insert_str(self.cursor, more);
                self.cursor += more.len();
                self.show(screen);
            }
            _ if found.len() > 1 => {
                list(&found, screen);
                self.show(screen);
            }
            _ => bell(screen),
        }
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let before = self.line[..self.cursor].trim_end_matches(' ');
        before.rfind(' ').map_or(0, |blank| blank + 1)
    }

    /// Where the word after the cursor ends.
    fn word_end(&self) -> usize {
        let after = &self.line[self.cursor..];
        let word = after.trim_start_matches(' ');
        let skipped = after.len() - word.len();
        self.cursor + skipped + word.find(' ').unwrap_or(word.len())
    }
}

/// What stands after the last blank of `line`.
pub fn last_word(line: &str) -> &str {
    line.rsplit(' ').next().unwrap_or("")
}

fn bell(screen: &mut String) {
    screen.push('\x07');
}

/// What all of them begin with.
fn common_start(words: &[String]) -> &str {
    let Some((first, others)) = words.split_first() else {
        return "";
    };
    let same = |other: &String| {
        first
            .bytes()
            .zip(other.bytes())
            .take_while(|(ours, theirs)| ours == theirs)
            .count()
    };
    let length = others.iter().map(same).min().unwrap_or(first.len());
    first.get(..length).unwrap_or("")
}

/// The words in columns, below the line.
fn list(words: &[String], screen: &mut String) {
    screen.push('\n');
    let shown = &words[..words.len().min(SHOWN_COMPLETIONS)];
    let width = shown.iter().map(|word| word.len() + 2).max().unwrap_or(1);
    for row in shown.chunks((COLUMNS / width).max(1)) {
        for word in row {
            let _ = write!(screen, "{word:width$}");
        }
        while screen.ends_with(' ') {
            screen.pop();
        }
        screen.push('\n');
    }
    if words.len() > shown.len() {
        let _ = writeln!(screen, "... and {} more", words.len() - shown.len());
    }
}

#[cfg(test)]
mod tests;

//! Whole lines from many writers on one terminal.
//!
//! Writers do not wait for each other: somebody's half line (a prompt, and what is being typed after
//! it) may stand on the screen for hours while others have things to say. So one writer owns the
//! **row** that the cursor is in, from its first byte there to its line feed. What others write
//! is held until it is a whole line; then the row is erased, the line printed, and the row
//! written again below it. For that the row's bytes are kept, from the last `\r` on: a writer who goes
//! back to the first column writes everything anew from there.
//!
//! A row too long to be kept is not repeated: its writer goes on in a new one. A half line too long to be
//! held ends early. Nothing is lost, and nothing here can wait.

use heapless::Vec;

/// The longest row that can be written again.
const ROW_BYTES: usize = 512;
/// The longest half line that is held.
const HELD_BYTES: usize = 256;
/// How many writers can have half lines at once. One more is printed as if its line were whole.
const HELD_WRITERS: usize = 16;

/// To the first column, and erase the row (ECMA-48: CR, EL).
const ERASE_ROW: &[u8] = b"\r\x1b[K";

const ESCAPE: u8 = 0x1b;
/// Ends a control sequence that was begun, without effect (ECMA-48: CAN).
const CANCEL: u8 = 0x18;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The kernel: only whole lines.
    Kernel,
    /// The client whose handle has this badge.
    Client(u64),
}

/// Where bytes go: towards the terminal. It has room for what is written; see [`Screen::most`].
pub trait Sink {
    /// Takes them.
    fn put(&mut self, bytes: &[u8]);
}

/// What stands in the row, and what does not stand there yet.
#[derive(Default)]
pub struct Screen {
    owner: Option<Writer>,
    row: Row,
    held: Vec<Held, HELD_WRITERS>,
}

/// The row's bytes since its last `\r`.
#[derive(Default)]
struct Row {
    bytes: Vec<u8, ROW_BYTES>,
    too_long: bool,
}

struct Held {
    writer: Writer,
    bytes: Vec<u8, HELD_BYTES>,
}

impl Row {
    fn add(&mut self, bytes: &[u8]) {
        let fresh = match bytes.iter().rposition(|byte| *byte == b'\r') {
            Some(start) => {
                self.clear();
                &bytes[start..]
            }
            None => bytes,
        };
        self.too_long |= self.bytes.extend_from_slice(fresh).is_err();
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.too_long = false;
    }
}

impl Screen {
    /// Nothing is shown, as far as one knows.
    pub const fn new() -> Self {
        Self {
            owner: None,
            row: Row {
                bytes: Vec::new(),
                too_long: false,
            },
            held: Vec::new(),
        }
    }

    /// The most bytes that a [`Screen::write`] of so many can put into the sink: a row is erased and
    /// written again, somebody's half line comes first, once for the lines and once for the rest.
    pub const fn most(bytes: usize) -> usize {
        bytes + 2 * (ERASE_ROW.len() + 2 + HELD_BYTES + ROW_BYTES) + HELD_BYTES
    }

    /// The most bytes that [`Screen::finish`] can put into the sink.
    pub const MOST_HELD: usize = HELD_WRITERS * (HELD_BYTES + 1) + 1;

    /// `writer` has written `text`.
    pub fn write(&mut self, writer: Writer, text: &[u8], sink: &mut impl Sink) {
        let end_of_lines = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let (lines, rest) = text.split_at(end_of_lines);
        if !lines.is_empty() {
            self.write_lines(writer, lines, sink);
        }
        if !rest.is_empty() {
            self.write_part(writer, rest, sink);
        }
    }

    /// `writer` waits for somebody to type: what it has written is to be seen now.
    pub fn focus(&mut self, writer: Writer, sink: &mut impl Sink) {
        if self.owner.is_none_or(|owner| owner == writer) {
            return;
        }
        let Some(at) = self.held.iter().position(|held| held.writer == writer) else {
            return;
        };
        sink.put(b"\n");
        self.give_row(at, sink);
    }

    /// Nothing comes after this: half lines that are held are shown, each as a line of its own.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        for held in core::mem::take(&mut self.held) {
            if self.owner.take().is_some() {
                sink.put(b"\n");
                self.row.clear();
            }
            sink.put(&held.bytes);
            sink.put(b"\n");
        }
    }

    /// Whole lines.
    fn write_lines(&mut self, writer: Writer, lines: &[u8], sink: &mut impl Sink) {
        match self.owner {
            Some(owner) if owner != writer => {
                self.clear_row(sink);
                self.put_held(writer, sink);
                sink.put(lines);
                sink.put(&self.row.bytes);
            }
            _ => {
                sink.put(lines);
                self.owner = None;
                self.row.clear();
                if !self.held.is_empty() {
                    self.give_row(0, sink);
                }
            }
        }
    }

    /// A line that goes on later.
    fn write_part(&mut self, writer: Writer, part: &[u8], sink: &mut impl Sink) {
        if self.owner.is_none_or(|owner| owner == writer) {
            self.owner = Some(writer);
            self.row.add(part);
            return sink.put(part);
        }
        if !self.hold(writer, part) {
            self.clear_row(sink);
            self.put_held(writer, sink);
            sink.put(part);
            sink.put(b"\n");
            sink.put(&self.row.bytes);
        }
    }

    /// Whether there was room.
    fn hold(&mut self, writer: Writer, part: &[u8]) -> bool {
        match self.held.iter_mut().find(|held| held.writer == writer) {
            Some(held) => held.bytes.extend_from_slice(part).is_ok(),
            None => Vec::from_slice(part)
                .is_ok_and(|bytes| self.held.push(Held { writer, bytes }).is_ok()),
        }
    }

    /// Puts what was held for `writer`.
    fn put_held(&mut self, writer: Writer, sink: &mut impl Sink) {
        if let Some(at) = self.held.iter().position(|held| held.writer == writer) {
            sink.put(&self.held.remove(at).bytes);
        }
    }

    /// Makes room where the row stands; one that cannot be written again stays where it is.
    fn clear_row(&mut self, sink: &mut impl Sink) {
        if ends_inside_sequence(&self.row.bytes) {
            sink.put(&[CANCEL]);
        }
        if self.row.too_long {
            sink.put(b"\n");
            self.row.clear();
        } else {
            sink.put(ERASE_ROW);
        }
    }

    /// The row, which is empty, is now that of whose half line is `self.held[at]`.
    fn give_row(&mut self, at: usize, sink: &mut impl Sink) {
        let held = self.held.remove(at);
        sink.put(&held.bytes);
        self.owner = Some(held.writer);
        self.row.clear();
        self.row.add(&held.bytes);
    }
}

/// Whether the last control sequence is not finished: messages are short, and part it anywhere.
fn ends_inside_sequence(bytes: &[u8]) -> bool {
    let Some(start) = bytes.iter().rposition(|byte| *byte == ESCAPE) else {
        return false;
    };
    match &bytes[start + 1..] {
        [] => true,
        [b'[', parameters @ ..] => parameters.iter().all(|byte| (0x20..0x40).contains(byte)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

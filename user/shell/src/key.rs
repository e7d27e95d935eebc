//! From bytes to keys.
//!
//! A terminal sends a letter as one byte and an arrow as three or more: ESC, `[`, perhaps numbers, and
//! a letter that ends it (ECMA-48, 5.4). The bytes of one key may arrive one by one, with other
//! things done between them, and a line may be noise: so this is a small machine that takes any byte
//! in any state, and is back at the beginning after at most one key.

/// What somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A printable ASCII character.
    Text(u8),
    /// The line is finished.
    Enter,
    /// Complete the word.
    Tab,
    /// Delete the character before the cursor.
    Backspace,
    /// Delete the character under the cursor.
    Delete,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// To the beginning of the word.
    WordLeft,
    /// To the end of the word.
    WordRight,
    /// To the beginning of the line.
    Home,
    /// To the end of the line.
    End,
    /// The line before this one in history.
    Up,
    /// The line after this one in history.
    Down,
    /// Delete everything from the cursor on.
    KillToEnd,
    /// Delete everything before the cursor.
    KillToStart,
    /// Delete the word before the cursor.
    KillWord,
    /// Never mind this line.
    Cancel,
    /// Nothing more will come; in a line that is not empty: [`Key::Delete`].
    EndOfInput,
    /// Clear the screen.
    Clear,
}

/// Puts keys together from bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After a carriage return: a line feed now belongs to it.
    Return,
    /// After ESC.
    Escape,
    /// After `ESC O`: one letter follows.
    Single,
    /// After `ESC [`: parameters, then a letter.
    Sequence(Parameters),
}

/// The first two numbers of a sequence.
#[derive(Clone, Copy, Debug, Default)]
struct Parameters {
    numbers: [u16; 2],
    /// Which one is being read; those from the third on are not kept.
    at: usize,
}

impl Parameters {
    fn push(&mut self, byte: u8) {
        match (byte, self.numbers.get_mut(self.at)) {
            (b'0'..=b'9', Some(number)) => {
                *number = number
                    .saturating_mul(10)
                    .saturating_add((byte - b'0').into());
            }
            (b';', _) => self.at = self.at.saturating_add(1),
            _ => {}
        }
    }

    /// Whether a modifier was held: 2 is shift, 3 alt, 5 control.
    fn modified(self) -> bool {
        self.numbers[1] > 2
    }
}

impl Decoder {
    /// At the beginning of a key.
    pub const fn new() -> Self {
        Self {
            state: State::Ground,
        }
    }

    /// Takes a byte; the key, if it ends one that means something.
    pub fn push(&mut self, byte: u8) -> Option<Key> {
        let state = core::mem::take(&mut self.state);
        match (state, byte) {
            // A control character inside of a sequence ends it and counts itself.
            (_, 0x1b) => self.go(State::Escape),
            (State::Return, b'\n') => None,
            (State::Ground | State::Return, _) | (_, 0x00..=0x1f) => self.plain(byte),
            (State::Escape, b'[') => self.go(State::Sequence(Parameters::default())),
            (State::Escape, b'O') => self.go(State::Single),
            (State::Escape, b'b') => Some(Key::WordLeft),
            (State::Escape, b'f') => Some(Key::WordRight),
            (State::Escape, 0x7f) => Some(Key::KillWord),
            (State::Escape, _) => None,
            (State::Single, _) => sequence(byte, Parameters::default()),
            (State::Sequence(parameters), 0x40..=0x7e) => sequence(byte, parameters),
            (State::Sequence(mut parameters), 0x20..=0x3f) => {
                parameters.push(byte);
                self.go(State::Sequence(parameters))
            }
            (State::Sequence(_), _) => None,
        }
    }

    fn go(&mut self, state: State) -> Option<Key> {
        self.state = state;
        None
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        const fn control(letter: u8) -> u8 {
            letter & 0x1f
        }
        const A: u8 = control(b'A');
        const B: u8 = control(b'B');
        const C: u8 = control(b'C');
        const D: u8 = control(b'D');
        const E: u8 = control(b'E');
        const F: u8 = control(b'F');
        const H: u8 = control(b'H');
        const K: u8 = control(b'K');
        const L: u8 = control(b'L');
        const N: u8 = control(b'N');
        const P: u8 = control(b'P');
        const U: u8 = control(b'U');
        const W: u8 = control(b'W');
        Some(match byte {
            b' '..=b'~' => Key::Text(byte),
            b'\r' => {
                self.state = State::Return;
                Key::Enter
            }
            b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x7f | H => Key::Backspace,
            A => Key::Home,
            B => Key::Left,
            C => Key::Cancel,
            D => Key::EndOfInput,
            E => Key::End,
            F => Key::Right,
            K => Key::KillToEnd,
            L => Key::Clear,
            N => Key::Down,
            P => Key::Up,
            U => Key::KillToStart,
            W => Key::KillWord,
            _ => return None,
        })
    }
}

/// The key of a sequence that ends in `last`. Several are in use for the same key (xterm, VT220, rxvt).
fn sequence(last: u8, parameters: Parameters) -> Option<Key> {
    Some(match (last, parameters.numbers[0]) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if parameters.modified() => Key::WordRight,
        (b'D', _) if parameters.modified() => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'~', 3) => Key::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::new();
        bytes
            .iter()
            .filter_map(|byte| decoder.push(*byte))
            .collect()
    }

    #[test]
    fn letters_and_control_characters() {
        assert_eq!(
            keys(b"a~ \x01\x03\x7f\x08\t"),
            [
                Key::Text(b'a'),
                Key::Text(b'~'),
                Key::Text(b' '),
                Key::Home,
                Key::Cancel,
                Key::Backspace,
                Key::Backspace,
                Key::Tab
            ]
        );
    }

    #[test]
    fn the_three_ways_to_end_a_line_are_one_key_each() {
        assert_eq!(keys(b"\r"), [Key::Enter]);
        assert_eq!(keys(b"\n"), [Key::Enter]);
        assert_eq!(keys(b"\r\n"), [Key::Enter]);
        assert_eq!(keys(b"\r\r\n\n"), [Key::Enter; 3]);
    }

    #[test]
    fn the_same_key_from_several_terminals() {
        assert_eq!(keys(b"\x1b[A\x1bOA"), [Key::Up; 2]);
        assert_eq!(keys(b"\x1b[H\x1bOH\x1b[1~\x1b[7~\x1b[1;2H"), [Key::Home; 5]);
        assert_eq!(keys(b"\x1b[F\x1bOF\x1b[4~\x1b[8~"), [Key::End; 4]);
        assert_eq!(keys(b"\x1b[3~"), [Key::Delete]);
        assert_eq!(keys(b"\x1b[1;5D\x1bb"), [Key::WordLeft; 2]);
    }

    #[test]
    fn a_sequence_that_means_nothing_leaves_nothing() {
        assert_eq!(
            keys(b"\x1b[200~x\x1b[?25;1;9999999h\x1bOPy\x1b[15~"),
            [Key::Text(b'x'), Key::Text(b'y')]
        );
    }

    #[test]
    fn a_broken_sequence_costs_itself_only() {
        assert_eq!(keys(b"\x1b[1\x03a"), [Key::Cancel, Key::Text(b'a')]);
        assert_eq!(keys(b"\x1b[\x1b[Da"), [Key::Left, Key::Text(b'a')]);
        assert_eq!(keys(b"\x1b[\xffa"), [Key::Text(b'a')]);
    }

    proptest! {
        #[test]
        fn whatever_came_before_a_return_ends_the_line(noise: Vec<u8>) {
            let mut decoder = Decoder::new();
            for byte in noise {
                if let Some(Key::Text(text)) = decoder.push(byte) {
                    prop_assert!((b' '..=b'~').contains(&text));
                }
            }
            prop_assert_eq!(decoder.push(b'\r'), Some(Key::Enter));
        }
    }
}

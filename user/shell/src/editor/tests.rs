use super::*;
use crate::key::Decoder;
use proptest::prelude::*;
use std::{format, string::ToString, vec};

/// What a terminal would show: the row that the cursor is in, and the rows above it.
#[derive(Default)]
struct Terminal {
    above: Vec<String>,
    row: Vec<u8>,
    column: usize,
}

impl Terminal {
    fn take(&mut self, screen: &mut String) {
        let mut bytes = screen.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' => self.column = 0,
                b'\n' => {
                    let row = core::mem::take(&mut self.row);
                    self.above.push(String::from_utf8(row).unwrap());
                    self.column = 0;
                }
                0x07 => {}
                0x1b => {
                    assert_eq!(bytes.next(), Some(b'['));
                    let text: Vec<u8> = bytes
                        .by_ref()
                        .take_while(|b| !b.is_ascii_alphabetic())
                        .collect();
                    // `take_while` ate the letter: tell the two that are used by their number.
                    match String::from_utf8(text).unwrap().parse::<usize>() {
                        Ok(columns) => {
                            self.column =
                                self.column.checked_sub(columns).expect("left of the row");
                        }
                        Err(_) => self.row.truncate(self.column),
                    }
                }
                byte => {
                    assert!((b' '..=b'~').contains(&byte), "{byte:#x}");
                    assert!(self.column < COLUMNS, "the row would wrap");
                    self.row.resize(self.row.len().max(self.column + 1), b' ');
                    self.row[self.column] = byte;
                    self.column += 1;
                }
            }
        }
        screen.clear();
    }

    fn row(&self) -> &str {
        core::str::from_utf8(&self.row).unwrap()
    }
}

struct Words(&'static [&'static str]);

impl Complete for Words {
    fn complete(&mut self, line: &str) -> Vec<String> {
        let word = last_word(line);
        let fits = |known: &&&str| known.starts_with(word);
        self.0
            .iter()
            .filter(fits)
            .map(|known| known.to_string())
            .collect()
    }
}

/// Types `bytes`; the lines that came out, what is shown, and the editor as it is then.
fn typed(bytes: &[u8]) -> (Vec<Outcome>, Terminal, Editor) {
    let (mut editor, mut decoder, mut terminal) =
        (Editor::new("> "), Decoder::new(), Terminal::default());
    let (mut screen, mut outcomes) = (String::new(), vec![]);
    let mut words = Words(&[
        "help ",
        "history ",
        "mem ",
        "bin/",
        "bin/hello ",
        "bin/hot ",
    ]);
    editor.show(&mut screen);
    terminal.take(&mut screen);
    for byte in bytes {
        if let Some(key) = decoder.push(*byte) {
            match editor.press(key, &mut screen, &mut words) {
                Outcome::Editing => {}
                outcome => {
                    outcomes.push(outcome);
                    editor.show(&mut screen);
                }
            }
        }
        terminal.take(&mut screen);
    }
    (outcomes, terminal, editor)
}

fn line(text: &str) -> Outcome {
    Outcome::Line(text.into())
}

#[test]
fn a_line() {
    let (outcomes, terminal, _) = typed(b"ps\r");
    assert_eq!(outcomes, [line("ps")]);
    assert_eq!(
        (terminal.above, terminal.column),
        (vec!["> ps".to_string()], 2)
    );
}

#[test]
fn editing_keys() {
    for (keys, expected) in [
        (&b"abc\x7f\x7fx\r"[..], "ax"),
        (b"bc\x01a\x05d\r", "abcd"),
        (b"abc\x1b[D\x1b[D\x1b[3~\r", "ac"),
        (b"abc\x1b[H\x04\r", "bc"),
        (b"abc\x1b[D\x0b\r", "ab"),
        (b"abc\x1b[D\x15\r", "c"),
        (b"run  one two \x17\x17x\r", "run  x"),
        (b"one two\x1bb\x1bb\x1bfx\r", "onex two"),
        (b"\x7f\x1b[3~\x1b[D\x1b[C\x0b\x15\x17\r", ""),
    ] {
        assert_eq!(typed(keys).0, [line(expected)], "{keys:?}");
    }
}

#[test]
fn history_keys() {
    let (outcomes, ..) = typed(b"one\rtwo\r\x1b[A\x1b[A\r\x1b[Ax\r\x1b[A\x1b[B\x1b[B\r");
    assert_eq!(
        outcomes,
        [
            line("one"),
            line("two"),
            line("one"),
            line("onex"),
            line("")
        ]
    );
}

#[test]
fn control_c_and_control_d() {
    let (outcomes, terminal, _) = typed(b"abc\x03x\x04\x7f\x04");
    assert_eq!(outcomes, [Outcome::Cancelled, Outcome::EndOfInput]);
    assert_eq!(terminal.above[0], "> abc^C");
}

#[test]
fn completion() {
    assert_eq!(typed(b"m\t").1.row(), "> mem ");
    assert_eq!(typed(b"run b\t").1.row(), "> run bin/");
    assert_eq!(typed(b"run bin/hel\tx").1.row(), "> run bin/hello x");
    assert_eq!(typed(b"nothing\t").1.row(), "> nothing");
    let (_, terminal, _) = typed(b"h\t");
    assert_eq!(terminal.row(), "> h");
    assert_eq!(terminal.above, ["> h", "help      history"]);
}

#[test]
fn completion_in_the_middle_leaves_what_follows() {
    let (outcomes, ..) = typed(b"x\x01me\t\r");
    assert_eq!(outcomes, [line("mem x")]);
}

#[test]
fn many_completions_are_counted_not_shown() {
    struct Many;
    impl Complete for Many {
        fn complete(&mut self, _: &str) -> Vec<String> {
            (0..5000).map(|number| format!("{number}")).collect()
        }
    }
    let (mut editor, mut screen) = (Editor::new("> "), String::new());
    editor.press(Key::Tab, &mut screen, &mut Many);
    assert!(screen.contains("... and 4900 more\n"), "{screen}");
}

#[test]
fn a_line_cannot_grow_without_bound() {
    let mut keys = vec![b'a'; LINE_BYTES + 100];
    keys.extend(b"\x7f\r");
    assert_eq!(typed(&keys).0, [line(&"a".repeat(LINE_BYTES - 1))]);
}

#[test]
fn clearing_keeps_the_line() {
    let (mut editor, mut screen) = (Editor::new("> "), String::new());
    editor.press(Key::Text(b'a'), &mut screen, &mut Words(&[]));
    screen.clear();
    editor.press(Key::Clear, &mut screen, &mut Words(&[]));
    assert_eq!(screen, "\x1b[H\x1b[2J\r> a\x1b[K");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is typed, the row shows the prompt and the part of the line around the cursor.
    #[test]
    fn what_is_shown_is_what_is_there(
        keys in proptest::collection::vec(
            prop_oneof![
                6 => (b' '..=b'~').prop_map(|byte| vec![byte]),
                2 => prop::sample::select(vec![b"\x1b[D".to_vec(), b"\x1b[C".to_vec(), b"\x1b[H".to_vec(), b"\x1b[F".to_vec()]),
                1 => prop::sample::select(vec![1u8, 4, 5, 8, 0x0b, 0x15, 0x17, 9, 0x7f, b'\r']).prop_map(|byte| vec![byte]),
                1 => prop::sample::select(vec![b"\x1b[A".to_vec(), b"\x1b[B".to_vec(), b"\x1b[3~".to_vec(), b"0123456789".repeat(9)]),
                1 => any::<u8>().prop_filter("clears the screen", |byte| *byte != 0x0c).prop_map(|byte| vec![byte]),
            ],
            0..60,
        )
    ) {
        let (_, terminal, editor) = typed(&keys.concat());
        let cursor_in_row = terminal.column - 2;
        let start = editor.cursor - cursor_in_row;
        let shown = &terminal.row()[2..];
        prop_assert_eq!(shown, &editor.line[start..][..shown.len()]);
        prop_assert!(terminal.row().starts_with("> ") && terminal.column < COLUMNS);
        prop_assert!(shown.len() >= editor.line.len().min(COLUMNS / 2));
    }
}

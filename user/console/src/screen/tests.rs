use super::*;
use proptest::prelude::*;
use std::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

const SHELL: Writer = Writer::Client(1);
const OTHER: Writer = Writer::Client(2);
const THIRD: Writer = Writer::Client(3);

/// What a terminal shows at the end, and the most that one write put out.
fn shown(writes: &[(Writer, &str)]) -> Vec<String> {
    let mut screen = Screen::new();
    let mut out = Vec::new();
    for (writer, text) in writes {
        let before = out.len();
        screen.write(*writer, text.as_bytes(), &mut out);
        assert!(out.len() - before <= Screen::most(text.len()));
    }
    terminal(&out)
}

/// The rows of a terminal of infinite width.
fn terminal(bytes: &[u8]) -> Vec<String> {
    let (mut rows, mut column) = (vec![Vec::new()], 0);
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        let row = rows.last_mut().expect("there is one");
        match first {
            b'\n' => {
                rows.push(Vec::new());
                column = 0;
            }
            b'\r' => column = 0,
            0x1b => {
                let end = rest
                    .iter()
                    .position(|byte| byte.is_ascii_alphabetic() || *byte == CANCEL);
                let end = end.expect("the sequence ends");
                match rest[end] {
                    b'K' => row.truncate(column),
                    b'D' => column -= 1,
                    _ => {}
                }
                rest = &rest[end + 1..];
            }
            byte => {
                row.resize(row.len().max(column + 1), b' ');
                row[column] = *byte;
                column += 1;
            }
        }
    }
    rows.iter()
        .map(|row| String::from_utf8_lossy(row).to_string())
        .collect()
}

#[test]
fn whole_lines_come_as_they_are() {
    let mut screen = Screen::new();
    let mut out = Vec::new();
    screen.write(Writer::Kernel, b"one\ntwo\n", &mut out);
    screen.write(OTHER, b"three\n", &mut out);
    assert_eq!(out, b"one\ntwo\nthree\n");
}

#[test]
fn a_line_goes_above_the_one_being_typed() {
    assert_eq!(
        shown(&[(SHELL, "> ab"), (Writer::Kernel, "hello\n"), (SHELL, "c")]),
        ["hello", "> abc"]
    );
}

#[test]
fn a_row_that_was_rewritten_is_repeated_as_it_is_now() {
    let rewritten = "\r> b\x1b[K\x1b[D";
    assert_eq!(
        shown(&[
            (SHELL, "> ab"),
            (SHELL, rewritten),
            (OTHER, "x\n"),
            (SHELL, "c")
        ]),
        ["x", "> c"]
    );
}

#[test]
fn half_lines_wait_until_they_are_whole() {
    assert_eq!(
        shown(&[
            (SHELL, "> "),
            (OTHER, "a"),
            (THIRD, "1"),
            (OTHER, "b\n"),
            (THIRD, "2\n")
        ]),
        ["ab", "12", "> "]
    );
}

#[test]
fn half_lines_follow_when_the_row_is_free() {
    assert_eq!(
        shown(&[(SHELL, "> "), (OTHER, "a"), (SHELL, "ls\n"), (OTHER, "b")]),
        ["> ls", "ab"]
    );
}

#[test]
fn half_lines_that_get_too_long_end() {
    let long = "x".repeat(HELD_BYTES);
    assert_eq!(
        shown(&[(SHELL, "> "), (OTHER, &long), (OTHER, "y")]),
        [&[&long, "y"].concat(), "> "]
    );
}

#[test]
fn who_waits_for_input_is_shown() {
    let mut screen = Screen::new();
    let mut out = Vec::new();
    screen.write(OTHER, b"half", &mut out);
    screen.write(SHELL, b"> ", &mut out);
    screen.focus(SHELL, &mut out);
    screen.focus(SHELL, &mut out);
    screen.write(SHELL, b"l", &mut out);
    assert_eq!(terminal(&out), ["half", "> l"]);
}

#[test]
fn a_row_too_long_to_repeat_is_continued() {
    let long = "x".repeat(ROW_BYTES + 1);
    assert_eq!(
        shown(&[(SHELL, &long), (OTHER, "a\n"), (SHELL, "y"), (OTHER, "b\n")]),
        [&long, "a", "b", "y"]
    );
}

#[test]
fn a_sequence_cut_in_two_is_cancelled_and_repeated() {
    assert_eq!(
        shown(&[(SHELL, "> ab\x1b["), (OTHER, "x\n"), (SHELL, "Dc")]),
        ["x", "> ac"]
    );
    assert!(ends_inside_sequence(b"a\x1b") && ends_inside_sequence(b"\x1b[K\x1b[12;"));
    assert!(!ends_inside_sequence(b"\x1b[K") && !ends_inside_sequence(b"ab"));
}

#[test]
fn at_the_end_half_lines_are_shown() {
    let mut screen = Screen::new();
    let mut out = Vec::new();
    for (writer, text) in [(SHELL, "> "), (OTHER, "half"), (THIRD, "another")] {
        screen.write(writer, text.as_bytes(), &mut out);
    }
    let before = out.len();
    screen.finish(&mut out);
    assert!(out.len() - before <= Screen::MOST_HELD);
    let shown = terminal(&out);
    let ends: Vec<&str> = shown.iter().map(|row| row.trim_end()).collect();
    assert_eq!(ends, [">", "half", "another", ""]);
    let before = out.len();
    screen.finish(&mut out);
    assert_eq!(out.len(), before, "there is nothing more");
}

proptest! {
    /// Each writer's lines come whole and in order, however the writers are mixed; nothing is lost.
    #[test]
    fn lines_are_never_mixed(pieces in proptest::collection::vec((0_u64..5, "[a-z]{0,12}", any::<bool>()), 0..60)) {
        let mut written: [String; 5] = Default::default();
        let mut writes = vec![];
        for (writer, text, ends) in &pieces {
            // Every line says whose it is.
            let writer = *writer as usize;
            let begins = written[writer].is_empty() || written[writer].ends_with('\n');
            let mark = if begins { writer.to_string() } else { String::new() };
            let text = [mark.as_str(), text, if *ends { "\n" } else { "" }].concat();
            written[writer] += &text;
            writes.push((Writer::Client(writer as u64), text));
        }
        // At the end everybody ends the line.
        for (writer, all) in written.iter_mut().enumerate() {
            if !all.is_empty() && !all.ends_with('\n') {
                *all += "\n";
                writes.push((Writer::Client(writer as u64), "\n".into()));
            }
        }
        let writes: Vec<_> = writes.iter().map(|(writer, text)| (*writer, text.as_str())).collect();
        let rows = shown(&writes);
        for (writer, all) in written.iter().enumerate() {
            let mark = writer.to_string();
            let theirs: String = rows.iter().filter(|row| row.starts_with(&mark)).map(|row| [row, "\n"].concat()).collect();
            prop_assert_eq!(&theirs, all);
        }
    }
}

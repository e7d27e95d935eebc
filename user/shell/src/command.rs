//! From a line to a command: pure, so that a host test can try every line.
//!
//! A line is words parted by blanks; what stands between double quotes is one word, blanks
//! included. Every way to be wrong is a [`CommandError`] that names the word, because the reader may
//! sit before a prompt for the first time.

use crate::about::{About, about, near};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// Of `log` without a number.
const LOG_LINES: u64 = 20;
/// More than are ever kept.
const MOST_LINES: u64 = 100_000;

/// What the shell is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An empty line.
    Nothing,
    /// Everything, or about one command.
    Help(Option<&'static About>),
    /// Processes.
    Ps,
    /// Processes and CPUs, again and again.
    Top,
    /// What is in a directory, or how large a file is.
    Ls(String),
    /// What is in files.
    Cat(Vec<String>),
    /// Start a program.
    Run {
        /// Its file. A name without a slash is one of the programs.
        path: String,
        /// What it is given.
        arguments: Vec<String>,
        /// Whether the prompt comes back at once.
        wait: Wait,
    },
    /// End a process.
    Kill(Target),
    /// Memory, of the machine and of processes.
    Mem,
    /// Interrupts that drivers serve.
    Irq,
    /// The kernel's interrupt storm.
    Storm {
        /// Its parameters: key and value.
        parameters: Vec<(String, String)>,
        /// Whether the shell waits until it is over.
        wait: Wait,
    },
    /// The kernel's measurements, all or one group.
    Bench(Option<String>),
    /// The last so many lines of the kernel.
    Log(usize),
    /// Switch off, with that status.
    Exit(u8),
}

/// Whether the shell waits for what it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until it has ended.
    ForEnd,
    /// Not at all: the line ended in `&`.
    No,
}

/// Who is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process's number, from `ps`.
    Number(u32),
    /// A process's name.
    Name(String),
}

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such command; perhaps one that is spelt nearly so.
    Unknown {
        /// The word.
        word: String,
        /// What it may have been meant to be.
        near: Option<&'static str>,
    },
    /// A quote that does not end.
    OpenQuote,
    /// An `&` where there can be none.
    Ampersand,
    /// Something more is needed.
    Missing(&'static About),
    /// A word too many.
    TooMuch {
        /// The command.
        command: &'static About,
        /// The first word that it does not take.
        word: String,
    },
    /// A word that is no number, or not in the range.
    Number {
        /// The word.
        word: String,
        /// The largest that would do.
        most: u64,
    },
    /// A word that should have been `key=value`.
    KeyValue {
        /// The word.
        word: String,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown {
                word,
                near: Some(near),
            } => {
                write!(
                    f,
                    "there is no command '{}'; did you mean '{near}'?",
                    Shown(word)
                )
            }
            Self::Unknown { word, near: None } => {
                write!(
                    f,
                    "there is no command '{}'; 'help' lists them",
                    Shown(word)
                )
            }
            Self::OpenQuote => f.write_str("a quote \" is opened and not closed"),
            Self::Ampersand => f.write_str("'&' belongs at the end of 'run' or 'storm'"),
            Self::Missing(command) => write!(f, "usage: {command}"),
            Self::TooMuch { command, word } => {
                write!(f, "'{}' is too much; usage: {command}", Shown(word))
            }
            Self::Number { word, most } => {
                write!(f, "'{}' is not a number from 0 to {most}", Shown(word))
            }
            Self::KeyValue { word } => {
                write!(
                    f,
                    "'{}' should be key=value, such as seconds=2",
                    Shown(word)
                )
            }
        }
    }
}

/// A word as errors show it: what is long is cut.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(40) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}...", &self.0[..end]),
        }
    }
}

/// What `line` asks for.
///
/// # Errors
/// A [`CommandError`] that says what is wrong with which word.
pub fn parse(line: &str) -> Result<Command, CommandError> {
    let (words, wait) = words(line)?;
    let Some((name, rest)) = words.split_first() else {
        return match wait {
            Wait::ForEnd => Ok(Command::Nothing),
            Wait::No => Err(CommandError::Ampersand),
        };
    };
    let command = known(name)?;
    if wait == Wait::No && !["run", "storm"].contains(&command.name) {
        return Err(CommandError::Ampersand);
    }
    match command.name {
        "help" => Ok(Command::Help(match at_most_one(command, rest)? {
            None => None,
            Some(word) => Some(known(word)?),
        })),
        "ls" => {
            let path = at_most_one(command, rest)?.map_or("/", String::as_str);
            Ok(Command::Ls(path.into()))
        }
        "cat" if rest.is_empty() => Err(CommandError::Missing(command)),
        "cat" => Ok(Command::Cat(rest.to_vec())),
        "run" => match rest.split_first() {
            None => Err(CommandError::Missing(command)),
            Some((program, arguments)) => Ok(Command::Run {
                path: program.clone(),
                arguments: arguments.to_vec(),
                wait,
            }),
        },
        "kill" => match at_most_one(command, rest)? {
            None => Err(CommandError::Missing(command)),
            Some(word) => Ok(Command::Kill(target(word)?)),
        },
        "storm" => {
            let parameters: Result<_, _> = rest.iter().map(|word| key_value(word)).collect();
            Ok(Command::Storm {
                parameters: parameters?,
                wait,
            })
        }
        "bench" => Ok(Command::Bench(at_most_one(command, rest)?.cloned())),
        "log" => {
            let lines = at_most_one(command, rest)?
                .map_or(Ok(LOG_LINES), |word| number(word, MOST_LINES))?;
            Ok(Command::Log(lines as usize))
        }
        "exit" => {
            let status =
                at_most_one(command, rest)?.map_or(Ok(0), |word| number(word, u8::MAX.into()))?;
            Ok(Command::Exit(status as u8))
        }
        without_arguments => {
            if let Some(word) = rest.first() {
                return Err(too_much(command, word));
            }
            Ok(match without_arguments {
                "ps" => Command::Ps,
                "top" => Command::Top,
                "mem" => Command::Mem,
                _ => Command::Irq,
            })
        }
    }
}

/// The words of a line, and whether it ends in `&`.
fn words(line: &str) -> Result<(Vec<String>, Wait), CommandError> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut wait = Wait::ForEnd;
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ if wait == Wait::No => return Err(CommandError::Ampersand),
            '&' if !quoted => {
                words.extend(word.take());
                wait = Wait::No;
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    if quoted {
        return Err(CommandError::OpenQuote);
    }
    words.extend(word);
    Ok((words, wait))
}

fn known(name: &str) -> Result<&'static About, CommandError> {
    about(name).ok_or_else(|| CommandError::Unknown {
        word: name.into(),
        near: near(name),
    })
}

fn at_most_one<'a>(
    command: &'static About,
    words: &'a [String],
) -> Result<Option<&'a String>, CommandError> {
    match words {
        [] => Ok(None),
        [word] => Ok(Some(word)),
        [_, word, ..] => Err(too_much(command, word)),
    }
}

fn too_much(command: &'static About, word: &str) -> CommandError {
    CommandError::TooMuch {
        command,
        word: word.into(),
    }
}

fn target(word: &str) -> Result<Target, CommandError> {
    match word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(Target::Number(number(word, u32::MAX.into())? as u32)),
        false => Ok(Target::Name(word.into())),
    }
}

fn key_value(word: &str) -> Result<(String, String), CommandError> {
    match word.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok((key.into(), value.into()))
        }
        _ => Err(CommandError::KeyValue { word: word.into() }),
    }
}

fn number(word: &str, most: u64) -> Result<u64, CommandError> {
    match word.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(CommandError::Number {
            word: word.into(),
            most,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about::COMMANDS;
    use proptest::prelude::*;
    use std::{string::ToString, vec};

    fn error(line: &str) -> String {
        parse(line).unwrap_err().to_string()
    }

    fn run(path: &str, arguments: &[&str], wait: Wait) -> Result<Command, CommandError> {
        Ok(Command::Run {
            path: path.into(),
            arguments: arguments.iter().map(|word| word.to_string()).collect(),
            wait,
        })
    }

    fn storm(parameters: &[(&str, &str)], wait: Wait) -> Command {
        Command::Storm {
            parameters: parameters
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
            wait,
        }
    }

    #[test]
    fn each_command_is_known() {
        for (line, command) in [
            ("", Command::Nothing),
            ("   \t ", Command::Nothing),
            ("help", Command::Help(None)),
            ("help ps", Command::Help(about("ps"))),
            ("ps", Command::Ps),
            ("top", Command::Top),
            ("ls", Command::Ls("/".into())),
            ("ls /disk", Command::Ls("/disk".into())),
            ("cat /a /b", Command::Cat(vec!["/a".into(), "/b".into()])),
            ("kill 7", Command::Kill(Target::Number(7))),
            (
                "kill console",
                Command::Kill(Target::Name("console".into())),
            ),
            ("mem", Command::Mem),
            ("irq", Command::Irq),
            ("storm", storm(&[], Wait::ForEnd)),
            ("storm &", storm(&[], Wait::No)),
            (
                "storm seconds=2 seed=7",
                storm(&[("seconds", "2"), ("seed", "7")], Wait::ForEnd),
            ),
            ("bench", Command::Bench(None)),
            ("bench ipc", Command::Bench(Some("ipc".into()))),
            ("log", Command::Log(20)),
            ("log 3", Command::Log(3)),
            ("exit", Command::Exit(0)),
            ("exit 255", Command::Exit(255)),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn every_command_that_help_lists_is_parsed_as_itself() {
        for command in COMMANDS {
            let parsed = parse(command.name);
            let same = |name: &str| command.name == name;
            match parsed {
                Ok(Command::Irq) => assert!(same("irq")),
                Ok(_) => assert!(!same("irq")),
                Err(CommandError::Missing(missing)) => assert_eq!(missing, command),
                Err(error) => panic!("{}: {error}", command.name),
            }
        }
    }

    #[test]
    fn programs() {
        assert_eq!(
            parse("run hello a b"),
            run("hello", &["a", "b"], Wait::ForEnd)
        );
        assert_eq!(parse("run /extra/x &"), run("/extra/x", &[], Wait::No));
        assert_eq!(parse("run spin& "), run("spin", &[], Wait::No));
        assert_eq!(
            parse("run hello \"a  b\" \"\" \"&\""),
            run("hello", &["a  b", "", "&"], Wait::ForEnd)
        );
        assert_eq!(parse("run he\"ll\"o"), run("hello", &[], Wait::ForEnd));
    }

    #[test]
    fn errors_name_what_was_wrong() {
        for (line, text) in [
            ("hlep", "there is no command 'hlep'; did you mean 'help'?"),
            ("foo", "there is no command 'foo'; 'help' lists them"),
            ("help foo", "there is no command 'foo'; 'help' lists them"),
            ("cat", "usage: cat path ..."),
            ("run", "usage: run program [argument ...] [&]"),
            ("kill", "usage: kill number | name"),
            (
                "kill 99999999999",
                "'99999999999' is not a number from 0 to 4294967295",
            ),
            ("ps all", "'all' is too much; usage: ps"),
            ("ls a b", "'b' is too much; usage: ls [path]"),
            ("storm 5", "'5' should be key=value, such as seconds=2"),
            ("log -1", "'-1' is not a number from 0 to 100000"),
            ("exit 256", "'256' is not a number from 0 to 255"),
            ("run \"a", "a quote \" is opened and not closed"),
            ("ps &", "'&' belongs at the end of 'run' or 'storm'"),
            ("run a & b", "'&' belongs at the end of 'run' or 'storm'"),
            ("&", "'&' belongs at the end of 'run' or 'storm'"),
        ] {
            assert_eq!(error(line), text, "{line}");
        }
    }

    #[test]
    fn a_very_long_word_makes_a_short_error() {
        assert_eq!(
            error(&"é".repeat(500)).chars().count(),
            "there is no command ''; 'help' lists them".len() + 43
        );
    }

    proptest! {
        #[test]
        fn no_line_breaks_it(line: String) {
            if let Err(error) = parse(&line) {
                prop_assert!(error.to_string().chars().count() < 160);
            }
        }

        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[^\"]*", 1..5)) {
            let line: Vec<_> = words.iter().map(|word| ["\"", word, "\""].concat()).collect();
            let parsed = super::words(&line.join(" "));
            prop_assert_eq!(parsed, Ok((words, Wait::ForEnd)));
        }
    }
}

//! What each command is for: the table behind `help`, behind completion and behind every "usage:".

use core::fmt;

/// What `help` says of a command.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Its word.
    pub name: &'static str,
    /// What may follow the word.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What else there is to know, in lines.
    pub details: &'static [&'static str],
}

impl fmt::Display for About {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.arguments {
            "" => Ok(()),
            arguments => write!(f, " {arguments}"),
        }
    }
}

/// All commands, in the order of `help`.
pub const COMMANDS: &[About] = &[
    About {
        name: "help",
        arguments: "[command]",
        summary: "this list, or more about one command",
        details: &[],
    },
    About {
        name: "ls",
        arguments: "[path]",
        summary: "show what is in a directory",
        details: &[
            "/bin holds the programs, /extra those that make image EXTRA= has added, and",
            "/disk is the disk: what there is of them.",
            "Example: ls /bin",
        ],
    },
    About {
        name: "cat",
        arguments: "path ...",
        summary: "show what is in a file",
        details: &["Bytes that are no text are shown as dots. Control-C stops."],
    },
    About {
        name: "run",
        arguments: "program [argument ...] [&]",
        summary: "start a program and wait until it ends",
        details: &[
            "A program is a file; a name without a slash is one in /bin, else in /extra.",
            "Control-C ends the program. With & at the end the shell does not wait.",
            "Examples: run hello world      run spin &      run /disk/program",
        ],
    },
    About {
        name: "ps",
        arguments: "",
        summary: "list the processes",
        details: &[
            "number, name, state; threads; handles; memory used and the most it may use;",
            "how long its threads have run on a CPU.",
        ],
    },
    About {
        name: "top",
        arguments: "",
        summary: "watch CPUs and processes until a key is hit",
        details: &[
            "Per CPU, of the last second: how busy it was; NMIs, interrupts, switches of",
            "thread, preemptions.",
        ],
    },
    About {
        name: "kill",
        arguments: "number | name",
        summary: "end a process; a service is started again",
        details: &[
            "The number is that of ps; a name must be that of one process only.",
            "Example: kill console",
        ],
    },
    About {
        name: "mem",
        arguments: "",
        summary: "show how much memory there is and who has it",
        details: &[],
    },
    About {
        name: "irq",
        arguments: "",
        summary: "show the interrupts that drivers wait for",
        details: &[],
    },
    About {
        name: "log",
        arguments: "[lines]",
        summary: "show the last lines that the kernel printed",
        details: &["20 lines if no number is given."],
    },
    About {
        name: "storm",
        arguments: "[key=value ...] [&]",
        summary: "let non-maskable interrupts rain on every CPU",
        details: &[
            "The kernel checks itself meanwhile, and says at the end what it found.",
            "With & at the end the shell does not wait; Control-C does not stop a storm.",
            "Keys: seconds (5), seed, nmis (stop after so many), rate (NMIs a second).",
            "Example: storm seconds=2",
        ],
    },
    About {
        name: "bench",
        arguments: "[group]",
        summary: "count what the kernel's operations cost",
        details: &[],
    },
    About {
        name: "exit",
        arguments: "[status]",
        summary: "switch the machine off",
        details: &["Status 0, which is also the default, says that all went well; up to 255."],
    },
];

/// The command of that name.
pub fn about(name: &str) -> Option<&'static About> {
    COMMANDS.iter().find(|about| about.name == name)
}

/// A command whose name is at most two wrong, missing or superfluous letters away.
pub fn near(name: &str) -> Option<&'static str> {
    let wrong = |about: &&About| distance(about.name, name);
    let nearest = COMMANDS.iter().min_by_key(wrong)?;
    // `ps` is two letters away from anything of two letters: at least half of a word must be right.
    (wrong(&nearest) <= 2.min(nearest.name.len() / 2)).then_some(nearest.name)
}

/// How many letters to insert, delete or change to get from one to the other (Levenshtein), row by
/// row of the table of all their beginnings. Far more than 2 is not counted out.
fn distance(known: &str, typed: &str) -> usize {
    const LONGEST: usize = 8;
    if typed.len() > LONGEST {
        return usize::MAX;
    }
    let mut row: [usize; LONGEST + 1] = core::array::from_fn(|column| column);
    for (line, ours) in known.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, theirs) in typed.bytes().enumerate() {
            let changed = diagonal + usize::from(ours != theirs);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[typed.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, string::ToString};

    #[test]
    fn names_differ_and_lines_fit_a_terminal() {
        let names: BTreeSet<_> = COMMANDS.iter().map(|about| about.name).collect();
        assert_eq!(names.len(), COMMANDS.len());
        for about in COMMANDS {
            assert!(
                about.to_string().len() < 32 && about.summary.len() <= 46,
                "{about:?}"
            );
            assert!(
                about.details.iter().all(|line| line.len() <= 78),
                "{about:?}"
            );
        }
    }

    #[test]
    fn what_is_nearly_a_command_is_recognised() {
        for (typed, meant) in [
            ("hlep", Some("help")),
            ("stom", Some("storm")),
            ("kil", Some("kill")),
            ("pss", Some("ps")),
            ("quit", Some("exit")),
            ("reboot", None),
            ("", None),
            ("aaaaaaaaaaaaaaaaaaaa", None),
            ("xy", None),
        ] {
            assert_eq!(near(typed), meant, "{typed}");
        }
    }
}

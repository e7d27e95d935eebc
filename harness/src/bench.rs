//! Instruction counts beside goals and peers.
//!
//! The kernel counts, under `-icount`, and prints one line for each operation:
//!
//! ```text
//! bench: <name> | <group> | <marker> | <min> | <median> | <max>
//! ```
//!
//! What a good number would be, it does not know: the goals and the peers stand here, in one
//! table. Instructions are not cycles (a barrier or a device access counts one like any other), and
//! everything that is printed or written says so.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What the numbers are, for whoever sees them.
pub const UNIT: &str = "guest instructions; these are not cycles: a barrier or a device access \
                        counts one like any other";

/// One operation as the kernel measured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Its name: what the goals are found by.
    pub name: String,
    /// Which run measures it.
    pub group: String,
    /// The marker that encloses it, for a counter outside the guest.
    pub marker: String,
    /// The fewest instructions seen.
    pub min: u64,
    /// As many as half of the times.
    pub median: u64,
    /// The most.
    pub max: u64,
}

impl Measurement {
    /// All measurements in a run's output.
    ///
    /// # Errors
    /// On a line that begins as one but is none, or measures what another did.
    pub fn all(text: &str) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let Some(fields) = line.trim_end().strip_prefix("bench: ") {
                let new = Self::parse(fields).with_context(|| format!("in the line `{line}`"))?;
                let twice = all.iter().any(|old| old.name == new.name);
                ensure!(!twice, "`{}` is measured twice", new.name);
                all.push(new);
            }
        }
        Ok(all)
    }

    fn parse(fields: &str) -> Result<Self> {
        let fields: Vec<&str> = fields.split('|').map(str::trim).collect();
        let [name, group, marker, min, median, max] = fields[..] else {
            anyhow::bail!("there are {} fields, not 6", fields.len());
        };
        let number = |text: &str| {
            text.parse::<u64>()
                .with_context(|| format!("`{text}` is no number of instructions"))
        };
        Ok(Self {
            name: name.to_owned(),
            group: group.to_owned(),
            marker: marker.to_owned(),
            min: number(min)?,
            median: number(median)?,
            max: number(max)?,
        })
    }
}

/// What an operation should cost, and what it costs others.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The operation's name, as the kernel prints it.
    pub name: &'static str,
    /// The operation in words.
    pub title: &'static str,
    /// At most so many instructions.
    pub goal: u64,
    /// Linux 6.12, masking by PMR.
    pub linux_pmr: Option<u64>,
    /// The same source, masking by DAIF.
    pub linux_daif: Option<u64>,
    /// seL4 16.0, fastpath on.
    pub sel4: Option<u64>,
}

/// A row of the table: name, words, goal; Linux by PMR, by DAIF, seL4 (0 where there is none).
const fn goal(name: &'static str, title: &'static str, goal: u64, peers: [u64; 3]) -> Goal {
    const fn some(number: u64) -> Option<u64> {
        if number == 0 { None } else { Some(number) }
    }
    Goal {
        name,
        title,
        goal,
        linux_pmr: some(peers[0]),
        linux_daif: some(peers[1]),
        sel4: some(peers[2]),
    }
}

/// All goals. How the peers were measured: docs/src/benchmarks.md.
#[rustfmt::skip]
pub const GOALS: &[Goal] = &[
    goal("null-syscall",           "null system call, seen by EL0",                    60, [282, 262, 91]),
    goal("call-reply-4",           "call + reply, 4 words, no FP state",              300, [7_550, 0, 408]),
    goal("call-reply-4-fp",        "call + reply, 4 words, FP state kept apart",      400, [7_550, 0, 512]),
    goal("call-reply-10",          "call + reply, 10 words",                          600, [0, 0, 1_392]),
    goal("signal-to-waiter",       "signal -> a waiting higher thread runs",          300, [0, 0, 657]),
    goal("yield",                  "yield to another thread, one way",                180, [1_335, 0, 330]),
    goal("irq-to-el0",             "device interrupt -> EL0 handler runs",            300, [0, 0, 381]),
    goal("irq-episode",            "the same, until the interrupted thread resumes",  700, [0, 0, 1_202]),
    goal("fault-to-handler",       "EL0 fault -> its EL0 handler runs",               300, [3_096, 0, 512]),
    goal("fault-and-back",         "EL0 fault -> handler -> resumed",                 600, [4_709, 0, 1_131]),
    goal("page-fault",             "page fault served by an EL0 pager",             1_000, [1_907, 0, 1_730]),
    goal("timer-irq-el0",          "timer interrupt from EL0: vector -> handler",     120, [301, 273, 0]),
    goal("irq-el1",                "smallest interrupt at EL1: vector -> eret",       220, [489, 439, 0]),
    goal("sgi-to-handler",         "self-SGI: raise -> handler",                      150, [489, 451, 0]),
    goal("sgi-to-resumed",         "self-SGI: handler -> resumed code",               100, [194, 183, 0]),
    goal("pmu-nmi-el0",            "PMU overflow as NMI, from EL0: vector -> handler", 120, [406, 0, 0]),
    goal("pmu-nmi-el1",            "PMU overflow as NMI, from EL1: vector -> handler", 120, [375, 0, 0]),
    goal("profiler-sample",        "one profiler sample, vector -> eret",             400, [1_954, 0, 0]),
    goal("mask-restore",           "mask + restore IRQs",                               5, [10, 3, 0]),
    goal("mask-restore-daif",      "mask + restore IRQs by DAIF",                       4, [10, 3, 0]),
    goal("lock-unlock",            "lock + unlock with IRQs masked",                   24, [48, 40, 0]),
    goal("tick-el0",               "kernel tick from EL0, vector -> eret",            130, [3_054, 0, 135]),
    goal("thread-create-join",     "thread create + run + join",                    2_500, [22_396, 0, 0]),
    goal("process-create-reap",    "process create (ELF) + run + reap",            40_000, [150_139, 0, 0]),
    goal("wake-up",                "wake-up of a sleeping EL0 thread, idle CPU",      700, [2_834, 0, 0]),
    goal("reset-to-el0",           "reset -> first EL0 instruction",            2_000_000, [42_800_000, 0, 4_250_000]),
];

/// The measurements of a run, with what they are measured against.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<(Measurement, Option<&'static Goal>)>,
}

impl Report {
    /// Joins the measurements in a run's output with their goals.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn of(text: &str) -> Result<Self> {
        let measured = Measurement::all(text)?;
        ensure!(!measured.is_empty(), "the run measured nothing");
        let goal_of = |name: &str| GOALS.iter().find(|goal| goal.name == name);
        let rows = measured.into_iter().map(|row| (goal_of(&row.name), row));
        Ok(Self {
            rows: rows.map(|(goal, row)| (row, goal)).collect(),
        })
    }

    /// The report for programs. `qemu` is its version, `command` what measures the same again.
    pub fn to_json(&self, qemu: &str, command: &str) -> Value {
        let operations: Vec<Value> = self
            .rows
            .iter()
            .map(|(row, goal)| {
                json!({
                    "name": row.name,
                    "group": row.group,
                    "marker": row.marker,
                    "instructions": row.median,
                    "goal": goal.map(|goal| goal.goal),
                    "peers": {
                        "linux_pmr": goal.and_then(|goal| goal.linux_pmr),
                        "linux_daif": goal.and_then(|goal| goal.linux_daif),
                        "sel4": goal.and_then(|goal| goal.sel4),
                    },
                    "min": row.min,
                    "max": row.max,
                })
            })
            .collect();
        json!({ "unit": UNIT, "qemu": qemu, "command": command, "operations": operations })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "operation",
            "Petrel",
            "goal",
            "",
            "Linux PMR",
            "[DAIF]",
            "seL4",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for (row, goal) in &self.rows {
            let peer =
                |of: fn(&Goal) -> Option<u64>| goal.and_then(of).map_or("-".into(), thousands);
            rows.push([
                goal.map_or(row.name.as_str(), |goal| goal.title).to_owned(),
                thousands(row.median),
                goal.map_or("-".to_owned(), |goal| thousands(goal.goal)),
                match goal {
                    Some(goal) if row.median > goal.goal => "over".to_owned(),
                    _ => String::new(),
                },
                peer(|goal| goal.linux_pmr),
                peer(|goal| goal.linux_daif),
                peer(|goal| goal.sel4),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        for row in &rows {
            write!(f, "{:<w$}", row[0], w = width(0))?;
            for (column, cell) in row.iter().enumerate().skip(1) {
                write!(f, "  {cell:>w$}", w = width(column))?;
            }
            writeln!(f)?;
        }
        write!(f, "Medians, in {UNIT}.")
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "hello\n\
        bench: null-syscall | syscall | 0 | 58 | 59 | 61\r\n\
        bench: something new | other | - | 1 | 1234567 | 1234567\n\
        petrel: PASS bench\n";

    #[test]
    fn a_measurement_meets_its_goal_and_its_peers() {
        let json = Report::of(OUTPUT)
            .expect("two rows")
            .to_json("10.0", "make bench");
        let rows = json["operations"].as_array().expect("a list");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["name"], "null-syscall");
        assert_eq!(rows[0]["instructions"], 59);
        assert_eq!((&rows[0]["min"], &rows[0]["max"]), (&json!(58), &json!(61)));
        assert_eq!(rows[0]["goal"], 60);
        assert_eq!(
            rows[0]["peers"],
            json!({"linux_pmr": 282, "linux_daif": 262, "sel4": 91})
        );
        assert_eq!(rows[1]["goal"], Value::Null);
    }

    #[test]
    fn the_table_says_what_is_over_and_that_it_is_not_cycles() {
        let over = OUTPUT.replace("| 59 |", "| 61 |");
        let table = Report::of(&over).expect("two rows").to_string();
        assert!(table.lines().nth(1).expect("a row").contains("over"));
        assert!(table.contains("1,234,567") && table.contains("not cycles"));
    }

    #[test]
    fn bad_rows_are_named() {
        for (line, why) in [
            ("bench: a | b | c | 1 | 2", "5 fields"),
            ("bench: a | b | c | 1 | x | 2", "`x`"),
            ("bench: a|b|c|1|1|1\nbench: a|b|c|1|1|1", "twice"),
            ("petrel: PASS", "nothing"),
        ] {
            let error = format!("{:#}", Report::of(line).expect_err(why));
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn goals_have_names_of_their_own() {
        let mut names: Vec<_> = GOALS.iter().map(|goal| goal.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GOALS.len());
    }
}

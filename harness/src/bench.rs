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
//!
//! There are two runs, one for each way of masking, as there are two for the one peer that has both:
//! the numbers with ordinary interrupts masked by PMR are the kernel's, those by DAIF stand in
//! brackets.

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
    /// The number of the marker that encloses it, for a counter outside the guest; `None` if it
    /// begins at no instruction.
    pub marker: Option<u32>,
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
            marker: match marker {
                "-" => None,
                number => Some(
                    number
                        .parse()
                        .with_context(|| format!("`{number}` is no marker"))?,
                ),
            },
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
    pub goal: Option<u64>,
    /// The same, masking by DAIF, where that is another number.
    pub goal_daif: Option<u64>,
    /// Linux 6.12, masking by PMR.
    pub linux_pmr: Option<u64>,
    /// The same source, masking by DAIF.
    pub linux_daif: Option<u64>,
    /// seL4 16.0, fastpath on.
    pub sel4: Option<u64>,
}

/// A row of the table: name, words, goal; Linux by PMR, by DAIF, seL4 (0 where there is none).
/// Where Petrel's operation is a kernel thread's and the peers' a process's, no peer is given.
const fn goal(name: &'static str, title: &'static str, goal: u64, peers: [u64; 3]) -> Goal {
    const fn some(number: u64) -> Option<u64> {
        if number == 0 { None } else { Some(number) }
    }
    Goal {
        name,
        title,
        goal: some(goal),
        goal_daif: None,
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
    goal("empty",                  "nothing, between two markers",                      0, [0, 0, 0]),
    goal("trace-record",           "one trace record (always on)",                      0, [0, 0, 0]),
    goal("tick-to-handler",        "timer interrupt from EL1: vector -> handler",     120, [0, 0, 0]),
    goal("tick-el1",               "kernel tick from EL1, vector -> eret",            130, [0, 0, 0]),
    goal("nmi-el1",                "smallest NMI at EL1: vector -> eret",             220, [0, 0, 0]),
    goal("nmi-to-handler",         "NMI from EL1: vector -> handler (Linux: by PMU)", 120, [375, 0, 0]),
    goal("timer-nmi-to-handler",   "the same, from the timer",                        120, [375, 0, 0]),
    goal("fault-exit",             "kernel fault, skipped: vector -> eret",             0, [0, 0, 0]),
    goal("fault-preempt",          "kernel fault -> the thread it woke runs",           0, [0, 0, 0]),
    goal("thread-switch",          "yield to another kernel thread, one way",         180, [0, 0, 0]),
    goal("thread-wake-up",         "wake-up of a sleeping kernel thread, idle CPU",   700, [0, 0, 0]),
    goal("irq-el1",                "smallest interrupt at EL1: vector -> eret",       220, [489, 439, 0]),
    goal("sgi-to-handler",         "self-SGI: raise -> handler",                      150, [489, 451, 0]),
    goal("sgi-to-resumed",         "self-SGI: handler -> resumed code",               100, [194, 183, 0]),
    goal("pmu-nmi-el0",            "PMU overflow as NMI, from EL0: vector -> handler", 120, [406, 0, 0]),
    goal("pmu-nmi-el1",            "PMU overflow as NMI, from EL1: vector -> handler", 120, [375, 0, 0]),
    goal("profiler-sample",        "one profiler sample, vector -> eret",             400, [1_954, 0, 0]),
    Goal {
        goal_daif: Some(4),
        ..goal("mask-restore",     "mask + restore IRQs",                               5, [10, 3, 0])
    },
    goal("lock-unlock",            "lock + unlock with IRQs masked",                   24, [48, 40, 0]),
    goal("tick-el0",               "kernel tick from EL0, vector -> eret",            130, [3_054, 0, 135]),
    goal("thread-create-join",     "kernel thread create + run + join",             2_500, [0, 0, 0]),
    goal("user-thread-create-join", "EL0 thread create + run + join",                2_500, [22_396, 0, 0]),
    goal("process-create-reap",    "process create (ELF) + run + reap",            40_000, [150_139, 0, 0]),
    goal("wake-up",                "wake-up of a sleeping EL0 thread, idle CPU",      700, [2_834, 0, 0]),
    goal("reset-to-el0",           "reset -> first EL0 instruction",            2_000_000, [42_800_000, 0, 4_250_000]),
];

/// One operation with all that is known of it.
#[derive(Clone, Debug)]
struct Row {
    pmr: Measurement,
    daif: Option<Measurement>,
    goal: Option<&'static Goal>,
}

impl Row {
    fn peer(&self, of: fn(&Goal) -> Option<u64>) -> Option<u64> {
        self.goal.and_then(of)
    }

    /// What it should cost at most, masking by DAIF.
    fn goal_daif(&self) -> Option<u64> {
        self.peer(|goal| goal.goal_daif.or(goal.goal))
    }

    /// Whether one of the medians is over its goal.
    fn is_over(&self) -> bool {
        let over = |median: u64, goal: Option<u64>| goal.is_some_and(|at_most| median > at_most);
        over(self.pmr.median, self.peer(|goal| goal.goal))
            || self
                .daif
                .as_ref()
                .is_some_and(|daif| over(daif.median, self.goal_daif()))
    }
}

/// The measurements of both runs, with what they are measured against.
#[derive(Clone, Debug)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Joins the measurements in the output of a run with those of one that masks by DAIF, if there
    /// was one, and with their goals.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn of(pmr: &str, daif: Option<&str>) -> Result<Self> {
        let measured = Measurement::all(pmr)?;
        ensure!(!measured.is_empty(), "the run measured nothing");
        let daif = daif.map(Measurement::all).transpose()?.unwrap_or_default();
        let rows = measured.into_iter().map(|pmr| Row {
            daif: daif.iter().find(|daif| daif.name == pmr.name).cloned(),
            goal: GOALS.iter().find(|goal| goal.name == pmr.name),
            pmr,
        });
        Ok(Self {
            rows: rows.collect(),
        })
    }

    /// The report for programs. `qemu` is its version, `command` what measures the same again.
    ///
    /// `operations` are those of a plain `run=bench`; what `mask=daif run=bench` gives stands apart,
    /// under `daif`.
    pub fn to_json(&self, qemu: &str, command: &str) -> Value {
        let operation = |row: &Row, measured: &Measurement, goal: Option<u64>| {
            json!({
                "name": measured.name,
                "group": measured.group,
                "marker": measured.marker,
                "instructions": measured.median,
                "goal": goal,
                "peers": {
                    "linux_pmr": row.peer(|goal| goal.linux_pmr),
                    "linux_daif": row.peer(|goal| goal.linux_daif),
                    "sel4": row.peer(|goal| goal.sel4),
                },
                "min": measured.min,
                "max": measured.max,
            })
        };
        let rows = self.rows.iter();
        let pmr = rows.map(|row| operation(row, &row.pmr, row.peer(|goal| goal.goal)));
        let rows = self.rows.iter();
        let daif = rows.filter_map(|row| Some(operation(row, row.daif.as_ref()?, row.goal_daif())));
        json!({
            "unit": UNIT,
            "qemu": qemu,
            "command": command,
            "operations": pmr.collect::<Vec<_>>(),
            "daif": { "bootargs": "mask=daif run=bench", "operations": daif.collect::<Vec<_>>() },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "operation",
            "Petrel",
            "[DAIF]",
            "goal",
            "",
            "Linux PMR",
            "[DAIF]",
            "seL4",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        let number = |number: Option<u64>| number.map_or("-".to_owned(), thousands);
        let bracket = |number: Option<u64>| {
            number.map_or("-".to_owned(), |number| format!("[{}]", thousands(number)))
        };
        for row in &self.rows {
            let goal = row.peer(|goal| goal.goal);
            let goal = match row.goal_daif() {
                daif if daif == goal => number(goal),
                daif => format!("{} {}", number(goal), bracket(daif)),
            };
            rows.push([
                row.goal
                    .map_or(row.pmr.name.as_str(), |goal| goal.title)
                    .to_owned(),
                thousands(row.pmr.median),
                bracket(row.daif.as_ref().map(|daif| daif.median)),
                goal,
                if row.is_over() { "over" } else { "" }.to_owned(),
                number(row.peer(|goal| goal.linux_pmr)),
                bracket(row.peer(|goal| goal.linux_daif)),
                number(row.peer(|goal| goal.sel4)),
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
        write!(
            f,
            "Medians, in {UNIT}. In brackets: interrupts masked by DAIF, not by priority."
        )
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
        bench: mask-restore | masks | 0 | 4 | 5 | 6\r\n\
        bench: something new | other | - | 1 | 1234567 | 1234567\n\
        petrel: PASS bench\n";
    const DAIF: &str = "bench: mask-restore | masks | 0 | 3 | 4 | 4\n";

    #[test]
    fn a_measurement_meets_its_goal_and_its_peers() {
        let json = Report::of(OUTPUT, Some(DAIF))
            .expect("two rows")
            .to_json("10.0", "make bench");
        let rows = json["operations"].as_array().expect("a list");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["name"], "mask-restore");
        assert_eq!(
            (&rows[0]["instructions"], &rows[0]["marker"]),
            (&json!(5), &json!(0))
        );
        assert_eq!((&rows[0]["min"], &rows[0]["max"]), (&json!(4), &json!(6)));
        assert_eq!(rows[0]["goal"], 5);
        assert_eq!(
            rows[0]["peers"],
            json!({"linux_pmr": 10, "linux_daif": 3, "sel4": null})
        );
        assert_eq!(
            (&rows[1]["goal"], &rows[1]["marker"]),
            (&Value::Null, &Value::Null)
        );
        let daif = json["daif"]["operations"].as_array().expect("a list");
        assert_eq!(daif.len(), 1);
        assert_eq!(
            (&daif[0]["instructions"], &daif[0]["goal"]),
            (&json!(4), &json!(4))
        );
    }

    #[test]
    fn the_table_says_what_is_over_and_that_it_is_not_cycles() {
        let over = |pmr: &str, daif: &str| {
            let table = Report::of(pmr, Some(daif)).expect("two rows").to_string();
            assert!(table.contains("1,234,567") && table.contains("not cycles"));
            table.lines().nth(1).expect("a row").contains("over")
        };
        assert!(!over(OUTPUT, DAIF));
        assert!(over(&OUTPUT.replace("| 5 |", "| 6 |"), DAIF));
        assert!(over(OUTPUT, &DAIF.replace("| 4 |", "| 5 |")));
    }

    #[test]
    fn bad_rows_are_named() {
        for (line, why) in [
            ("bench: a | b | - | 1 | 2", "5 fields"),
            ("bench: a | b | - | 1 | x | 2", "`x`"),
            ("bench: a | b | y | 1 | 1 | 2", "`y`"),
            ("bench: a|b|-|1|1|1\nbench: a|b|-|1|1|1", "twice"),
            ("petrel: PASS", "nothing"),
        ] {
            let error = format!("{:#}", Report::of(line, None).expect_err(why));
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

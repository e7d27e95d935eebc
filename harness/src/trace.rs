//! The kernel's trace rings, as it writes them to the host (`trace=on`, layout in `abi::trace`).
//!
//! What the rings say is also held against itself: on each CPU, paths nest. Whatever was entered last
//! leaves first, or switched to another thread meanwhile.

use std::fmt::Write as _;
use std::fs;

use abi::path::{self, Path};
use abi::trace::{Event, MAGIC, Record};
use anyhow::{Context, Result, bail, ensure};

use crate::check::Check;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::run::{self, Options};
use crate::verdict::Verdict;
use crate::workspace::Build;

/// The name of the file that the kernel writes.
pub const FILE: &str = "petrel.trace";

/// The checks of a whole dump.
pub fn checks() -> Vec<Check> {
    vec![Check {
        name: "trace/the-rings-reach-the-host-and-nest",
        run: |lab| {
            let machine = Machine::default().cpus(2);
            let trace = record(lab, &machine, "run=selftest", "trace-nest")?;
            trace.check()?;
            ensure!(trace.cpus.len() == 2, "{} rings", trace.cpus.len());
            for (cpu, ring) in trace.cpus.iter().enumerate() {
                ensure!(!ring.records.is_empty(), "CPU {cpu} recorded nothing");
            }
            Ok(())
        },
    }]
}

/// All rings of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// How fast the counter ticked, in Hz.
    pub frequency_hz: u64,
    /// One for each CPU.
    pub cpus: Vec<CpuTrace>,
}

/// One CPU's ring.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CpuTrace {
    /// How many older records had to be overwritten.
    pub lost: u64,
    /// Oldest first.
    pub records: Vec<Record>,
}

/// Reads little-endian words, and knows where it is.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Result<u64> {
        let word = self.bytes.get(self.at..self.at + 8);
        let word = word.with_context(|| format!("the trace ends at byte {}", self.at))?;
        self.at += 8;
        Ok(u64::from_le_bytes(word.try_into()?))
    }
}

impl Trace {
    /// Reads a dump.
    ///
    /// # Errors
    /// Says what is wrong with it, and at which byte.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        ensure!(
            bytes.starts_with(&MAGIC),
            "no trace: it does not begin with {}",
            String::from_utf8_lossy(&MAGIC)
        );
        let mut words = Words { bytes, at: 8 };
        let mut trace = Self {
            frequency_hz: words.next()?,
            cpus: Vec::new(),
        };
        for index in 0..words.next()? {
            let at = words.at;
            let cpu = words.next()?;
            ensure!(
                cpu == index,
                "CPU {index} expected at byte {at}, found {cpu}"
            );
            let count = words.next()?;
            let lost = words.next()?;
            let mut records = Vec::new();
            for _ in 0..count {
                let (when, origin) = (words.next()?, words.next()?);
                records.push(Record {
                    when,
                    event: origin as u16,
                    cpu: (origin >> 16) as u16,
                    thread: (origin >> 32) as u32,
                    a: words.next()?,
                    b: words.next()?,
                });
            }
            trace.cpus.push(CpuTrace { lost, records });
        }
        ensure!(
            words.at == bytes.len(),
            "the trace goes on after its end, at byte {}",
            words.at
        );
        Ok(trace)
    }

    /// All records of all CPUs in the order of time, one line each.
    pub fn timeline(&self) -> String {
        let mut all: Vec<&Record> = self.cpus.iter().flat_map(|cpu| &cpu.records).collect();
        all.sort_by_key(|record| (record.when, record.cpu));
        let mut text = String::new();
        for record in all {
            let micros = record.when as f64 * 1e6 / self.frequency_hz as f64;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{micros:14.3} us  cpu {:<3} thread {:<5} {}",
                record.cpu,
                record.thread,
                what(record)
            );
        }
        for (index, cpu) in self.cpus.iter().enumerate() {
            let _ = writeln!(
                text,
                "cpu {index}: {} records, {} older ones overwritten",
                cpu.records.len(),
                cpu.lost
            );
        }
        text
    }

    /// Whether each ring holds its own CPU's records, and paths nest: what a thread entered last, it
    /// leaves first, also on another CPU. Where records were lost, nesting cannot be told.
    ///
    /// # Errors
    /// Names the first record that does not fit.
    pub fn check(&self) -> Result<()> {
        for (index, cpu) in self.cpus.iter().enumerate() {
            for (at, record) in cpu.records.iter().enumerate() {
                ensure!(
                    usize::from(record.cpu) == index,
                    "record {at} of CPU {index} says CPU {}",
                    record.cpu
                );
                ensure!(
                    Event::from_number(record.event).is_some(),
                    "record {at} of CPU {index}: no event {}",
                    record.event
                );
            }
        }
        if self.cpus.iter().all(|cpu| cpu.lost == 0) {
            self.check_nesting()?;
        }
        Ok(())
    }

    fn check_nesting(&self) -> Result<()> {
        let mut all: Vec<&Record> = self.cpus.iter().flat_map(|cpu| &cpu.records).collect();
        // Stable: records of one CPU stay in the order in which they were written.
        all.sort_by_key(|record| record.when);
        let mut open = std::collections::HashMap::<u32, Vec<u64>>::new();
        for record in all {
            let paths = open.entry(record.thread).or_default();
            match Event::from_number(record.event) {
                Some(Event::Enter) => paths.push(record.a),
                Some(Event::Exit) => {
                    let entered = paths.pop();
                    ensure!(
                        entered == Some(record.a),
                        "at {} on CPU {}: thread {} leaves path {:#x}, but entered {entered:#x?} last",
                        record.when,
                        record.cpu,
                        record.thread,
                        record.a
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a record says, in words.
fn what(record: &Record) -> String {
    let name = |stack| path::unwind(stack).next().map_or("?", Path::name);
    match Event::from_number(record.event) {
        Some(Event::Enter) => format!("enters {} at {:#x}", name(record.a), record.b),
        Some(Event::Exit) => format!("leaves {}", name(record.a)),
        Some(Event::Switch) => format!("switches to thread {}", record.a),
        Some(Event::Wake) => format!("wakes thread {} on cpu {}", record.a, record.b),
        event => format!("{event:?} {:#x} {:#x}", record.a, record.b),
    }
}

/// Boots with these boot arguments and `trace=on`, and gives what the rings held at the end.
///
/// # Errors
/// When the run does not pass, or its trace cannot be read.
pub fn record(lab: &Lab, machine: &Machine, bootargs: &str, folder: &str) -> Result<Trace> {
    let folder = lab.workspace().logs().join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(FILE);
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let boot = lab.boot(Build::Normal, format!("{bootargs} trace=on"))?;
    let line = machine.command_line(lab.qemu(), &boot).in_folder(&folder);
    let run = run::run(&line, Options::default(), &mut |_| {})?;
    if let verdict @ (Verdict::Fail(_) | Verdict::Broken(_)) = Verdict::of(&run) {
        bail!("{verdict}");
    }
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Trace::parse(&bytes).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(records: &[(Event, u64)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let mut word = |word: u64| bytes.extend(word.to_le_bytes());
        for head in [62_500_000, 1, 0, records.len() as u64, 3] {
            word(head);
        }
        for (when, (event, a)) in records.iter().enumerate() {
            for part in [when as u64, *event as u64 | 7 << 32, *a, 0] {
                word(part);
            }
        }
        bytes
    }

    #[test]
    fn a_dump_comes_back() {
        let trace = Trace::parse(&dump(&[(Event::Enter, 2), (Event::Exit, 2)])).unwrap();
        assert_eq!(trace.cpus[0].lost, 3);
        assert_eq!(trace.cpus[0].records[1].thread, 7);
        trace.check().unwrap();
        let text = trace.timeline();
        assert!(
            text.contains("enters irq") && text.contains("leaves irq"),
            "{text}"
        );
    }

    #[test]
    fn a_damaged_dump_is_refused_by_byte() {
        let whole = dump(&[(Event::Enter, 2)]);
        for length in 0..whole.len() {
            assert!(Trace::parse(&whole[..length]).is_err(), "{length}");
        }
        let longer = [whole.clone(), vec![0]].concat();
        let error = Trace::parse(&longer).unwrap_err().to_string();
        assert!(error.contains(&whole.len().to_string()), "{error}");
    }

    #[test]
    fn paths_that_do_not_nest_are_found() {
        let crossed = [
            (Event::Enter, 2),
            (Event::Enter, 0x204),
            (Event::Exit, 2),
            (Event::Exit, 0x204),
        ];
        let mut trace = Trace::parse(&dump(&crossed)).unwrap();
        trace.check().unwrap(); // Records were lost: it cannot be told.
        trace.cpus[0].lost = 0;
        assert!(
            trace
                .check()
                .unwrap_err()
                .to_string()
                .contains("at 2 on CPU 0")
        );
    }
}

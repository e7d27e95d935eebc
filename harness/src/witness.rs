//! An outside counter for what `run=bench` says it counted.
//!
//! The guest counts by its own counter, which QEMU could get wrong in ways that the guest cannot see.
//! QEMU's own log can tell: with one instruction in each translation block, `-d exec` writes a line
//! for each instruction that is executed. The lines between two marker hints (`hint #0x40+k` begins
//! stretch k, `hint #0x60+k` ends it) are counted, and must give the same least, median and most
//! as the guest printed, to the digit. Any stock QEMU can do it; no plugin is needed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::Measurement;
use crate::binary;
use crate::check::Check;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::qemu::Version;
use crate::workspace::Build;

/// After so long QEMU is ended: some ten million lines take well under a minute.
const BOUND: Duration = Duration::from_secs(300);

/// `hint #0`, without its number (DDI 0487, C6.2.121).
const HINT: u32 = 0xd503_201f;
const HINT_NUMBER: u32 = 0x7f << 5;
/// What is added to a marker's number at its beginning and at its end.
const BEGINS: u32 = 0x40;
const ENDS: u32 = 0x60;

/// The one check.
pub fn checks() -> Vec<Check> {
    vec![Check {
        name: "bench/counted-from-outside",
        run,
    }]
}

fn run(lab: &Lab) -> Result<()> {
    let (log, output) = watch(lab, Stretches::new(markers(lab)?))?;
    let rows = Measurement::all(&output)?;
    ensure!(!rows.is_empty(), "the run measured nothing:\n{output}");
    for row in rows {
        let Some(marker) = row.marker else { continue };
        let mut counts = log.get(&marker).cloned().unwrap_or_default();
        counts.sort_unstable();
        let outside = (
            counts.first().copied(),
            counts.get(counts.len() / 2).copied(),
            counts.last().copied(),
        );
        let inside = (Some(row.min), Some(row.median), Some(row.max));
        ensure!(
            outside == inside,
            "{}: the guest counted {inside:?}, QEMU's log says {outside:?} of {} stretches",
            row.name,
            counts.len()
        );
    }
    Ok(())
}

/// The number of the hint at each address that has one.
fn markers(lab: &Lab) -> Result<HashMap<u64, u32>> {
    let numbered = binary::instructions(lab)?
        .into_iter()
        .filter(|(_, word)| word & !HINT_NUMBER == HINT)
        .map(|(address, word)| (address, (word & HINT_NUMBER) >> 5))
        .filter(|(_, number)| *number >= BEGINS);
    Ok(numbered.collect())
}

/// How many instructions each stretch had, by its marker's number.
type Counts = HashMap<u32, Vec<u64>>;

/// Runs the benches, logging each instruction; gives what the log says and what the guest printed.
fn watch(lab: &Lab, mut stretches: Stretches) -> Result<(Counts, String)> {
    let boot = lab.boot(Build::Normal, "run=bench")?;
    let line = Machine::default()
        .cpus(1)
        .exact()
        .command_line(lab.qemu(), &boot);
    let one_by_one: &[&str] = if lab.qemu().version() >= Version::ONE_INSN_PER_TB {
        &["-accel", "tcg,one-insn-per-tb=on"]
    } else {
        &["-singlestep"]
    };
    let mut child = line
        .command()
        .args(one_by_one)
        .args(["-d", "exec,nochain"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start QEMU")?;
    let mut output = child.stdout.take().context("QEMU has no output")?;
    let log = child.stderr.take().context("QEMU has no log")?;
    let child = Mutex::new(child);
    let (over, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let child = &child;
        scope.spawn(move || {
            if is_over.recv_timeout(BOUND) == Err(RecvTimeoutError::Timeout) {
                // Gone already is as good.
                let _ = child.lock().map(|mut child| child.kill());
            }
        });
        let printed = scope.spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        for line in BufReader::with_capacity(1 << 20, log).split(b'\n') {
            stretches.line(&line.context("cannot read QEMU's log")?);
        }
        drop(over);
        let printed = printed.join().expect("reading does not panic");
        let text = printed.context("cannot read QEMU's output")?;
        // Both pipes are closed: it has ended.
        let _ = child.lock().map(|mut child| child.wait());
        Ok((stretches.counts, text.replace('\r', "")))
    })
}

/// Counts the instructions between the markers.
struct Stretches {
    markers: HashMap<u64, u32>,
    executed: u64,
    /// The address in the latest line: executed, unless the next line takes it back.
    latest: Option<u64>,
    /// How many had been executed when each marker began last.
    began: HashMap<u32, u64>,
    counts: Counts,
}

impl Stretches {
    fn new(markers: HashMap<u64, u32>) -> Self {
        Self {
            markers,
            executed: 0,
            latest: None,
            began: HashMap::new(),
            counts: Counts::new(),
        }
    }

    /// Reads one line of the log:
    ///
    /// ```text
    /// Trace 0: 0x7f1c44000100 [00400000/ffffffc000020850/a0000304/ff000000] name
    /// Stopped execution of TB chain before 0x7f1c44000100 [ffffffc000020850] name
    /// ```
    ///
    /// The second says that the instruction before was not executed after all: an interrupt came
    /// first.
    fn line(&mut self, line: &[u8]) {
        if line.starts_with(b"Stopped execution") {
            self.latest = None;
        } else if line.starts_with(b"Trace ") {
            let fields = line.split(|byte| *byte == b'/').nth(1);
            let address = fields.and_then(|field| str::from_utf8(field).ok());
            let address = address.and_then(|field| u64::from_str_radix(field, 16).ok());
            let before = std::mem::replace(&mut self.latest, address);
            if let Some(address) = before {
                self.execute(address);
            }
        }
    }

    fn execute(&mut self, address: u64) {
        self.executed += 1;
        match self.markers.get(&address) {
            Some(&number) if number >= ENDS => {
                if let Some(began) = self.began.remove(&(number - ENDS)) {
                    let count = self.executed - began - 1;
                    self.counts.entry(number - ENDS).or_default().push(count);
                }
            }
            Some(&number) => {
                self.began.insert(number - BEGINS, self.executed);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_executed_between_markers() {
        let mut stretches = Stretches::new(HashMap::from([(0x10, 0x45), (0x20, 0x65)]));
        let trace = |address: u64| format!("Trace 0: 0x7f00 [00400000/{address:016x}/0/0] name");
        for line in [
            trace(0x20),
            trace(0x10),
            trace(0x14),
            trace(0x18),
            "Stopped execution of TB chain before 0x7f00 [18] name".to_owned(),
            trace(0x200),
            trace(0x20),
            "Stopped execution of TB chain before 0x7f00 [20] name".to_owned(),
            trace(0x204),
            trace(0x20),
            trace(0x20),
        ] {
            stretches.line(line.as_bytes());
        }
        assert_eq!(stretches.counts, HashMap::from([(5, vec![3])]));
    }
}

//! A check of the shipped kernel that is no scenario: a name and what it does.

use anyhow::{Result, ensure};

use crate::lab::Lab;
use crate::machine::Machine;
use crate::{binary, trace, witness};

/// One check, with its name among the tests.
pub struct Check {
    /// `group/what`. Unique.
    pub name: &'static str,
    /// Does it.
    pub run: fn(&Lab) -> Result<()>,
}

/// All of them.
pub fn all() -> Vec<Check> {
    let mut checks = binary::checks();
    checks.extend(witness::checks());
    checks.push(Check {
        name: "trace/the-rings-reach-the-host-and-nest",
        run: |lab| {
            let machine = Machine::default().cpus(2);
            let trace = trace::record(lab, &machine, "run=selftest", "trace-nest")?;
            trace.check()?;
            ensure!(trace.cpus.len() == 2, "{} rings", trace.cpus.len());
            for (cpu, ring) in trace.cpus.iter().enumerate() {
                ensure!(!ring.records.is_empty(), "CPU {cpu} recorded nothing");
            }
            Ok(())
        },
    });
    checks
}

//! Programs that the boot arguments name: run, waited for, and judged.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use init_script::boot::Exec;
use init_script::script::{Program, Rules, Script};

use crate::ends;
use crate::supervisor::Supervisor;

/// The longest verdict that the kernel takes.
const VERDICT_BYTES: usize = 200;

/// Runs the programs one after the other, until one fails. The verdict, in one line.
pub(crate) fn all(
    supervisor: &mut Supervisor<'_>,
    execs: &[Exec<'_>],
    script: &Script,
) -> Result<String, String> {
    let mut passed = Vec::new();
    for exec in execs {
        one(supervisor, exec, script.rules_of_exec(exec.path))
            .map_err(|why| format!("exec {why}"))?;
        passed.push(exec.path);
    }
    Ok(format!("exec {}", passed.join(", ")))
}

fn one(supervisor: &mut Supervisor<'_>, exec: &Exec<'_>, rules: &Rules) -> Result<(), String> {
    let name = exec.path.rsplit('/').next().unwrap_or(exec.path);
    let program = Program {
        name: name.to_string(),
        path: exec.path.to_string(),
        arguments: exec.arguments.iter().map(ToString::to_string).collect(),
        rules: rules.clone(),
    };
    let id = supervisor.add_program(program)?;
    let served = supervisor.serve(|supervisor| supervisor.has_ended(id));
    served.map_err(|error| format!("{}: {error}", exec.path))?;
    match supervisor.take_end(id) {
        Some(report) if ends::is_success(&report) => Ok(()),
        Some(report) => Err(format!("{}: {}", exec.path, ends::describe(&report))),
        None => Err(format!("{}: it was lost", exec.path)),
    }
}

/// As much of a verdict as the kernel takes.
pub(crate) fn cut(text: &str) -> &str {
    let mut end = text.len().min(VERDICT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

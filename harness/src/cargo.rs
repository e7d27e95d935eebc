//! Calling Cargo.
//!
//! The one that called us, if any did (`CARGO` says which), so that a toolchain chosen on the
//! outer command line holds for the inner ones too.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Build, Workspace};

/// What the kernel is compiled for.
pub const TARGET: &str = "aarch64-unknown-none-softfloat";

/// The kernel's package.
pub const KERNEL: &str = "petrel-kernel";

/// A Cargo command at the root of the workspace, without arguments yet.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(workspace.root());
    command
}

/// Runs a command to its end. What it prints goes where our own output goes.
///
/// # Errors
/// When it cannot be started or says no.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| unstarted(command))?;
    ensure!(status.success(), "{} says {status}", shown(command));
    Ok(())
}

/// Runs a command to its end and returns what it prints on its standard output.
///
/// # Errors
/// When it cannot be started or says no; with what it printed on its standard error.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| unstarted(command))?;
    ensure!(
        output.status.success(),
        "{} says {}: {}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

fn unstarted(command: &Command) -> String {
    format!("cannot start {}", command.get_program().display())
}

/// A command by its name and first argument, as people speak of it.
fn shown(command: &Command) -> String {
    let mut shown = command.get_program().display().to_string();
    if let Some(argument) = command.get_args().next() {
        shown += &format!(" {}", argument.display());
    }
    shown
}

/// Builds the kernel, if it is not up to date, and returns the linked ELF.
///
/// # Errors
/// When Cargo cannot be started or says no; its messages go to our standard error.
pub fn build_kernel(workspace: &Workspace, build: Build) -> Result<PathBuf> {
    let target = workspace.target(build);
    let mut command = cargo(workspace);
    command.args([
        "build",
        "--release",
        "--package",
        KERNEL,
        "--target",
        TARGET,
    ]);
    command.arg("--target-dir").arg(&target);
    if build == Build::Planted {
        command.args(["--features", "planted"]);
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(
        status.success(),
        "the {} kernel does not build ({status}); Cargo's messages are above",
        build.name()
    );
    Ok(target.join(TARGET).join("release").join(KERNEL))
}

/// Builds the functions that the binary checker reads (`cpu/examples/masked_store.rs`), and returns
/// the library that they are in.
///
/// # Errors
/// As for [`build_kernel`].
pub fn build_probe(workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target(Build::Normal);
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--package", "petrel-cpu"]);
    command.args(["--example", "masked_store", "--target", TARGET]);
    command.arg("--target-dir").arg(&target);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(status.success(), "the probe does not build ({status})");
    let examples = target.join(TARGET).join("release").join("examples");
    Ok(examples.join("libmasked_store.a"))
}

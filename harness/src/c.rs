//! The C side: `libpetrel.a` beside its header and linker script, and programs compiled with them.
//!
//! The library is Rust, so it is made wherever the kernel is; whoever wants to compile C needs a C
//! compiler for AArch64. All of what is then handed to the compiler lies in one folder, `target/c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, succeed};
use crate::image::replace;
use crate::programs::TARGET;
use crate::workspace::{Build, Workspace};

/// The library's package, and where it lies.
const PACKAGE: (&str, &str) = ("petrel-c", "user/c");

/// Names under which systems have a C compiler for AArch64: Debian and Fedora, Arm's own, Homebrew's.
const COMPILERS: [&str; 4] = [
    "aarch64-linux-gnu-gcc",
    "aarch64-none-elf-gcc",
    "aarch64-elf-gcc",
    "aarch64-unknown-linux-gnu-gcc",
];

/// Makes the folder with the library, the header and the linker script, if it is not up to date.
///
/// # Errors
/// When the library does not build; Cargo's messages go to our standard error.
pub fn make(workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target(Build::Normal);
    let (package, folder) = PACKAGE;
    let mut command = cargo(workspace);
    command.args(["rustc", "--quiet", "--release", "--package", package]);
    command.args(["--lib", "--crate-type", "staticlib", "--target", TARGET]);
    command.arg("--target-dir").arg(&target);
    succeed(&mut command).context("libpetrel.a does not build")?;
    let made = workspace.c_folder();
    let source = workspace.root().join(folder);
    let built = target.join(TARGET).join("release");
    for (from, to) in [
        (built.join("libpetrel.a"), "libpetrel.a"),
        (source.join("program.ld"), "program.ld"),
        (source.join("include/petrel.h"), "include/petrel.h"),
    ] {
        let to = made.join(to);
        let folder = to.parent().unwrap_or(&made);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        replace(&to, &bytes)?;
    }
    Ok(made)
}

/// The C compiler of this machine that makes programs for AArch64, if there is one: the one that
/// `scripts/setup` unpacked, or one in the `PATH`.
pub fn compiler(workspace: &Workspace) -> Option<PathBuf> {
    let unpacked = workspace.root().join(".tools/cross/usr/bin");
    let unpacked = COMPILERS.map(|name| unpacked.join(name));
    let installed = COMPILERS.map(PathBuf::from);
    unpacked.into_iter().chain(installed).find(|compiler| {
        let mut asked = Command::new(compiler);
        asked
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    })
}

/// Compiles one file of C into a program, as `docs/src/howto/program-c.md` says.
///
/// # Errors
/// When there is no compiler, or it has so much as a warning.
pub fn compile(workspace: &Workspace, source: &Path, program: &Path) -> Result<()> {
    let folder = make(workspace)?;
    let compiler = compiler(workspace).with_context(|| {
        format!(
            "there is no {}: scripts/setup --test gets one",
            COMPILERS[0]
        )
    })?;
    let mut command = Command::new(&compiler);
    command.args([
        "-std=c11",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
    ]);
    command.args(["-ffreestanding", "-nostdlib", "-static"]);
    command.arg("-I").arg(folder.join("include"));
    command.arg("-T").arg(folder.join("program.ld"));
    command.arg("-o").arg(program).arg(source);
    command.arg("-L").arg(&folder).arg("-lpetrel");
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", compiler.display()))?;
    ensure!(
        output.status.success(),
        "{} does not compile {}:\n{}",
        compiler.display(),
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

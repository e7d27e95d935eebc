//! Programs that are run by name and end the machine with their status: ours, and anybody's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::machine;
use crate::programs::TARGET;
use crate::scenario::{InitImage, Scenario};
use crate::workspace::{Build, Workspace};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let passes = |name: &str, run: &str| {
        let bootargs = format!("run=exec:path={run}");
        Scenario::passes(format!("exec/image-{name}"), bootargs).on(machine().cpus(2))
    };
    let fails = |name: &str, run: &str, why| {
        let bootargs = format!("run=exec:path={run}");
        Scenario::fails(format!("exec/image-{name}"), bootargs, why).on(machine().cpus(2))
    };
    let extra = InitImage::Extra(fill_extra);
    let own = vec![
        passes("after-a-workload", "/bin/hello run=selftest").needs("done: selftest"),
        passes(
            "one-after-the-other",
            "/bin/hello run=exec:path=/bin/primes,args=100",
        )
        .needs("hello, world"),
        passes("from-extra", "/extra/hello,args=Ada")
            .init_image(extra)
            .needs("hello, Ada"),
        passes("from-deep-in-extra", "/extra/a/b/hello").init_image(extra),
        fails("exit-status", "/bin/crash,args=softly", "exit status 1"),
        fails("nothing-there", "/extra/nothing", "/extra/nothing"),
        fails("a-folder", "/extra/a", "/extra/a").init_image(extra),
        fails("no-elf-file", "/extra/text", "not an ELF file").init_image(extra),
        fails("an-empty-file", "/extra/empty", "not an ELF file").init_image(extra),
        fails("another-machine", "/extra/x86", "not for 64-bit").init_image(extra),
        fails("cut-in-its-headers", "/extra/cut-early", "truncated").init_image(extra),
        fails("cut-in-its-text", "/extra/cut-late", "truncated").init_image(extra),
    ];
    let faults = [
        ("write", "write to 0xdead"),
        ("read", "read of 0xdead"),
        ("execute", "0xdeac"),
        ("undefined", "fault"),
        ("break", "fault"),
        ("align", "fault"),
    ]
    .into_iter()
    .map(|(how, why)| {
        let run = format!("/bin/crash,args={how}");
        fails(&format!("fault-{how}"), &run, why).needs("process ")
    });
    let everywhere = passes("hello", "/bin/hello,args=Ada:Grace")
        .needs("hello, Grace")
        .everywhere();
    own.into_iter().chain(faults).chain(everywhere).collect()
}

/// What somebody might put under `EXTRA=`.
fn fill_extra(folder: &Path) -> Result<()> {
    let hello = program("hello");
    let elf = fs::read(&hello).with_context(|| format!("cannot read {}", hello.display()))?;
    let mut x86 = elf.clone();
    x86[18] = 62;
    let files: [(&str, &[u8]); 7] = [
        ("hello", &elf),
        ("a/b/hello", &elf),
        ("text", b"#!/bin/sh\n"),
        ("empty", b""),
        ("x86", &x86),
        ("cut-early", &elf[..100]),
        ("cut-late", &elf[..0x1080]),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A program as Cargo linked it, with its symbols.
fn program(name: &str) -> PathBuf {
    let target = Workspace::here().target(Build::Normal);
    target.join(TARGET).join("release").join(name)
}

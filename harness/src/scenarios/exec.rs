//! Programs that are run by name: ours, everywhere, and anybody's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::machine;
use crate::programs::TARGET;
use crate::scenario::{InitImage, Scenario};
use crate::workspace::{Build, Workspace};

/// All of them. How programs end is in [`super::ends`].
pub(super) fn all() -> Vec<Scenario> {
    let passes = |name: &str, run: &str| {
        let bootargs = format!("run=exec:path={run}");
        Scenario::passes(format!("exec/{name}"), bootargs).on(machine().cpus(2))
    };
    let fails = |name: &str, run: &str, why| {
        let bootargs = format!("run=exec:path={run}");
        Scenario::fails(format!("exec/{name}"), bootargs, why).on(machine().cpus(2))
    };
    let of_anybody = [
        passes("from-extra", "/extra/hello,args=Ada").needs("hello, Ada"),
        passes("from-deep-in-extra", "/extra/a/b/hello"),
        fails("a-folder", "/extra/a", "/extra/a: not in the init image"),
        fails("an-empty-file", "/extra/empty", "not an ELF file"),
        fails("another-machine", "/extra/x86", "not for 64-bit"),
        fails("cut-in-its-headers", "/extra/cut-early", "truncated"),
        fails("cut-in-its-text", "/extra/cut-late", "truncated"),
    ]
    .map(|scenario| scenario.init_image(InitImage::Extra(fill_extra)));
    let faults = [
        ("write", "write to 0xdead"),
        ("execute", "0xdeac"),
        ("break", "breakpoint"),
        ("align", "misaligned"),
    ]
    .map(|(how, why)| {
        let run = format!("/bin/crash,args={how}");
        fails(&format!("fault-{how}"), &run, why).needs("  x28 ")
    });
    let after = passes("after-a-workload", "/bin/hello run=selftest").needs("done: selftest");
    // More than the console can have sent when the program has ended.
    let names: Vec<String> = (1..=300).map(|number| number.to_string()).collect();
    let long = format!("/bin/hello,args={}", names.join(":"));
    let all_of_it = passes("all-of-its-output", &long).needs("hello, 300");
    let hello = passes("hello", "/bin/hello,args=Ada:Grace").needs("hello, Grace");
    [
        of_anybody.to_vec(),
        faults.to_vec(),
        vec![after, all_of_it],
        hello.everywhere(),
    ]
    .concat()
}

/// What somebody might put under `EXTRA=`.
fn fill_extra(folder: &Path) -> Result<()> {
    let hello = program("hello");
    let elf = fs::read(&hello).with_context(|| format!("cannot read {}", hello.display()))?;
    let mut x86 = elf.clone();
    x86[18] = 62;
    let files: [(&str, &[u8]); 6] = [
        ("hello", &elf),
        ("a/b/hello", &elf),
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

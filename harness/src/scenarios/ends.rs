//! How programs end that the boot arguments name: each with one clear line.

use anyhow::{Context, Result, anyhow};
use initrd::cpio::{Archive, Kind};

use super::machine;
use crate::archive::{Files, Permission};
use crate::programs::INIT;
use crate::scenario::{InitImage, Scenario};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let boot = |path: &str| format!("run=exec:path={path}");
    let fails = |name: &str, path: &str, why| {
        Scenario::fails(format!("exec/{name}"), boot(path), why).on(machine().cpus(2))
    };
    /// The init image, and one file more.
    fn with_file(image: &[u8], name: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut files = Files::new();
        for entry in Archive::new(image).entries() {
            let entry = entry.map_err(|error| anyhow!("{error}"))?;
            if entry.kind() == Kind::File && entry.name != name {
                let permission = match entry.mode & 0o111 {
                    0 => Permission::Read,
                    _ => Permission::Execute,
                };
                files.add(entry.name.to_owned(), permission, entry.bytes.to_vec())?;
            }
        }
        files.add(name.to_owned(), Permission::Execute, bytes)?;
        files.archive(INIT)
    }
    fn read(image: &[u8], name: &str) -> Result<Vec<u8>> {
        let found = Archive::new(image).find(name);
        let found = found.map_err(|error| anyhow!("{error}"))?;
        Ok(found.with_context(|| format!("no {name}"))?.bytes.to_vec())
    }
    /// The start script with a mistake in its line of the console.
    fn with_mistake(image: Vec<u8>) -> Result<Vec<u8>> {
        let script = String::from_utf8(read(&image, "etc/start")?)?;
        let script = script.replace("service console", "servise console");
        with_file(&image, "etc/start", script.into_bytes())
    }
    vec![
        Scenario::passes("exec/pass", format!("{},args=Ada", boot("/bin/hello")))
            .needs("hello, Ada")
            .needs("PASS exec /bin/hello"),
        Scenario::passes(
            "exec/two",
            format!("{} {}", boot("/bin/hello"), boot("/bin/usercheck")),
        )
        .needs("PASS exec /bin/hello, /bin/usercheck"),
        fails(
            "status",
            "/bin/usercheck,args=fail",
            "exec /bin/usercheck: exit status 1",
        ),
        fails(
            "panic",
            "/bin/usercheck,args=panic",
            "exec /bin/usercheck: exit status 101",
        )
        .needs("usercheck: panic at"),
        fails(
            "fault",
            "/bin/crash,args=read",
            "exec /bin/crash: fault: nothing is mapped there: read of 0xdead at pc 0x",
        ),
        fails(
            "undefined",
            "/bin/crash,args=undefined",
            "exec /bin/crash: fault: undefined instruction at pc 0x",
        ),
        fails(
            "not-found",
            "/extra/nothing",
            "exec /extra/nothing: not in the init image",
        ),
        fails(
            "not-elf",
            "/extra/text",
            "exec /extra/text: not an ELF file",
        )
        .init_image(InitImage::Extra(|folder| {
            Ok(std::fs::write(folder.join("text"), "#!/bin/sh\n")?)
        })),
        fails(
            "truncated",
            "/extra/half",
            "exec /extra/half: truncated: the file ends before its",
        )
        .init_image(InitImage::Changed(|image| {
            let mut half = read(&image, "bin/hello")?;
            half.truncate(half.len() / 2);
            with_file(&image, "extra/half", half)
        })),
        Scenario::fails(
            "exec/script-mistake",
            boot("/bin/hello"),
            "servise: no such word; there are service, start, exec",
        )
        .needs("FAIL init: etc/start:")
        .init_image(InitImage::Changed(with_mistake)),
    ]
}

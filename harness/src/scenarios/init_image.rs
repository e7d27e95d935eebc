//! Init images in which the kernel finds no program to start. What is wrong with one is a sentence.

use anyhow::Result;
use initrd::flat::{Access, PAGE, Program, Segment};

use super::{SELFTEST, machine};
use crate::archive::{Files, Permission};
use crate::programs::INIT;
use crate::scenario::{InitImage, Scenario};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    let image = |name: &str, why, image| {
        Scenario::fails(format!("init-image/{name}"), "", why)
            .on(machine().cpus(1))
            .init_image(image)
    };
    /// An archive with nothing but this as `init`.
    fn with_init(bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut files = Files::new();
        files.add(INIT, Permission::Execute, bytes)?;
        files.archive(INIT)
    }
    /// One page of text at `address`, and nothing else.
    fn program(address: u64) -> Vec<u8> {
        let text = Segment {
            address,
            memory_bytes: PAGE as u64,
            bytes: &[],
            access: Access::ReadExecute,
        };
        let program = Program {
            entry: address,
            segments: [Some(text), None, None],
        };
        program.header().to_vec()
    }
    let changed = InitImage::Changed;
    vec![
        image("none", "no init image", InitImage::Absent),
        Scenario::passes("init-image/not-needed", SELFTEST).init_image(InitImage::Absent),
        image(
            "no-archive",
            "no cpio header",
            changed(|_| Ok(b"#!/bin/sh\n".repeat(20))),
        ),
        image(
            "without-init",
            "no file init",
            changed(|_| Files::new().archive(INIT)),
        ),
        image(
            "cut-off",
            "beyond the archive's end",
            changed(|_| {
                let mut bytes = with_init(program(0x20_0000))?;
                bytes.truncate(PAGE + PAGE / 2);
                Ok(bytes)
            }),
        ),
        image(
            "init-is-an-elf-file",
            "does not begin as a first program",
            changed(|_| with_init(b"\x7fELF".repeat(PAGE))),
        ),
        image(
            "init-is-truncated",
            "init: it is shorter",
            changed(|_| with_init(program(0x20_0000)[..100].to_vec())),
        ),
        image(
            "init-in-the-first-page",
            "not in user space",
            changed(|_| with_init(program(0))),
        ),
        image(
            "init-in-the-kernel",
            "not in user space",
            changed(|_| with_init(program(0xffff_ffc0_0000_0000))),
        ),
    ]
}

//! Hands a kernel any bytes as its device tree.
//!
//! QEMU refuses device trees that are broken, and a kernel must survive them: firmware is written
//! by people. So QEMU boots a program of five instructions instead, with the kernel and the bytes
//! placed in memory, which puts the address of the bytes into x0 and goes to the kernel, exactly as
//! the arm64 boot protocol wants.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::guest::Program;
use crate::image::Header;
use crate::machine::{Boot, RAM_BASE};

/// Where the shim asks to be loaded: far above any kernel.
const SHIM_OFFSET: u64 = 0x0600_0000;

/// Where the bytes go.
const BLOB_ADDRESS: u64 = RAM_BASE + 0x0700_0000;

/// What the kernel finds in x0.
#[derive(Clone, Debug)]
pub enum Blob {
    /// The address of these bytes.
    Bytes(Vec<u8>),
    /// The address of these bytes, which is not a multiple of 8 as it should be.
    Misaligned(Vec<u8>),
    /// 0: there is no device tree.
    Nothing,
}

/// Puts the files for a shimmed boot of `kernel` into `folder`, and returns how to boot them. The
/// machine needs 128 MiB at least, and QEMU puts nothing of its own below them.
///
/// # Errors
/// When the kernel is no arm64 Image, or a file cannot be written.
pub fn boot(folder: &Path, kernel: &Path, blob: &Blob) -> Result<Boot> {
    let image = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    let header =
        Header::parse(&image).with_context(|| format!("{} cannot be booted", kernel.display()))?;
    ensure!(
        header.text_offset + header.image_bytes <= SHIM_OFFSET,
        "the kernel is too large for the shim: it ends {:#x} bytes into memory",
        header.text_offset + header.image_bytes
    );

    let (tree, bytes) = match blob {
        Blob::Bytes(bytes) => (BLOB_ADDRESS, Some(bytes)),
        Blob::Misaligned(bytes) => (BLOB_ADDRESS + 4, Some(bytes)),
        Blob::Nothing => (0, None),
    };
    let kernel_address = RAM_BASE + header.text_offset;
    // The boot protocol: x0 is the tree, x1 to x3 are 0.
    let program = Program::new()
        .mov(0, tree)
        .mov(1, 0)
        .mov(2, 0)
        .mov(3, 0)
        .jump(kernel_address);

    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut boot = Boot::new(write("shim.img", &program.image(SHIM_OFFSET))?, "");
    boot.loads.push((kernel.to_owned(), kernel_address));
    if let Some(bytes) = bytes {
        boot.loads.push((write("tree.dtb", bytes)?, tree));
    }
    Ok(boot)
}

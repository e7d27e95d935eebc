#![no_std]
#![no_main]
//! The file service for disks: the files of a FAT volume, read and written through the block service.
//!
//! A server that has one neighbour it trusts (the disk's driver) and any number it does not (its
//! clients, and whoever wrote the disk). The protocol's side of the clients is `rt`'s, the volume's side
//! this package's library; between them there is little left to do.
//!
//! The volume is mounted when the service starts. If that fails the service stays and says why to each
//! who asks, so that a client hears "the data is corrupt" and not "not found"; only where there is no
//! disk at all it ends, because then there is nothing that anybody could ask for.

extern crate alloc;

mod device;

use alloc::vec::Vec;
use core::ops::ControlFlow;

use petrel_fat::{Error as FatError, File, Kind as FatKind, Tree};
use rt::println;
use rt::service::files::{Entry, FileSystem, Kind, Stat};
use rt::service::{Error, files};

use crate::device::Disk;

/// The name of the driver's service.
const BLOCK: &str = "blk";
/// No folder is listed beyond so many entries.
const MOST_ENTRIES: usize = 4096;

rt::entry!(main);

fn main() -> Result<(), Error> {
    let endpoint = rt::start::take("endpoint").ok_or(Error::NotPermitted)?;
    let disk = match Disk::connect(BLOCK) {
        Ok(disk) => disk,
        Err(error) => {
            println!("{}: no disk: {error}", rt::start::name());
            return Ok(());
        }
    };
    let mut volume = Volume::mount(disk);
    files::serve(&endpoint, &mut volume)
}

/// The volume, or why there is none.
struct Volume(Result<Tree<Disk>, Error>);

impl Volume {
    fn mount(disk: Disk) -> Self {
        let bytes = disk.geometry().sectors * disk.geometry().sector_bytes as u64;
        let mounted = Tree::mount(disk);
        let (name, kib) = (rt::start::name(), bytes / 1024);
        match &mounted {
            Ok(_) => println!("{name}: a FAT volume on {kib} KiB"),
            Err(error) => println!("{name}: {kib} KiB: {error}"),
        }
        Self(mounted.map_err(translate))
    }

    /// Does something on the volume.
    fn with<R>(
        &mut self,
        what: impl FnOnce(&mut Tree<Disk>) -> Result<R, FatError>,
    ) -> Result<R, Error> {
        match &mut self.0 {
            Ok(tree) => what(tree).map_err(translate),
            Err(error) => Err(*error),
        }
    }
}

impl FileSystem for Volume {
    type Node = File;

    fn stat(&mut self, path: &str) -> Result<Stat, Error> {
        let entry = self.with(|tree| tree.look(path))?;
        Ok(stat(entry.kind, entry.bytes))
    }

    fn open(&mut self, path: &str) -> Result<File, Error> {
        self.with(|tree| tree.open(path))
    }

    fn read(&mut self, file: &mut File, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        self.with(|tree| tree.read(file, offset, to))
    }

    fn list(&mut self, path: &str) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        self.with(|tree| {
            tree.list(path, 0, |entry, _| {
                entries.push(Entry {
                    name: entry.name,
                    stat: stat(entry.kind, entry.bytes),
                });
                match entries.len() < MOST_ENTRIES {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })
        })?;
        Ok(entries)
    }

    fn write(&mut self, file: &mut File, offset: u64, from: &[u8]) -> Result<usize, Error> {
        self.with(|tree| tree.write(file, offset, from))
    }

    fn resize(&mut self, file: &mut File, size: u64) -> Result<(), Error> {
        self.with(|tree| tree.resize(file, size))
    }

    fn create(&mut self, path: &str, kind: Kind) -> Result<(), Error> {
        let kind = match kind {
            Kind::File => FatKind::File,
            Kind::Directory => FatKind::Folder,
        };
        self.with(|tree| tree.create(path, kind))
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.with(|tree| tree.remove(path))
    }

    fn close(&mut self, file: File) {
        if let Err(error) = self.with(|tree| tree.close(file)) {
            println!("closing a file: {error}");
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.with(Tree::flush)
    }
}

fn stat(kind: FatKind, size: u64) -> Stat {
    let kind = match kind {
        FatKind::File => Kind::File,
        FatKind::Folder => Kind::Directory,
    };
    Stat { kind, size }
}

/// The volume's error, as clients of any file service know it.
fn translate(error: FatError) -> Error {
    match error {
        FatError::NoVolume | FatError::Corrupt => Error::Corrupt,
        FatError::Disk => Error::Device,
        FatError::NotFound => Error::NotFound,
        FatError::NotAFolder => Error::NotDirectory,
        FatError::IsAFolder => Error::IsDirectory,
        FatError::Exists => Error::Exists,
        FatError::NotEmpty => Error::NotEmpty,
        FatError::Full | FatError::TooMuch => Error::Full,
        FatError::ReadOnly => Error::ReadOnly,
        FatError::BadPath => Error::BadName,
        FatError::Busy => Error::Kernel(rt::Error::Busy),
        FatError::NotOpen => Error::BadRequest,
    }
}

//! A mounted volume as its clients see it: paths, and files that are open.
//!
//! Paths are UTF-8 with `/` between names and none at the end needed; case does not matter, as FAT
//! has it. `.` and `..` are resolved in the text of the path, so a path never leads anywhere but down
//! from the root.

use alloc::string::String;
use core::ops::ControlFlow;

use hadris_fat::CacheOptions;
use hadris_fs::{DirCursor, FileType, Name, NodeId, OpenMode, Resolve, SetAttr};
use hadris_storage::sync::BlockDevice;

use crate::Error;
use crate::disk::{self, Volume};

/// The longest path that is looked at, in bytes.
pub const PATH_BYTES: usize = 1024;

/// A file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names of files and folders.
    Folder,
}

/// What is known of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; empty for the root.
    pub name: String,
    /// Which of both.
    pub kind: Kind,
    /// Bytes of a file; 0 for a folder.
    pub bytes: u64,
}

/// A file that is open. It is its opener's duty to [close](Tree::close) it.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    node: NodeId,
    /// Whether something was written that may not be on the disk yet.
    written: bool,
}

/// How many sectors of folders and of the allocation table are kept in memory, and how many places in
/// chains of clusters. Nothing of a file's contents is kept.
const CACHED: (usize, usize) = (16, 32);

/// A mounted volume.
#[derive(Debug)]
pub struct Tree<D> {
    volume: Volume<D>,
}

impl<D: BlockDevice> Tree<D> {
    /// Finds the volume on `disk` and mounts it.
    ///
    /// # Errors
    /// [`Error::NoVolume`], [`Error::Corrupt`] or [`Error::Disk`].
    pub fn mount(disk: D) -> Result<Self, Error> {
        let (sectors, places) = CACHED;
        let cache = CacheOptions::new()
            .with_blocks(sectors)
            .with_chain_positions(places);
        let volume = disk::mount(disk)?.with_cache(cache);
        Ok(Self { volume })
    }

    /// The volume's name, if it has one.
    pub fn label(&mut self) -> Option<String> {
        let mut room = [0; 384];
        self.volume.label(&mut room).ok()?.map(String::from)
    }

    /// How many bytes there is room for, and how many of them are free.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Corrupt`].
    pub fn room(&mut self) -> Result<(u64, u64), Error> {
        let stats = self.volume.statfs()?;
        let cluster = u64::from(stats.block_size());
        Ok((
            stats.total_blocks() * cluster,
            stats.free_blocks() * cluster,
        ))
    }

    /// What is known of the file or folder at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`] and others.
    pub fn look(&mut self, path: &str) -> Result<Entry, Error> {
        self.at(path, |tree, node| {
            let known = tree.volume.stat(node)?;
            Ok(Entry {
                name: last_name(path).into(),
                kind: kind(known.file_type()),
                bytes: known.len(),
            })
        })
    }

    /// Gives the entries of the folder at `path`, from `position` on, each with the position after it,
    /// until `take` has enough. The first position is 0; what others mean is this function's affair.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFolder`] and others.
    pub fn list(
        &mut self,
        path: &str,
        position: u64,
        mut take: impl FnMut(Entry, u64) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.at(path, |tree, node| {
            let mut cursor = DirCursor::from_raw(position);
            while let Some(found) = tree.volume.readdir(node, cursor)? {
                cursor = found.next_cursor();
                let entry = Entry {
                    name: String::from_utf8_lossy(found.name().as_bytes()).into_owned(),
                    kind: kind(found.file_type()),
                    bytes: found.metadata().len(),
                };
                if take(entry, cursor.into_raw()).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsAFolder`], [`Error::TooMuch`] and others.
    pub fn open(&mut self, path: &str) -> Result<File, Error> {
        let node = self.resolve(path)?;
        // Opening to read is no promise not to write.
        if let Err(error) = self.volume.open(node, OpenMode::Read) {
            self.volume.forget(node, 1);
            return Err(error.into());
        }
        Ok(File {
            node,
            written: false,
        })
    }

    /// Makes an empty file or folder at `path`.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotFound`] for the folder it is to be in, [`Error::Full`] and others.
    pub fn create(&mut self, path: &str, kind: Kind) -> Result<(), Error> {
        let (folder, name) = split(path)?;
        self.at(folder, |tree, folder| {
            let (name, nothing) = (Name::new(name), SetAttr::new());
            let node = match kind {
                Kind::File => tree.volume.create(folder, name, &nothing)?,
                Kind::Folder => tree.volume.mkdir(folder, name, &nothing)?,
            };
            tree.volume.forget(node, 1);
            Ok(tree.volume.sync()?)
        })
    }

    /// Removes the file or the empty folder at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Busy`], [`Error::NotEmpty`] and others.
    pub fn remove(&mut self, path: &str) -> Result<(), Error> {
        let kind = self.look(path)?.kind;
        let (folder, name) = split(path)?;
        self.at(folder, |tree, folder| {
            match kind {
                Kind::File => tree.volume.unlink(folder, Name::new(name))?,
                Kind::Folder => tree.volume.rmdir(folder, Name::new(name))?,
            }
            Ok(tree.volume.sync()?)
        })
    }

    /// How many bytes an open file has.
    ///
    /// # Errors
    /// [`Error::Disk`] and others.
    pub fn bytes(&mut self, file: &File) -> Result<u64, Error> {
        Ok(self.volume.stat(file.node)?.len())
    }

    /// Reads from an open file, from byte `from` on. Says how many bytes: less than there is room for
    /// only at the file's end, 0 behind it.
    ///
    /// # Errors
    /// [`Error::Disk`] and [`Error::Corrupt`].
    pub fn read(&mut self, file: &File, from: u64, into: &mut [u8]) -> Result<usize, Error> {
        Ok(self.volume.read(file.node, from, into)?)
    }

    /// Writes to an open file, from byte `to` on; what lies between the file's end and there becomes
    /// zeroes. Says how many bytes: all, but for the largest file there can be.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::ReadOnly`], [`Error::Disk`] and others.
    pub fn write(&mut self, file: &mut File, to: u64, bytes: &[u8]) -> Result<usize, Error> {
        file.written = true;
        Ok(self.volume.write(file.node, to, bytes)?)
    }

    /// Makes an open file that long: cuts it, or adds zeroes.
    ///
    /// # Errors
    /// As [`Tree::write`].
    pub fn resize(&mut self, file: &mut File, bytes: u64) -> Result<(), Error> {
        file.written = true;
        Ok(self.volume.truncate(file.node, bytes)?)
    }

    /// Closes an open file. What was written to it is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Disk`] and others: then the file's new size may be lost. It is closed all the same.
    pub fn close(&mut self, file: File) -> Result<(), Error> {
        let closed = self.volume.close(file.node);
        self.volume.forget(file.node, 1);
        closed?;
        match file.written {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// What was written is on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Disk`] and others.
    pub fn flush(&mut self) -> Result<(), Error> {
        Ok(self.volume.sync()?)
    }

    /// Does something with what is at `path`.
    fn at<R>(
        &mut self,
        path: &str,
        what: impl FnOnce(&mut Self, NodeId) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let node = self.resolve(path)?;
        let done = what(self, node);
        self.volume.forget(node, 1);
        done
    }

    fn resolve(&mut self, path: &str) -> Result<NodeId, Error> {
        if path.len() > PATH_BYTES || path.contains('\0') {
            return Err(Error::BadPath);
        }
        Ok(self.volume.resolve(path.as_bytes(), Resolve::Lexical)?)
    }
}

fn kind(of: FileType) -> Kind {
    match of {
        FileType::Dir => Kind::Folder,
        _ => Kind::File,
    }
}

/// The last name of a path; empty for the root.
fn last_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

/// The path of a folder, and a name in it.
fn split(path: &str) -> Result<(&str, &str), Error> {
    let path = path.trim_end_matches('/');
    match last_name(path) {
        "" | "." | ".." => Err(Error::BadPath),
        name => Ok((&path[..path.len() - name.len()], name)),
    }
}

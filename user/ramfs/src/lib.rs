#![cfg_attr(not(test), no_std)]
//! Files in memory: those of the init image, and those made at run time.
//!
//! The image's files stay where they are and cannot be written; what is made is bytes on the heap,
//! up to a limit for all together, so that no client can starve the service. A file that is removed
//! while somebody has it open lives until he closes it, and counts until then.

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Bound;

use initrd::cpio::{self, Archive};
use rt::service::Error;
use rt::service::files::{Entry, FileSystem, Kind, Stat, split};

/// The most files and directories, so that the names, too, are bounded.
pub const MAX_ITEMS: usize = 4096;

/// The file system: paths, and what they name. The root is not among them.
#[derive(Debug)]
pub struct Tree {
    items: BTreeMap<String, Item>,
    room: Rc<Room>,
}

#[derive(Debug)]
enum Item {
    Directory,
    File(Node),
}

/// A file.
pub type Node = Rc<RefCell<Content>>;

/// What is in a file.
#[derive(Debug)]
pub enum Content {
    /// Bytes of the image.
    Image(&'static [u8]),
    /// Bytes that were written.
    Made(Made),
}

/// Bytes that were written, which give back their room when they go.
#[derive(Debug)]
pub struct Made {
    bytes: Vec<u8>,
    room: Rc<Room>,
}

/// How much may still be written.
#[derive(Debug)]
struct Room(Cell<usize>);

impl Tree {
    /// Without files; `made_bytes` is how much can be written.
    pub fn new(made_bytes: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            room: Rc::new(Room(Cell::new(made_bytes))),
        }
    }

    /// Adds the files of an image. Of two with one name the first counts.
    ///
    /// # Errors
    /// Where the image is damaged; the files before that are there.
    pub fn add_image(&mut self, image: &'static [u8]) -> Result<(), cpio::Error> {
        for entry in Archive::new(image).entries() {
            let entry = entry?;
            if self.items.len() >= MAX_ITEMS {
                continue;
            }
            match entry.kind() {
                cpio::Kind::File => {
                    if self.add_directories(entry.name) {
                        let file = Rc::new(RefCell::new(Content::Image(entry.bytes)));
                        self.items
                            .entry(String::from(entry.name))
                            .or_insert(Item::File(file));
                    }
                }
                cpio::Kind::Folder => {
                    if self.add_directories(entry.name) {
                        self.items
                            .entry(String::from(entry.name))
                            .or_insert(Item::Directory);
                    }
                }
                cpio::Kind::Other => {}
            }
        }
        Ok(())
    }

    /// Adds the directories that `path` lies in; whether they all are directories.
    fn add_directories(&mut self, path: &str) -> bool {
        for (end, _) in path.match_indices('/') {
            let item = self.items.entry(String::from(&path[..end]));
            if matches!(item.or_insert(Item::Directory), Item::File(_)) {
                return false;
            }
        }
        true
    }

    fn item(&self, path: &str) -> Result<&Item, Error> {
        self.items.get(path).ok_or_else(|| {
            let in_file = path
                .match_indices('/')
                .any(|(end, _)| matches!(self.items.get(&path[..end]), Some(Item::File(_))));
            if in_file {
                Error::NotDirectory
            } else {
                Error::NotFound
            }
        })
    }

    /// What lies in the directory, with everything below that.
    fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a Item)> {
        let from = match directory {
            "" => String::new(),
            directory => alloc::format!("{directory}/"),
        };
        let start = from.len();
        self.items
            .range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(&from))
            .map(move |(path, item)| (&path[start..], item))
    }
}

impl Item {
    fn stat(&self) -> Stat {
        match self {
            Self::Directory => Stat {
                kind: Kind::Directory,
                size: 0,
            },
            Self::File(file) => Stat {
                kind: Kind::File,
                size: file.borrow().bytes().len() as u64,
            },
        }
    }
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Image(bytes) => bytes,
            Self::Made(made) => &made.bytes,
        }
    }

    fn made(&mut self) -> Result<&mut Made, Error> {
        match self {
            Self::Image(_) => Err(Error::ReadOnly),
            Self::Made(made) => Ok(made),
        }
    }
}

impl Made {
    /// Makes it as long as that, with zeroes at the end.
    fn resize(&mut self, size: usize) -> Result<(), Error> {
        let length = self.bytes.len();
        let room = self.room.0.get();
        if size > length {
            let more = size - length;
            if more > room || self.bytes.try_reserve(more).is_err() {
                return Err(Error::Full);
            }
            self.room.0.set(room - more);
            self.bytes.resize(size, 0);
        } else {
            self.bytes.truncate(size);
            self.bytes.shrink_to_fit();
            self.room.0.set(room + (length - size));
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.room.0.set(self.room.0.get() + self.bytes.len());
    }
}

impl FileSystem for Tree {
    type Node = Node;

    fn stat(&mut self, path: &str) -> Result<Stat, Error> {
        match path {
            "" => Ok(Item::Directory.stat()),
            path => Ok(self.item(path)?.stat()),
        }
    }

    fn open(&mut self, path: &str) -> Result<Node, Error> {
        match self.item(path)? {
            Item::File(file) => Ok(file.clone()),
            Item::Directory => Err(Error::IsDirectory),
        }
    }

    fn read(&mut self, node: &mut Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let content = node.borrow();
        let from = usize::try_from(offset)
            .ok()
            .and_then(|offset| content.bytes().get(offset..))
            .unwrap_or(&[]);
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn list(&mut self, path: &str) -> Result<Vec<Entry>, Error> {
        if self.stat(path)?.kind == Kind::File {
            return Err(Error::NotDirectory);
        }
        let direct = |(name, item): (&str, &Item)| {
            let entry = || Entry {
                name: String::from(name),
                stat: item.stat(),
            };
            (!name.contains('/')).then(entry)
        };
        Ok(self.below(path).filter_map(direct).collect())
    }

    fn write(&mut self, node: &mut Node, offset: u64, from: &[u8]) -> Result<usize, Error> {
        let mut content = node.borrow_mut();
        let made = content.made()?;
        let start = usize::try_from(offset).map_err(|_| Error::Full)?;
        let end = start.checked_add(from.len()).ok_or(Error::Full)?;
        if end > made.bytes.len() {
            made.resize(end)?;
        }
        made.bytes[start..end].copy_from_slice(from);
        Ok(from.len())
    }

    fn resize(&mut self, node: &mut Node, size: u64) -> Result<(), Error> {
        let size = usize::try_from(size).map_err(|_| Error::Full)?;
        node.borrow_mut().made()?.resize(size)
    }

    fn create(&mut self, path: &str, kind: Kind) -> Result<(), Error> {
        if self.items.contains_key(path) {
            return Err(Error::Exists);
        }
        if let Some((directory, _)) = split(path)
            && self.stat(directory)?.kind == Kind::File
        {
            return Err(Error::NotDirectory);
        }
        if self.items.len() >= MAX_ITEMS {
            return Err(Error::Full);
        }
        let item = match kind {
            Kind::Directory => Item::Directory,
            Kind::File => Item::File(Rc::new(RefCell::new(Content::Made(Made {
                bytes: Vec::new(),
                room: self.room.clone(),
            })))),
        };
        self.items.insert(String::from(path), item);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        match self.item(path)? {
            Item::File(file) => {
                file.borrow_mut().made()?;
            }
            Item::Directory => {
                if self.below(path).next().is_some() {
                    return Err(Error::NotEmpty);
                }
            }
        }
        self.items.remove(path);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

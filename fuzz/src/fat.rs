//! Volumes: a disk is whatever somebody put into the machine.

use std::ops::ControlFlow;

use fat::disk::SECTOR;
use fat::{Error, Kind, Tree};
use hadris_fat::sync::write;
use hadris_fat::{FatKind, FatOptions};
use hadris_fs::{Content, Node, Tree as Files};
use hadris_io::{Error as IoError, ErrorKind, ErrorType};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};

/// How often all requests together may move what the disk holds, and some sectors more.
const TIMES_THE_DISK: usize = 60;
const SECTORS_MORE: usize = 4000;
/// No folder below so many others is looked into, and not more than so many entries.
const MOST_DEPTH: usize = 6;
const MOST_ENTRIES: usize = 200;

/// A disk that counts what is moved.
struct Disk {
    bytes: Vec<u8>,
    moves_left: usize,
}

impl Disk {
    fn range(
        &mut self,
        first: BlockIndex,
        bytes: usize,
    ) -> Result<std::ops::Range<usize>, IoError<ErrorKind>> {
        let left = self.moves_left.checked_sub(bytes / SECTOR);
        self.moves_left = left.expect("requests come to an end");
        let start = usize::try_from(first.get())
            .ok()
            .and_then(|first| first.checked_mul(SECTOR));
        let range = start.and_then(|start| Some(start..start.checked_add(bytes)?));
        range
            .filter(|range| range.end <= self.bytes.len())
            .ok_or_else(|| panic!("{bytes} bytes from sector {} are off the disk", first.get()))
    }
}

impl ErrorType for Disk {
    type Error = ErrorKind;
}

impl BlockDevice for Disk {
    fn block_size(&self) -> BlockSize {
        BlockSize::new(SECTOR as u32).expect("a sector has bytes")
    }

    fn block_count(&self) -> u64 {
        (self.bytes.len() / SECTOR) as u64
    }

    fn writable(&self) -> bool {
        true
    }

    fn read_blocks(&mut self, first: BlockIndex, to: &mut [u8]) -> Result<(), IoError<ErrorKind>> {
        let range = self.range(first, to.len())?;
        to.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn write_blocks(&mut self, first: BlockIndex, from: &[u8]) -> Result<(), IoError<ErrorKind>> {
        let range = self.range(first, from.len())?;
        self.bytes[range].copy_from_slice(from);
        Ok(())
    }
}

/// Mounts it, lists and reads everything, writes a file, removes what can be removed. Whether nothing was
/// refused.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let disk = Disk {
        bytes: bytes.to_vec(),
        moves_left: bytes.len() / SECTOR * TIMES_THE_DISK + SECTORS_MORE,
    };
    let Ok(mut tree) = Tree::mount(disk) else {
        return false;
    };
    let _ = tree.label();
    let mut refused = usize::from(tree.room().is_err());
    let mut folders = vec![(String::new(), 0)];
    let mut seen = Vec::new();
    while let Some((folder, depth)) = folders.pop() {
        let mut found = Vec::new();
        let listed = tree.list(&folder, 0, |entry, _| {
            found.push(entry);
            match found.len() + seen.len() < MOST_ENTRIES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        refused += usize::from(listed.is_err());
        for entry in found {
            let path = format!("{folder}/{}", entry.name);
            refused += usize::from(tree.look(&path).is_err());
            match entry.kind {
                Kind::File => refused += usize::from(read(&mut tree, &path).is_err()),
                Kind::Folder if depth < MOST_DEPTH => folders.push((path.clone(), depth + 1)),
                Kind::Folder => {}
            }
            seen.push(path);
        }
    }
    refused += usize::from(grow(&mut tree).is_err());
    for path in seen.iter().rev() {
        refused += usize::from(tree.remove(path).is_err());
    }
    refused == 0
}

fn read(tree: &mut Tree<Disk>, path: &str) -> Result<(), Error> {
    let file = tree.open(path)?;
    let mut room = [0; 5000];
    let size = tree.bytes(&file)?;
    let first = tree.read(&file, 0, &mut room);
    let last = tree.read(&file, size.saturating_sub(100), &mut room);
    assert_eq!(tree.read(&file, size, &mut room), Ok(0), "beyond the end");
    tree.close(file)?;
    for (read, most) in [(first?, room.len()), (last?, 100)] {
        assert!(read as u64 == size.min(most as u64), "{read} of {size}");
    }
    Ok(())
}

fn grow(tree: &mut Tree<Disk>) -> Result<(), Error> {
    const PATH: &str = "a new file";
    tree.create(PATH, Kind::File)?;
    let mut file = tree.open(PATH)?;
    let bytes = [0x5a; 1500];
    let written = tree.write(&mut file, 700, &bytes);
    tree.close(file)?;
    assert_eq!(written?, bytes.len());
    tree.look(PATH)?;
    tree.remove(PATH)
}

/// A small volume as tools make them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut files = Files::new();
    for (path, bytes) in [
        ("hello.txt", 21),
        ("A name that is longer than eight.text", 1500),
        ("folder/deep/file.bin", 3000),
    ] {
        let content = Content::bytes(vec![0x61; bytes]);
        let added = files.insert(path, Node::file(content));
        added.expect("a name");
    }
    let options = FatOptions::new()
        .with_kind(FatKind::Fat12)
        .with_root_entries(32)
        .with_size(32 << 10);
    let mut volume = Vec::new();
    write(&mut volume, &files, &options).expect("a volume");
    vec![volume]
}

//! Volumes as nobody should make them.
//!
//! Each test takes a sound volume, made by another implementation of FAT, damages it, and does with it
//! all that a client can ask for. Whatever comes of it, it must come: an error is as good as a file, a
//! panic or a walk without end is not. That a walk ends is seen by counting sectors, not by a clock.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::string::{String, ToString};
use std::sync::OnceLock;
use std::vec::Vec;
use std::{format, vec};

use core::convert::Infallible;
use core::ops::ControlFlow;

use hadris_io::{Error as IoError, ErrorKind, ErrorType};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};
use proptest::prelude::*;

use crate::disk::SECTOR;
use crate::{Error, Kind, Tree};

/// All the requests of a test together may read and write this many times what the disk holds.
const TIMES_THE_DISK: u64 = 40;

/// A disk in memory: a sound volume that all tests share, and what this test has changed.
struct Disk {
    base: &'static [u8],
    changed: BTreeMap<u64, [u8; SECTOR]>,
    sectors: u64,
    /// How many were read or written.
    moved: u64,
    /// After so many more the disk fails.
    fails_after: u64,
}

impl Disk {
    fn new(base: &'static [u8]) -> Self {
        Self {
            base,
            changed: BTreeMap::new(),
            sectors: (base.len() / SECTOR) as u64,
            moved: 0,
            fails_after: u64::MAX,
        }
    }

    fn sector(&self, index: u64) -> [u8; SECTOR] {
        self.changed.get(&index).copied().unwrap_or_else(|| {
            let at = index as usize * SECTOR;
            self.base[at..at + SECTOR].try_into().expect("a sector")
        })
    }

    fn put(&mut self, at: usize, byte: u8) {
        let index = (at / SECTOR) as u64;
        let mut sector = self.sector(index);
        sector[at % SECTOR] = byte;
        self.changed.insert(index, sector);
    }

    fn move_one(&mut self, index: u64) -> Result<(), IoError<Infallible>> {
        if index >= self.sectors || self.fails_after == 0 {
            return Err(ErrorKind::Io.into());
        }
        self.fails_after -= 1;
        self.moved += 1;
        assert!(
            self.moved <= TIMES_THE_DISK * self.sectors,
            "no end in sight"
        );
        Ok(())
    }
}

impl ErrorType for Disk {
    type Error = Infallible;
}

impl BlockDevice for &mut Disk {
    fn block_size(&self) -> BlockSize {
        BlockSize::new(SECTOR as u32).expect("not 0")
    }

    fn block_count(&self) -> u64 {
        self.sectors
    }

    fn writable(&self) -> bool {
        true
    }

    fn read_blocks(
        &mut self,
        first: BlockIndex,
        buffer: &mut [u8],
    ) -> Result<(), IoError<Infallible>> {
        for (index, sector) in (first.get()..).zip(buffer.chunks_exact_mut(SECTOR)) {
            self.move_one(index)?;
            sector.copy_from_slice(&self.sector(index));
        }
        Ok(())
    }

    fn write_blocks(
        &mut self,
        first: BlockIndex,
        buffer: &[u8],
    ) -> Result<(), IoError<Infallible>> {
        for (index, sector) in (first.get()..).zip(buffer.chunks_exact(SECTOR)) {
            self.move_one(index)?;
            self.changed
                .insert(index, sector.try_into().expect("a sector"));
        }
        Ok(())
    }
}

/// What is in the sound volumes.
const FILES: [(&str, usize); 5] = [
    ("hello.txt", 21),
    ("empty", 0),
    ("folder/one sector.bin", 512),
    ("folder/deep/several clusters.bin", 40_000),
    ("A name that is longer than eight.text", 1000),
];

/// Byte `at` of the file with that name.
fn byte(name: &str, at: usize) -> u8 {
    (at * 7 + at / 256 + name.len()) as u8
}

/// A sound volume of a kind, with [`FILES`].
fn sound(kind: fatfs::FatType) -> &'static [u8] {
    static VOLUMES: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
    let (slot, sectors) = match kind {
        fatfs::FatType::Fat12 => (0, 2880),
        fatfs::FatType::Fat16 => (1, 9000),
        fatfs::FatType::Fat32 => (2, 67_000),
    };
    VOLUMES[slot].get_or_init(|| {
        let mut image = vec![0; sectors * SECTOR];
        let options = fatfs::FormatVolumeOptions::new()
            .fat_type(kind)
            .bytes_per_cluster(512)
            .volume_label(*b"PETREL     ");
        fatfs::format_volume(Cursor::new(&mut image), options).expect("formatted");
        let volume = fatfs::FileSystem::new(Cursor::new(&mut image), fatfs::FsOptions::new())
            .expect("mounted");
        assert_eq!(volume.fat_type(), kind);
        let root = volume.root_dir();
        root.create_dir("folder").expect("made");
        root.create_dir("folder/deep").expect("made");
        for (path, bytes) in FILES {
            let contents: Vec<u8> = (0..bytes).map(|at| byte(path, at)).collect();
            let mut file = root.create_file(path).expect("made");
            file.write_all(&contents).expect("written");
        }
        drop(root);
        volume.unmount().expect("unmounted");
        image
    })
}

const KINDS: [fatfs::FatType; 3] = [
    fatfs::FatType::Fat12,
    fatfs::FatType::Fat16,
    fatfs::FatType::Fat32,
];

fn read_all(tree: &mut Tree<&mut Disk>, path: &str) -> Result<Vec<u8>, Error> {
    let file = tree.open(path)?;
    let mut bytes = vec![0; 100_000];
    let read = tree.read(&file, 0, &mut bytes);
    let closed = tree.close(file);
    bytes.truncate(read?);
    closed.map(|()| bytes)
}

fn names(
    tree: &mut Tree<&mut Disk>,
    path: &str,
    most: usize,
) -> Result<Vec<(String, Kind)>, Error> {
    let mut names = Vec::new();
    tree.list(path, 0, |entry, _| {
        names.push((entry.name, entry.kind));
        match names.len() < most {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(names)
}

/// Everything a client can ask for. Says how many requests were granted.
fn ask_for_everything(disk: &mut Disk) -> usize {
    let Ok(mut tree) = Tree::mount(disk) else {
        return 0;
    };
    let _ = tree.label();
    let mut granted = usize::from(tree.room().is_ok());
    let mut folders = vec![String::new()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for (name, kind) in names(&mut tree, &folder, 40).unwrap_or_default() {
            seen += 1;
            let path = format!("{folder}/{name}");
            granted += usize::from(tree.look(&path).is_ok());
            match kind {
                Kind::File => granted += usize::from(read_all(&mut tree, &path).is_ok()),
                Kind::Folder if seen < 100 && path.len() < 200 => folders.push(path),
                Kind::Folder => {}
            }
        }
    }
    granted += usize::from(write(&mut tree, "folder/new file.txt", 3000).is_ok());
    for (path, _) in FILES {
        granted += usize::from(tree.remove(path).is_ok());
    }
    granted + usize::from(tree.create("folder/another", Kind::Folder).is_ok())
}

fn write(tree: &mut Tree<&mut Disk>, path: &str, bytes: usize) -> Result<(), Error> {
    let contents: Vec<u8> = (0..bytes).map(|at| byte(path, at)).collect();
    tree.create(path, Kind::File)?;
    let mut file = tree.open(path)?;
    let written = tree.write(&mut file, 0, &contents);
    tree.close(file)?;
    assert_eq!(written?, bytes);
    Ok(())
}

#[test]
fn a_sound_volume_reads_as_it_was_written() {
    for kind in KINDS {
        let mut disk = Disk::new(sound(kind));
        let mut tree = Tree::mount(&mut disk).expect("mounted");
        assert_eq!(tree.label().as_deref(), Some("PETREL"));
        for (path, bytes) in FILES {
            let read = read_all(&mut tree, path).expect(path);
            assert!(read.len() == bytes && (0..bytes).all(|at| read[at] == byte(path, at)));
            assert_eq!(tree.look(path).expect(path).bytes, bytes as u64);
        }
        let root = names(&mut tree, "/", 100).expect("listed");
        assert_eq!(root.len(), 4);
        assert!(root.contains(&("folder".to_string(), Kind::Folder)));
        assert_eq!(tree.look("").map(|root| root.kind), Ok(Kind::Folder));
    }
}

#[test]
fn what_is_written_is_read_by_another_implementation() {
    for kind in KINDS {
        let mut disk = Disk::new(sound(kind));
        let mut tree = Tree::mount(&mut disk).expect("mounted");
        let path = "folder/written here.bin";
        write(&mut tree, path, 5000).expect("written");
        tree.remove("hello.txt").expect("removed");
        let image: Vec<u8> = (0..disk.sectors).flat_map(|at| disk.sector(at)).collect();
        let volume = fatfs::FileSystem::new(Cursor::new(image), fatfs::FsOptions::new());
        let volume = volume.expect("mounted");
        let mut bytes = Vec::new();
        let mut file = volume.root_dir().open_file(path).expect("found");
        std::io::Read::read_to_end(&mut file, &mut bytes).expect("read");
        assert!(bytes.len() == 5000 && (0..5000).all(|at| bytes[at] == byte(path, at)));
        assert!(volume.root_dir().open_file("hello.txt").is_err());
    }
}

#[test]
fn errors_say_what_was_wrong() {
    let mut disk = Disk::new(sound(fatfs::FatType::Fat16));
    let mut tree = Tree::mount(&mut disk).expect("mounted");
    let open = |tree: &mut Tree<&mut Disk>, path| tree.open(path).map(|_| ());
    assert_eq!(open(&mut tree, "nothing.txt"), Err(Error::NotFound));
    assert_eq!(open(&mut tree, "folder"), Err(Error::IsAFolder));
    assert_eq!(open(&mut tree, "hello.txt/more"), Err(Error::NotAFolder));
    assert_eq!(open(&mut tree, "a\0b"), Err(Error::BadPath));
    assert_eq!(open(&mut tree, &"x/".repeat(600)), Err(Error::BadPath));
    assert_eq!(tree.create("folder", Kind::File), Err(Error::Exists));
    assert_eq!(tree.remove("folder"), Err(Error::NotEmpty));
    assert_eq!(tree.remove("/"), Err(Error::BadPath));
    let file = tree.open("HELLO.TXT").expect("case does not matter");
    assert_eq!(tree.remove("hello.txt"), Err(Error::Busy));
    tree.close(file).expect("closed");
    tree.remove("hello.txt").expect("removed");
}

#[test]
fn too_many_open_files_are_refused_and_come_back() {
    let mut disk = Disk::new(sound(fatfs::FatType::Fat16));
    let mut tree = Tree::mount(&mut disk).expect("mounted");
    for number in 0..300 {
        write(&mut tree, &format!("{number}.txt"), 0).expect("made");
    }
    let mut open = Vec::new();
    let refused = (0..300).find_map(|number| match tree.open(&format!("{number}.txt")) {
        Ok(file) => {
            open.push(file);
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(refused, Some(Error::TooMuch));
    for file in open {
        tree.close(file).expect("closed");
    }
    read_all(&mut tree, "folder/one sector.bin").expect("room again");
}

#[test]
fn a_disk_that_is_no_volume_is_refused() {
    static ZEROES: [u8; 64 * SECTOR] = [0; 64 * SECTOR];
    let refused = |base: &'static [u8]| Tree::mount(&mut Disk::new(base)).map(|_| ());
    assert_eq!(refused(&ZEROES), Err(Error::NoVolume));
    assert_eq!(refused(&ZEROES[..SECTOR]), Err(Error::NoVolume));
    assert!(refused(&[]).is_err());
}

#[test]
fn a_volume_in_a_partition_is_found() {
    let volume = sound(fatfs::FatType::Fat12);
    let mut disk = vec![0; 9 * SECTOR];
    disk[446 + 4] = 0x01;
    disk[446 + 8] = 9;
    disk[446 + 12..446 + 16].copy_from_slice(&(volume.len() as u32 / 512).to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.extend_from_slice(volume);
    let mut disk = Disk::new(disk.leak());
    let mut tree = Tree::mount(&mut disk).expect("mounted");
    let hello = read_all(&mut tree, "hello.txt").expect("read");
    assert_eq!(hello.len(), 21);
}

#[test]
fn a_disk_may_fail_at_any_sector() {
    for fails_after in 0..400 {
        let mut disk = Disk::new(sound(fatfs::FatType::Fat16));
        disk.fails_after = fails_after;
        ask_for_everything(&mut disk);
    }
}

/// Damage: a place, of which most are in what describes the volume, and a byte.
fn damage(kind: fatfs::FatType) -> impl Strategy<Value = Vec<(usize, u8)>> {
    let image = sound(kind);
    let table = usize::from(u16::from_le_bytes([image[14], image[15]])) * SECTOR;
    let used: Vec<usize> = (0..image.len()).filter(|at| image[*at] != 0).collect();
    let place = prop_oneof![
        3 => 0..90usize,
        3 => (0..200usize).prop_map(move |at| table + at),
        3 => prop::sample::select(used),
        1 => 0..image.len(),
    ];
    let byte = prop_oneof![
        prop::sample::select(vec![0, 1, 2, 0x7f, 0x80, 0xff]),
        any::<u8>()
    ];
    prop::collection::vec((place, byte), 1..12)
}

fn survives(kind: fatfs::FatType, damage: Vec<(usize, u8)>, sectors: u64) {
    let mut disk = Disk::new(sound(kind));
    for (at, byte) in damage {
        disk.put(at, byte);
    }
    disk.sectors = disk.sectors.min(sectors);
    ask_for_everything(&mut disk);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damage_to_fat12_is_survived(damage in damage(fatfs::FatType::Fat12)) {
        survives(fatfs::FatType::Fat12, damage, u64::MAX);
    }

    #[test]
    fn damage_to_fat16_is_survived(damage in damage(fatfs::FatType::Fat16)) {
        survives(fatfs::FatType::Fat16, damage, u64::MAX);
    }

    #[test]
    fn damage_to_fat32_is_survived(damage in damage(fatfs::FatType::Fat32)) {
        survives(fatfs::FatType::Fat32, damage, u64::MAX);
    }

    #[test]
    fn a_disk_that_ends_early_is_survived(
        damage in damage(fatfs::FatType::Fat16),
        sectors in 0..9000u64,
    ) {
        survives(fatfs::FatType::Fat16, damage, sectors);
    }
}

//! Disks: what the machine's virtio disk holds.
//!
//! A scenario that reads a disk must know every byte on it, and `make run` should have something to
//! look at, so disks are made here, the same bytes each time: a small FAT16 volume with a few files,
//! with or without a partition table around it, and the same one damaged in ways that a file service
//! has to survive. No tool of the host is needed.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use hadris_fat::sync::{FatFs, check, write};
use hadris_fat::{FatKind, FatOptions, VolumeLabel};
use hadris_fs::sync::Volume;
use hadris_fs::{Content, MountOptions, Node, OpenOptions, Tree};
use hadris_storage::{BlockSize, MemDevice};

/// Bytes in a sector.
pub const SECTOR: usize = 512;
/// The size of the volume: few enough bytes to make in no time, enough clusters for FAT16.
const VOLUME_BYTES: u64 = 8 << 20;
/// Where the partition of [`Disk::Partitioned`] begins, in sectors.
const PARTITION_START: usize = 2048;
/// The type of a FAT16 partition with logical addressing.
const PARTITION_FAT16_LBA: u8 = 0x0e;
/// What a boot sector and a partition table end with.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// How many words [`numbers`] has.
pub const NUMBERS: u32 = 64 << 10;

/// What is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// The volume, from the first sector on.
    Files,
    /// The volume in the first partition.
    Partitioned,
    /// Zeroes.
    Empty,
    /// The volume, but its boot sector says that the FAT is larger than the disk.
    BadBootSector,
    /// The volume, but the second cluster of `numbers.bin` follows on itself.
    LoopingFile,
}

impl Disk {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Files,
        Self::Partitioned,
        Self::Empty,
        Self::BadBootSector,
        Self::LoopingFile,
    ];

    /// Its bytes: a whole number of sectors.
    ///
    /// # Errors
    /// When the volume cannot be made, which is a mistake here.
    pub fn image(self) -> Result<Vec<u8>> {
        let mut image = match self {
            Self::Empty => return Ok(vec![0; VOLUME_BYTES as usize]),
            _ => volume()?,
        };
        match self {
            Self::Files | Self::Empty => {}
            Self::Partitioned => image = partitioned(&image)?,
            Self::BadBootSector => put_u16(&mut image, boot::FAT_SECTORS, u16::MAX),
            Self::LoopingFile => loop_chain(&mut image, b"NUMBERS BIN")?,
        }
        Ok(image)
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn write(self, path: &Path) -> Result<()> {
        fs::write(path, self.image()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes it to a file that is not there yet. One that is there is left as it is: what somebody
    /// wrote to his disk is his.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn provide(self, path: &Path) -> Result<()> {
        match path.exists() {
            true => Ok(()),
            false => self.write(path),
        }
    }
}

/// The files of the volume, with their paths.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("hello.txt", text("Hello from the disk.\n")),
        ("empty.txt", Vec::new()),
        ("numbers.bin", numbers()),
        (
            "A name that is longer than eight.text",
            text("Long names work as well.\n"),
        ),
        (
            "docs/readme.txt",
            text("This disk is a FAT16 volume, made by the harness.\nWhat you write here stays.\n"),
        ),
        ("docs/deep/er/still.txt", text("Four levels down.\n")),
    ]
}

/// The contents of `numbers.bin`: word n is n times 2654435761, modulo 2^32, little-endian. A reader
/// can tell where any piece of it belongs.
pub fn numbers() -> Vec<u8> {
    (0..NUMBERS)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// The file that `diskcheck keep` leaves on a disk, and its contents.
fn kept() -> (&'static str, Vec<u8>) {
    let bytes = (0..100_000_u32).map(|n| (n % 251) as u8);
    ("docs/written at EL0.bin", bytes.collect())
}

/// Looks at a disk, [`Disk::Files`], that a machine has had: nothing contradicts itself, and all files
/// are as they were.
///
/// # Errors
/// What is wrong with it.
pub fn is_sound(path: &Path) -> Result<()> {
    look_at(path, &files())
}

/// The same, and `diskcheck keep` has left its file.
///
/// # Errors
/// What is wrong with it.
pub fn is_sound_with_kept(path: &Path) -> Result<()> {
    let mut expected = files();
    expected.push(kept());
    look_at(path, &expected)
}

fn look_at(path: &Path, expected: &[(&str, Vec<u8>)]) -> Result<()> {
    let image = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = BlockSize::new(SECTOR as u32).context("a sector has bytes")?;
    let mut device = MemDevice::new(image, size);
    let mut findings = Vec::new();
    let mut scratch = vec![0; 64 << 10];
    check(&mut device, &mut scratch, |finding| {
        findings.push(finding.to_string());
    })
    .map_err(|error| anyhow!("it cannot be checked: {error:?}"))?;
    ensure!(findings.is_empty(), "{}", findings.join("; "));
    let mounted = FatFs::mount(device, MountOptions::new().read_only());
    let volume = Volume::new(mounted.map_err(|error| anyhow!("{error:?}"))?);
    for (path, bytes) in expected {
        let mut found = Vec::new();
        volume
            .open(path, OpenOptions::new().read())
            .map_err(|error| anyhow!("{path}: {error:?}"))?
            .read_to_end(&mut found)
            .with_context(|| format!("cannot read {path}"))?;
        ensure!(found == *bytes, "{path} has other bytes");
    }
    Ok(())
}

/// A FAT16 volume with [`files`].
fn volume() -> Result<Vec<u8>> {
    let mut tree = Tree::new();
    for (path, bytes) in files() {
        tree.insert(path, Node::file(Content::bytes(bytes)))
            .map_err(|error| anyhow!("{path}: {error:?}"))?;
    }
    let options = FatOptions::new()
        .with_kind(FatKind::Fat16)
        .with_size(VOLUME_BYTES)
        .with_label(VolumeLabel::new("PETREL").map_err(|error| anyhow!("{error:?}"))?);
    let mut image = Vec::new();
    write(&mut image, &tree, &options).map_err(|error| anyhow!("{error:?}"))?;
    ensure!(
        image.len() as u64 == VOLUME_BYTES,
        "a volume of another size"
    );
    Ok(image)
}

/// A disk with one partition that holds `volume`.
fn partitioned(volume: &[u8]) -> Result<Vec<u8>> {
    let start = u32::try_from(PARTITION_START)?;
    let sectors = u32::try_from(volume.len() / SECTOR)?;
    let mut disk = vec![0; PARTITION_START * SECTOR];
    let entry = &mut disk[446..462];
    entry[4] = PARTITION_FAT16_LBA;
    entry[8..12].copy_from_slice(&start.to_le_bytes());
    entry[12..16].copy_from_slice(&sectors.to_le_bytes());
    disk[510..512].copy_from_slice(&SIGNATURE);
    disk.extend_from_slice(volume);
    Ok(disk)
}

/// Offsets in a boot sector (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
mod boot {
    /// Sectors in a cluster, one byte.
    pub(super) const CLUSTER_SECTORS: usize = 13;
    /// Sectors before the first FAT.
    pub(super) const RESERVED_SECTORS: usize = 14;
    /// How many FATs, one byte.
    pub(super) const FATS: usize = 16;
    /// Sectors of a FAT.
    pub(super) const FAT_SECTORS: usize = 22;
}

/// Makes the second cluster of a file in the root folder follow on itself, in all FATs.
fn loop_chain(image: &mut [u8], short_name: &[u8; 11]) -> Result<()> {
    let reserved = usize::from(get_u16(image, boot::RESERVED_SECTORS));
    let fats = usize::from(image[boot::FATS]);
    let fat_sectors = usize::from(get_u16(image, boot::FAT_SECTORS));
    ensure!(image[boot::CLUSTER_SECTORS] > 0 && fats > 0, "no volume");
    let root = (reserved + fats * fat_sectors) * SECTOR;
    let entry = image[root..]
        .chunks_exact(32)
        .position(|entry| &entry[..11] == short_name)
        .context("no such file in the root folder")?;
    let first = usize::from(get_u16(image, root + entry * 32 + 26));
    let fat_entry =
        |fat: usize, cluster: usize| (reserved + fat * fat_sectors) * SECTOR + cluster * 2;
    let second = get_u16(image, fat_entry(0, first));
    for fat in 0..fats {
        put_u16(image, fat_entry(fat, usize::from(second)), second);
    }
    Ok(())
}

fn get_u16(image: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([image[at], image[at + 1]])
}

fn put_u16(image: &mut [u8], at: usize, value: u16) {
    image[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Reads a file with another implementation of FAT than the one that wrote it.
    fn read(image: Vec<u8>, path: &str) -> std::io::Result<Vec<u8>> {
        let volume = fatfs::FileSystem::new(Cursor::new(image), fatfs::FsOptions::new())?;
        let mut bytes = Vec::new();
        volume.root_dir().open_file(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn another_reader_finds_every_file() {
        let image = Disk::Files.image().expect("an image");
        for (path, bytes) in files() {
            assert!(read(image.clone(), path).expect(path) == bytes, "{path}");
        }
    }

    #[test]
    fn it_is_fat16_and_the_same_each_time() {
        let image = Disk::Files.image().expect("an image");
        let volume = fatfs::FileSystem::new(Cursor::new(image.clone()), fatfs::FsOptions::new())
            .expect("a volume");
        assert_eq!(volume.fat_type(), fatfs::FatType::Fat16);
        assert!(image == Disk::Files.image().expect("an image"));
    }

    #[test]
    fn the_partition_holds_the_volume() {
        let disk = Disk::Partitioned.image().expect("an image");
        let volume = disk[PARTITION_START * SECTOR..].to_vec();
        assert!(volume == Disk::Files.image().expect("an image"));
        assert_eq!(disk[510..512], SIGNATURE);
    }

    #[test]
    fn damage_is_where_it_was_meant() {
        let whole = Disk::Files.image().expect("an image");
        let differences = |disk: Disk| {
            let image = disk.image().expect("an image");
            assert_eq!(image.len(), whole.len());
            image.iter().zip(&whole).filter(|(a, b)| a != b).count()
        };
        assert_eq!(differences(Disk::BadBootSector), 2);
        // One byte in each FAT: a chain that was contiguous.
        assert_eq!(differences(Disk::LoopingFile), 2);
        let hello = read(Disk::LoopingFile.image().expect("an image"), "hello.txt");
        assert_eq!(hello.expect("unharmed"), b"Hello from the disk.\n");
    }

    #[test]
    fn every_disk_is_whole_sectors() {
        for disk in Disk::ALL {
            let image = disk.image().expect("an image");
            assert!(!image.is_empty() && image.len().is_multiple_of(SECTOR));
        }
    }

    #[test]
    fn a_disk_is_looked_at_closely() {
        let path = std::env::temp_dir().join(format!("petrel-look-{}", std::process::id()));
        let verdict = |disk: Disk| {
            disk.write(&path).expect("written");
            assert!(is_sound_with_kept(&path).is_err());
            is_sound(&path).map_err(|error| error.to_string())
        };
        assert_eq!(verdict(Disk::Files), Ok(()));
        for damaged in [Disk::Empty, Disk::BadBootSector, Disk::LoopingFile] {
            assert!(verdict(damaged).is_err(), "{damaged:?}");
        }
        let mut image = Disk::Files.image().expect("an image");
        let last = image
            .iter()
            .rposition(|byte| *byte != 0)
            .expect("some byte");
        image[last] ^= 1;
        fs::write(&path, image).expect("written");
        assert!(is_sound(&path).is_err());
        fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn a_disk_that_is_there_is_kept() {
        let path = std::env::temp_dir().join(format!("petrel-disk-{}", std::process::id()));
        fs::write(&path, b"mine").expect("written");
        Disk::Files.provide(&path).expect("provided");
        assert_eq!(fs::read(&path).expect("read"), b"mine");
        fs::remove_file(&path).expect("removed");
        Disk::Files.provide(&path).expect("provided");
        assert_eq!(
            fs::metadata(&path).expect("there").len(),
            Disk::Files.image().expect("an image").len() as u64
        );
        fs::remove_file(&path).expect("removed");
    }
}

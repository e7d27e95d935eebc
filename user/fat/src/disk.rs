//! Where on a disk the volume is.
//!
//! A disk either is a volume, from its first sector on, or begins with a partition table of the old
//! kind: four entries at the end of the first sector, a signature behind them. Both first sectors end
//! with the same signature, and what lies before it in a table is a program that may look like
//! anything; so the volume is tried first, which says exactly why it is none, and only a sector that
//! is no FAT boot sector at all is read as a table.

use hadris_fat::sync::FatFs;
use hadris_fs::MountOptions;
use hadris_io::ErrorKind;
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, Partition};

use crate::Error;

/// Bytes in a sector: the only size there is on a virtio disk, and the one tables count in.
pub const SECTOR: usize = 512;
/// Where the table's entries begin, how long each is, and how many there are.
const ENTRIES: (usize, usize, usize) = (446, 16, 4);
/// What the first sector ends with.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Types of partitions that hold FAT12, FAT16 or FAT32.
const FAT_TYPES: [u8; 6] = [0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e];
/// How many files and folders can be in use at the same time.
const NODES: usize = 256;

/// A mounted volume.
pub(crate) type Volume<D> = FatFs<Partition<D>>;

/// Finds the volume on `disk` and mounts it.
///
/// # Errors
/// [`Error::NoVolume`] when the disk holds none; [`Error::Corrupt`] when it holds one that makes no
/// sense; [`Error::Disk`] when it cannot be read.
pub(crate) fn mount<D: BlockDevice>(disk: D) -> Result<Volume<D>, Error> {
    if disk.block_size().get() as usize != SECTOR {
        return Err(Error::NoVolume);
    }
    let whole = bytes(disk.block_count());
    let mut disk = match mount_at(disk, 0, whole) {
        Ok(volume) => return Ok(volume),
        Err((ErrorKind::NotRecognized, disk)) => disk,
        Err((kind, _)) => return Err(kind.into()),
    };
    let mut sector = [0; SECTOR];
    disk.read_blocks(BlockIndex::new(0), &mut sector)
        .map_err(|error| Error::from(error.kind()))?;
    let (start, sectors) = partition(&sector, disk.block_count()).ok_or(Error::NoVolume)?;
    mount_at(disk, bytes(start), bytes(sectors)).map_err(|(kind, _)| kind.into())
}

fn bytes(sectors: u64) -> u64 {
    sectors.saturating_mul(SECTOR as u64)
}

/// Mounts what lies there, or gives the disk back.
fn mount_at<D: BlockDevice>(disk: D, start: u64, bytes: u64) -> Result<Volume<D>, (ErrorKind, D)> {
    let options = MountOptions::new().with_node_limit(NODES);
    FatFs::mount(Partition::new(disk, start, bytes), options).map_err(|failed| {
        let (error, partition) = failed.into_parts();
        (error.kind(), partition.into_inner())
    })
}

/// The first partition with FAT that lies on a disk of `disk_sectors`: its first sector and how many.
pub fn partition(sector: &[u8; SECTOR], disk_sectors: u64) -> Option<(u64, u64)> {
    if sector[SECTOR - 2..] != SIGNATURE {
        return None;
    }
    let (from, length, count) = ENTRIES;
    let entries = sector[from..from + length * count].chunks_exact(length);
    entries
        .filter(|entry| FAT_TYPES.contains(&entry[4]))
        .map(|entry| (number(&entry[8..12]), number(&entry[12..16])))
        .find(|(start, sectors)| *start > 0 && *sectors > 0 && start + sectors <= disk_sectors)
}

/// Four bytes, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(entries: &[(u8, u32, u32)]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        for (place, (kind, start, sectors)) in sector[446..].chunks_exact_mut(16).zip(entries) {
            place[4] = *kind;
            place[8..12].copy_from_slice(&start.to_le_bytes());
            place[12..].copy_from_slice(&sectors.to_le_bytes());
        }
        sector[510..].copy_from_slice(&SIGNATURE);
        sector
    }

    #[test]
    fn the_first_partition_with_fat_is_taken() {
        let sector = table(&[(0x83, 1, 10), (0x0e, 20, 30), (0x0c, 50, 10)]);
        assert_eq!(partition(&sector, 100), Some((20, 30)));
        assert_eq!(partition(&sector, 50), Some((20, 30)));
        assert_eq!(partition(&table(&[(0x83, 1, 10)]), 100), None);
    }

    #[test]
    fn partitions_off_the_disk_are_none() {
        let beyond = [
            (0x0e, 20, 31),
            (0x0e, 0, 5),
            (0x0e, 20, 0),
            (0x0e, u32::MAX, u32::MAX),
        ];
        assert_eq!(partition(&table(&beyond), 50), None);
        let mut unsigned = table(&[(0x0e, 20, 30)]);
        unsigned[511] = 0;
        assert_eq!(partition(&unsigned, 100), None);
    }

    proptest! {
        #[test]
        fn whatever_is_found_lies_on_the_disk(entries: [(u8, u32, u32); 4], disk in 0..1u64 << 33) {
            if let Some((start, sectors)) = partition(&table(&entries), disk) {
                prop_assert!(sectors > 0 && start + sectors <= disk);
            }
        }
    }
}

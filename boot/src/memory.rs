//! Which pages of RAM are free when the kernel starts.
//!
//! Pure planning: from the RAM that the device tree lists, take away what is reserved and what is
//! already in use (kernel image, device tree, init image), and keep the whole pages that are left.
//! A page is free only if every byte of it is RAM and none is taken. Regions of RAM that touch are
//! one: a page across their border is whole.

use core::fmt;
use heapless::Vec;

use crate::Region;
use crate::info::{MAX_MEMORY_REGIONS, MAX_RESERVED_REGIONS};

/// Bytes in a page: the granule that the kernel's page tables use.
pub const PAGE_SIZE: u64 = 4096;

/// Room for free ranges: each range of RAM, and each cut that makes two of one.
pub const MAX_FREE_REGIONS: usize =
    MAX_MEMORY_REGIONS + MAX_RESERVED_REGIONS + Footprint::MAX_PARTS;

/// Free RAM: whole pages, rising, disjoint, not touching.
pub type FreeRegions = Vec<Region, MAX_FREE_REGIONS>;

/// The memory that is in use when the kernel starts, in physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The kernel image, with its `.bss` and boot stacks.
    pub kernel: Region,
    /// The device tree blob.
    pub device_tree: Region,
    /// The init image.
    pub initrd: Option<Region>,
}

impl Footprint {
    const MAX_PARTS: usize = 3;

    /// The parts, each with its name for messages.
    fn parts(&self) -> impl Iterator<Item = (&'static str, Region)> + Clone {
        [
            ("kernel image", Some(self.kernel)),
            ("device tree", Some(self.device_tree)),
            ("init image", self.initrd),
        ]
        .into_iter()
        .filter_map(|(name, part)| Some((name, part?)))
        .filter(|(_, part)| !part.is_empty())
    }
}

/// Plans the free pages of `memory` without `reserved` and without `footprint`. All may be in any
/// order and overlap; only the parts of the footprint may not overlap each other.
///
/// # Errors
/// [`PlanError`] when the footprint cannot be true, or nothing is left.
pub fn plan(
    memory: &Vec<Region, MAX_MEMORY_REGIONS>,
    reserved: &Vec<Region, MAX_RESERVED_REGIONS>,
    footprint: &Footprint,
) -> Result<FreeRegions, PlanError> {
    let ram = merged(memory);
    check(footprint, &ram)?;

    let mut taken: Vec<Region, { MAX_RESERVED_REGIONS + Footprint::MAX_PARTS }> = Vec::new();
    taken.extend(reserved.iter().copied().filter(|region| !region.is_empty()));
    taken.extend(footprint.parts().map(|(_, part)| part));
    taken.sort_unstable();

    let mut free = FreeRegions::new();
    for region in &ram {
        let mut start = region.base();
        for hole in &taken {
            keep_pages(&mut free, start, hole.base().min(region.end()));
            start = start.max(hole.end());
        }
        keep_pages(&mut free, start, region.end());
    }
    if free.is_empty() {
        return Err(PlanError::NothingFree);
    }
    Ok(free)
}

/// Bytes in all of `regions`, which are disjoint.
pub fn total_bytes(regions: &[Region]) -> u64 {
    regions.iter().map(|region| region.size()).sum()
}

/// The same bytes as ranges that rise, are disjoint and do not touch.
fn merged(regions: &Vec<Region, MAX_MEMORY_REGIONS>) -> Vec<Region, MAX_MEMORY_REGIONS> {
    let mut sorted = regions.clone();
    sorted.sort_unstable();
    let mut merged = Vec::<Region, MAX_MEMORY_REGIONS>::new();
    for region in sorted.into_iter().filter(|region| !region.is_empty()) {
        match merged.last_mut() {
            Some(last) if region.base() <= last.end() => {
                let end = last.end().max(region.end());
                *last = Region::from_bounds(last.base(), end).unwrap_or(*last);
            }
            // There are no more of them than there were.
            _ => drop(merged.push(region)),
        }
    }
    merged
}

/// Keeps the whole pages of `start..end`; there may be none.
fn keep_pages(free: &mut FreeRegions, start: u64, end: u64) {
    let first = start.checked_next_multiple_of(PAGE_SIZE);
    let behind = end - end % PAGE_SIZE;
    let pages = first.and_then(|first| Region::from_bounds(first, behind));
    if let Some(pages) = pages.filter(|pages| !pages.is_empty()) {
        // Between m ranges of RAM and t holes there are at most m + t gaps, which is the room.
        let _ = free.push(pages);
    }
}

/// What is in use must be in RAM, and each byte of it used once.
fn check(footprint: &Footprint, ram: &[Region]) -> Result<(), PlanError> {
    let mut parts = footprint.parts();
    while let Some((name, part)) = parts.next() {
        if !ram.iter().any(|region| region.contains(part)) {
            return Err(PlanError::OutsideRam { name, part });
        }
        if let Some((other, _)) = parts.clone().find(|(_, other)| part.overlaps(*other)) {
            return Err(PlanError::Overlap { name, other, part });
        }
    }
    Ok(())
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// Something is in use that is not RAM, says the device tree.
    OutsideRam {
        /// What.
        name: &'static str,
        /// Where it is.
        part: Region,
    },
    /// Two things were loaded over each other.
    Overlap {
        /// One of them.
        name: &'static str,
        /// Where it is.
        part: Region,
        /// The other.
        other: &'static str,
    },
    /// Not one page is free.
    NothingFree,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideRam { name, part } => {
                write!(f, "memory: the {name} at {part} is not in RAM")
            }
            Self::Overlap { name, part, other } => {
                write!(f, "memory: the {name} at {part} and the {other} overlap")
            }
            Self::NothingFree => f.write_str("memory: not one page is free"),
        }
    }
}

impl core::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn region(base: u64, end: u64) -> Region {
        Region::from_bounds(base, end).unwrap()
    }

    /// A footprint in the page `page`: kernel and tree share it.
    fn footprint_in(page: u64) -> Footprint {
        let base = page * PAGE_SIZE;
        Footprint {
            kernel: region(base, base + 1),
            device_tree: region(base + 1, base + 2),
            initrd: None,
        }
    }

    fn list<const N: usize>(regions: &[(u64, u64)]) -> Vec<Region, N> {
        regions
            .iter()
            .map(|&(base, end)| region(base, end))
            .collect()
    }

    #[test]
    fn a_plain_machine() {
        let footprint = Footprint {
            kernel: region(0x4020_0000, 0x4034_5678),
            device_tree: region(0x4400_0000, 0x4410_0000),
            initrd: Some(region(0x4800_0001, 0x4800_1001)),
        };
        let free = plan(
            &list(&[(0x4000_0000, 0x5000_0000)]),
            &list(&[(0x4ffff000, 0x5000_0000)]),
            &footprint,
        );
        let expected = list::<MAX_FREE_REGIONS>(&[
            (0x4000_0000, 0x4020_0000),
            (0x4034_6000, 0x4400_0000),
            (0x4410_0000, 0x4800_0000),
            (0x4800_2000, 0x4fff_f000),
        ]);
        assert_eq!(free, Ok(expected.clone()));
        assert_eq!(
            total_bytes(&expected),
            0x20_0000 + 0x3cb_a000 + 0x3f0_0000 + 0x7ff_d000
        );
    }

    #[test]
    fn a_page_across_two_ranges_of_ram_is_whole() {
        let memory = list(&[(0x1800, 0x3000), (0x0, 0x1800)]);
        let free = plan(&memory, &list(&[]), &footprint_in(0)).unwrap();
        assert_eq!(free, list::<MAX_FREE_REGIONS>(&[(0x1000, 0x3000)]));
    }

    #[test]
    fn ram_up_to_the_last_byte_does_not_wrap() {
        let memory = list(&[(u64::MAX - 0x5fff, u64::MAX)]);
        let page = (u64::MAX - 0x5fff) / PAGE_SIZE;
        let free = plan(&memory, &list(&[]), &footprint_in(page)).unwrap();
        assert_eq!(free.last().unwrap().end(), u64::MAX - 0xfff);
    }

    #[test]
    fn a_footprint_that_cannot_be_true_is_named() {
        let memory = list(&[(0x1000, 0x3000)]);
        let error = plan(&memory, &list(&[]), &footprint_in(5)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory: the kernel image at 0x5000..0x5001 is not in RAM"
        );
        let mut footprint = footprint_in(1);
        footprint.initrd = Some(region(0x1001, 0x2000));
        let error = plan(&memory, &list(&[]), &footprint).unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory: the device tree at 0x1001..0x1002 and the init image overlap"
        );
        let nothing = plan(&memory, &list(&[(0, 0x9000)]), &footprint_in(1));
        assert_eq!(nothing, Err(PlanError::NothingFree));
    }

    /// The most ranges that can come out: as many as there is room for.
    #[test]
    fn the_most_pieces_fit() {
        let memory: Vec<Region, MAX_MEMORY_REGIONS> = (0..32)
            .map(|i| region(i * 0x10000, i * 0x10000 + 0xf000))
            .collect();
        let reserved: Vec<Region, MAX_RESERVED_REGIONS> = (0..32)
            .map(|i| region(i * 0x10000 + 0x4000, i * 0x10000 + 0x4001))
            .collect();
        let footprint = Footprint {
            kernel: region(0x8000, 0x8001),
            device_tree: region(0x1_8000, 0x1_8001),
            initrd: Some(region(0x2_8000, 0x2_8001)),
        };
        let free = plan(&memory, &reserved, &footprint).unwrap();
        assert_eq!(free.len(), MAX_FREE_REGIONS);
    }

    const MODEL_PAGES: u64 = 48;
    /// The model's page has 4 bytes worth looking at: quarters.
    const QUARTER: u64 = PAGE_SIZE / 4;

    prop_compose! {
        fn some_region()(start in 0..MODEL_PAGES * 4, len in 0..40u64) -> Region {
            let end = (start + len).min(MODEL_PAGES * 4);
            region(start * QUARTER, end * QUARTER)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Against the definition: a page is free if and only if each quarter of it is RAM and
        /// none is taken.
        #[test]
        fn as_the_set_of_pages(
            memory in prop::collection::vec(some_region(), 0..8),
            reserved in prop::collection::vec(some_region(), 0..8),
            parts in prop::collection::vec(some_region(), 3),
        ) {
            let footprint = Footprint {
                kernel: parts[0],
                device_tree: parts[1],
                initrd: Some(parts[2]),
            };
            let memory: Vec<Region, MAX_MEMORY_REGIONS> = memory.into_iter().collect();
            let reserved: Vec<Region, MAX_RESERVED_REGIONS> = reserved.into_iter().collect();
            // Without the check, which most random footprints do not pass.
            let mut all = reserved.clone();
            all.extend(parts.iter().copied());
            let nowhere = Region::default();
            let empty = Footprint { kernel: nowhere, device_tree: nowhere, initrd: None };

            let covers = |list: &[Region], quarter: u64| {
                let at = region(quarter * QUARTER, (quarter + 1) * QUARTER);
                list.iter().any(|region| region.overlaps(at))
            };
            let free_pages: std::vec::Vec<u64> = (0..MODEL_PAGES)
                .filter(|page| (page * 4..page * 4 + 4)
                    .all(|quarter| covers(&memory, quarter) && !covers(&all, quarter)))
                .collect();

            let planned = plan(&memory, &all, &empty);
            match &planned {
                Err(error) => {
                    prop_assert_eq!(*error, PlanError::NothingFree);
                    prop_assert!(free_pages.is_empty());
                }
                Ok(free) => {
                    prop_assert!(free.windows(2).all(|pair| pair[0].end() < pair[1].base()));
                    let pages: std::vec::Vec<u64> = free
                        .iter()
                        .flat_map(|r| r.base() / PAGE_SIZE..r.end() / PAGE_SIZE)
                        .collect();
                    prop_assert_eq!(pages, free_pages);
                }
            }
            // With the check: the same plan, or an error about the footprint.
            match plan(&memory, &reserved, &footprint) {
                Err(PlanError::OutsideRam { .. } | PlanError::Overlap { .. }) => {}
                checked => prop_assert_eq!(checked, planned),
            }
        }
    }
}

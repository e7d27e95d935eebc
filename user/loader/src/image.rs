//! ELF files: what is in one, if it can be run.
//!
//! `elf` reads the headers. That the numbers in them make sense together is checked here: bytes that the
//! file has, addresses that a program may have, pages that only one segment has, rights that exclude each
//! other.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use abi::handle::Rights;
use abi::memory::PAGE;
use abi::start::START_PAGE;
use elf::ElfBytes;
use elf::abi::{
    EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAGIC, EM_AARCH64, ET_EXEC, PF_R, PF_W, PF_X,
    PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;

/// Where a program's segments may lie: between its start page and its heap.
pub const ADDRESSES: Range<u64> = START_PAGE + PAGE..rt::heap::HEAP.start as u64;
/// The most memory that the segments have together.
pub const MAX_BYTES: u64 = 256 << 20;
/// How many segments there are at most.
pub const MAX_SEGMENTS: usize = 16;

/// A file that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The address of the first instruction.
    pub entry: u64,
    /// What to map, by rising address.
    pub segments: Vec<Segment<'a>>,
}

/// Pages of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The first page's address.
    pub address: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// How far into the first page `content` begins.
    pub offset: u64,
    /// What is there; the rest is zero.
    pub content: &'a [u8],
    /// What the program may do with it.
    pub rights: Rights,
}

/// Why a file cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It does not begin as an ELF file.
    NotElf,
    /// It ends before something that it should have: what.
    Truncated(&'static str),
    /// It is an ELF file for some other machine.
    OtherMachine,
    /// It is not linked to fixed addresses, statically.
    NotStatic,
    /// The headers contradict themselves.
    Malformed,
    /// It has nothing to load.
    Empty,
    /// It has more than [`MAX_SEGMENTS`].
    TooManySegments,
    /// A segment's file part is larger than the segment.
    FileBeyondMemory(usize),
    /// A segment lies where no program may.
    BadAddress(usize, u64),
    /// All of it is larger than [`MAX_BYTES`].
    TooLarge,
    /// A segment that can be written and executed.
    WriteAndExecute(usize),
    /// Two segments have a page in common.
    Overlap(usize, usize),
    /// The first instruction is in no segment that can be executed.
    BadEntry(u64),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::Truncated(what) => write!(f, "truncated: the file ends before its {what}"),
            Self::OtherMachine => f.write_str("an ELF file, but not for 64-bit little-endian Arm"),
            Self::NotStatic => {
                f.write_str("not a static executable: link it with -static and without -pie")
            }
            Self::Malformed => f.write_str("its ELF headers contradict themselves"),
            Self::Empty => f.write_str("it has no segment to load"),
            Self::TooManySegments => write!(f, "it has more than {MAX_SEGMENTS} segments"),
            Self::FileBeyondMemory(index) => {
                write!(
                    f,
                    "segment {index} has more bytes in the file than in memory"
                )
            }
            Self::BadAddress(index, address) => write!(
                f,
                "segment {index} lies at {address:#x}, outside of {:#x} to {:#x}",
                ADDRESSES.start, ADDRESSES.end
            ),
            Self::TooLarge => write!(f, "its segments need more than {} MiB", MAX_BYTES >> 20),
            Self::WriteAndExecute(index) => {
                write!(f, "segment {index} could be both written and executed")
            }
            Self::Overlap(first, second) => {
                write!(f, "segments {first} and {second} have a page in common")
            }
            Self::BadEntry(entry) => {
                write!(
                    f,
                    "its entry {entry:#x} is in no segment that can be executed"
                )
            }
        }
    }
}

impl<'a> Image<'a> {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Why it cannot be run.
    pub fn parse(file: &'a [u8]) -> Result<Self, Defect> {
        check_identity(file)?;
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|error| match error {
            elf::ParseError::SliceReadError(_) => Defect::Truncated("headers"),
            _ => Defect::Malformed,
        })?;
        if elf.ehdr.e_machine != EM_AARCH64 {
            return Err(Defect::OtherMachine);
        }
        let headers = elf.segments().ok_or(Defect::Empty)?;
        let dynamic = |header: ProgramHeader| matches!(header.p_type, PT_INTERP | PT_DYNAMIC);
        if elf.ehdr.e_type != ET_EXEC || headers.iter().any(dynamic) {
            return Err(Defect::NotStatic);
        }
        let mut segments = Vec::new();
        let loaded = |header: &ProgramHeader| header.p_type == PT_LOAD && header.p_memsz != 0;
        for (index, header) in headers.iter().filter(loaded).enumerate() {
            if index == MAX_SEGMENTS {
                return Err(Defect::TooManySegments);
            }
            segments.push(segment(file, index, &header)?);
        }
        check_together(&segments)?;
        let entry = elf.ehdr.e_entry;
        let has_entry = |segment: &Segment<'_>| {
            let content = segment.address + segment.offset..segment.address + segment.bytes;
            segment.rights.contains(Rights::EXECUTE) && content.contains(&entry)
        };
        if !entry.is_multiple_of(4) || !segments.iter().any(has_entry) {
            return Err(Defect::BadEntry(entry));
        }
        segments.sort_by_key(|segment| segment.address);
        Ok(Self { entry, segments })
    }

    /// How much memory its segments need.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// What can be said of a file from its first 16 bytes.
fn check_identity(file: &[u8]) -> Result<(), Defect> {
    let begins = file.len().min(ELFMAGIC.len());
    if file[..begins] != ELFMAGIC[..begins] || file.is_empty() {
        return Err(Defect::NotElf);
    }
    let identity = file.get(..elf::abi::EI_NIDENT);
    let identity = identity.ok_or(Defect::Truncated("headers"))?;
    if identity[EI_CLASS] != ELFCLASS64 || identity[EI_DATA] != ELFDATA2LSB {
        return Err(Defect::OtherMachine);
    }
    Ok(())
}

/// One segment, checked by itself.
fn segment<'a>(
    file: &'a [u8],
    index: usize,
    header: &ProgramHeader,
) -> Result<Segment<'a>, Defect> {
    if header.p_filesz > header.p_memsz {
        return Err(Defect::FileBeyondMemory(index));
    }
    let bad_address = Defect::BadAddress(index, header.p_vaddr);
    let end = header
        .p_vaddr
        .checked_add(header.p_memsz)
        .ok_or(bad_address)?;
    if header.p_vaddr < ADDRESSES.start || end > ADDRESSES.end {
        return Err(bad_address);
    }
    let content = usize::try_from(header.p_offset)
        .ok()
        .zip(usize::try_from(header.p_filesz).ok())
        .and_then(|(at, bytes)| file.get(at..)?.get(..bytes))
        .ok_or(Defect::Truncated("segments"))?;
    let mut rights = Rights::NONE;
    // What can be executed or written can be read: that is how page tables are used here.
    if header.p_flags & (PF_R | PF_W | PF_X) != 0 {
        rights = rights.with(Rights::READ);
    }
    if header.p_flags & PF_W != 0 {
        rights = rights.with(Rights::WRITE);
    }
    if header.p_flags & PF_X != 0 {
        rights = rights.with(Rights::EXECUTE);
    }
    if rights.contains(Rights::WRITE.with(Rights::EXECUTE)) {
        return Err(Defect::WriteAndExecute(index));
    }
    let address = header.p_vaddr / PAGE * PAGE;
    Ok(Segment {
        address,
        bytes: end.next_multiple_of(PAGE) - address,
        offset: header.p_vaddr - address,
        content,
        rights,
    })
}

/// Checks that the segments go together.
fn check_together(segments: &[Segment<'_>]) -> Result<(), Defect> {
    if segments.is_empty() {
        return Err(Defect::Empty);
    }
    if segments.iter().map(|segment| segment.bytes).sum::<u64>() > MAX_BYTES {
        return Err(Defect::TooLarge);
    }
    for (index, segment) in segments.iter().enumerate() {
        for (before, other) in segments[..index].iter().enumerate() {
            let apart = segment.address + segment.bytes <= other.address
                || other.address + other.bytes <= segment.address;
            if !apart {
                return Err(Defect::Overlap(before, index));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

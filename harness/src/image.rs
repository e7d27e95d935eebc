//! The linked kernel becomes an Image, with its symbols in it.
//!
//! QEMU gives a device tree only to an arm64 *Image*: the kernel's bytes as they lie in memory,
//! headed by 64 bytes that say where they want to be (Linux, `Documentation/arch/arm64/booting.rst`).
//! An ELF has the same bytes in its loadable segments, so they are copied out by their physical
//! addresses. On the way the symbol table (see [`abi::symbols`]) is written into the section that
//! the kernel keeps for it, in the ELF as well, so that both files are the same kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use abi::symbols;
use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::{ElfFile64, ElfSymbol64, ProgramHeader};
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, SymbolSection,
};

use crate::cargo;
use crate::workspace::{Build, Workspace};

/// No kernel is larger: a segment beyond has a wrong load address.
const IMAGE_LIMIT_BYTES: u64 = 64 << 20;

type Elf<'a> = ElfFile64<'a, LittleEndian>;

/// What the header of an arm64 Image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the image wants to be, in bytes above the start of memory (or any 2 MiB boundary).
    pub text_offset: u64,
    /// How much memory it takes from there, with what is not in the file.
    pub image_bytes: u64,
}

impl Header {
    /// Reads the header at the start of an image.
    ///
    /// # Errors
    /// When there is none, or one of the years before it said how large the image is.
    pub fn parse(image: &[u8]) -> Result<Self> {
        let field = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(image.get(at..at + 8)?.try_into().ok()?))
        };
        ensure!(
            image.get(56..60) == Some(b"ARM\x64"),
            "it does not begin with an arm64 Image header"
        );
        let header = Self {
            text_offset: field(8).unwrap_or(0),
            image_bytes: field(16).unwrap_or(0),
        };
        ensure!(header.image_bytes > 0, "its Image header gives no size");
        Ok(header)
    }
}

/// What was made of a kernel.
#[derive(Clone, Debug)]
pub struct Made {
    /// The arm64 Image.
    pub image: PathBuf,
    /// Its size in the file.
    pub image_bytes: usize,
    /// The ELF.
    pub elf: PathBuf,
    /// How many symbols it carries.
    pub symbols: usize,
    /// How many bytes they take.
    pub symbol_bytes: usize,
}

/// Builds the kernel and makes its Image and its ELF.
///
/// # Errors
/// When it does not build, or cannot be turned into an Image; says why.
pub fn make(workspace: &Workspace, build: Build) -> Result<Made> {
    let linked = cargo::build_kernel(workspace, build)?;
    let named = || {
        format!(
            "making an Image of {}",
            workspace.relative(&linked).display()
        )
    };
    let mut bytes = fs::read(&linked).with_context(named)?;
    let filled = fill_symbols(&mut bytes).with_context(named)?;
    let flat = flatten(&bytes).with_context(named)?;
    let made = Made {
        image: workspace.image(build),
        image_bytes: flat.len(),
        elf: workspace.elf(build),
        symbols: filled.count,
        symbol_bytes: filled.bytes,
    };
    replace(&made.image, &flat)?;
    replace(&made.elf, &bytes)?;
    Ok(made)
}

/// Writes a file so that whoever has it open, or opens it meanwhile, sees the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Several runs may make the same file at the same time.
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Relaxed);
    let new = path.with_extension(format!("new-{}-{number}", std::process::id()));
    fs::write(&new, bytes).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

/// What was written into the symbol section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Symbols.
    pub count: usize,
    /// Bytes they take.
    pub bytes: usize,
}

/// Fills the symbol section of a linked kernel, in place.
///
/// # Errors
/// When the ELF has no such section, or it is too small.
pub fn fill_symbols(bytes: &mut [u8]) -> Result<Filled> {
    let elf = Elf::parse(&*bytes).context("not an ELF file for AArch64")?;
    let layout = Layout::of(&elf)?;
    let section = elf.section_by_name(symbols::SECTION).with_context(|| {
        format!(
            "the kernel keeps no section {} for symbols",
            symbols::SECTION
        )
    })?;
    let (start, length) = section.file_range().with_context(|| {
        format!(
            "{} has no bytes in the file: the linker made it .bss",
            symbols::SECTION
        )
    })?;
    let (room_start, room_end) = (usize::try_from(start)?, usize::try_from(start + length)?);

    let found = code_symbols(&elf, &layout)?;
    let base = layout.link_base(section.address())?;
    let list: Vec<(u32, &str)> = found
        .names
        .iter()
        .map(|(&offset, name)| (offset, name.text.as_str()))
        .collect();
    let room = bytes
        .get_mut(room_start..room_end)
        .context("a section is beyond the file's end")?;
    let written = symbols::write_table(room, base, &list, found.end)?;
    Ok(Filled {
        count: list.len(),
        bytes: written,
    })
}

/// The bytes of a linked kernel as they lie in memory.
///
/// # Errors
/// When its load addresses or its Image header make no sense.
pub fn flatten(bytes: &[u8]) -> Result<Vec<u8>> {
    let elf = Elf::parse(bytes).context("not an ELF file for AArch64")?;
    let layout = Layout::of(&elf)?;
    let mut image = Vec::new();
    for segment in &layout.segments {
        let start = usize::try_from(segment.physical - layout.physical_base)?;
        ensure!(
            start >= image.len(),
            "two segments want the same memory at {:#x}",
            segment.physical
        );
        if !segment.data.is_empty() {
            image.resize(start, 0);
            image.extend_from_slice(segment.data);
        }
    }
    let header = Header::parse(&image).context("the kernel cannot be booted")?;
    ensure!(
        header.image_bytes >= layout.memory_bytes,
        "the Image header says {:#x} bytes, but the kernel takes {:#x} in memory",
        header.image_bytes,
        layout.memory_bytes
    );
    Ok(image)
}

/// One loadable segment.
struct Segment<'a> {
    virtual_start: u64,
    physical: u64,
    memory_bytes: u64,
    data: &'a [u8],
}

/// Where a kernel's parts lie in memory.
struct Layout<'a> {
    /// By physical address.
    segments: Vec<Segment<'a>>,
    /// The lowest physical address.
    physical_base: u64,
    /// From there to the end of the last segment.
    memory_bytes: u64,
}

impl<'a> Layout<'a> {
    fn of(elf: &Elf<'a>) -> Result<Self> {
        ensure!(
            elf.architecture() == object::Architecture::Aarch64,
            "the kernel is for {:?}, not for AArch64",
            elf.architecture()
        );
        let endian = LittleEndian;
        let mut segments = Vec::new();
        for header in elf.elf_program_headers() {
            if header.p_type(endian) == elf::PT_LOAD && header.p_memsz(endian) > 0 {
                segments.push(Segment {
                    virtual_start: header.p_vaddr(endian),
                    physical: header.p_paddr(endian),
                    memory_bytes: header.p_memsz(endian),
                    data: header
                        .data(endian, elf.data())
                        .ok()
                        .context("a segment is beyond the file's end")?,
                });
            }
        }
        segments.sort_by_key(|segment| segment.physical);
        let physical_base = segments
            .first()
            .context("the kernel has nothing to load")?
            .physical;
        let ends = segments
            .iter()
            .map(|s| s.physical.saturating_add(s.memory_bytes));
        let memory_bytes = ends.max().unwrap_or(physical_base) - physical_base;
        ensure!(
            memory_bytes <= IMAGE_LIMIT_BYTES,
            "the kernel's load addresses spread over {memory_bytes:#x} bytes"
        );
        Ok(Self {
            segments,
            physical_base,
            memory_bytes,
        })
    }

    fn segment_at(&self, address: u64) -> Option<&Segment<'a>> {
        let holds = |s: &&Segment<'_>| {
            (s.virtual_start..s.virtual_start + s.memory_bytes).contains(&address)
        };
        self.segments.iter().find(holds)
    }

    /// How far from the image's first byte a link address is. Code that runs before the MMU is on
    /// may be linked elsewhere than the rest: what counts is where it is loaded.
    fn offset(&self, address: u64) -> Option<u32> {
        let segment = self.segment_at(address)?;
        let physical = segment.physical + (address - segment.virtual_start);
        u32::try_from(physical - self.physical_base).ok()
    }

    /// The link address of the image's first byte, in the mapping that `address` belongs to.
    fn link_base(&self, address: u64) -> Result<u64> {
        let offset = self
            .offset(address)
            .context("the symbol section is not loaded")?;
        Ok(address.wrapping_sub(offset.into()))
    }
}

/// The names of a kernel's code.
struct CodeSymbols {
    /// By offset from the image's start.
    names: BTreeMap<u32, Name>,
    /// Offset of the end of the last code section.
    end: u32,
}

/// A name, and how good it is beside another for the same address.
struct Name {
    text: String,
    rank: Rank,
}

/// Smaller is better: functions before labels, global before local, then the shorter name.
type Rank = (bool, bool, usize);

fn code_symbols(elf: &Elf<'_>, layout: &Layout<'_>) -> Result<CodeSymbols> {
    let mut end = 0;
    for section in elf.sections().filter(is_code) {
        let last = section.address() + section.size() - 1;
        end = end.max(
            layout
                .offset(last)
                .context("a code section is not loaded")?
                + 1,
        );
    }
    let mut names: BTreeMap<u32, Name> = BTreeMap::new();
    for symbol in elf.symbols() {
        let (Some(name), Some(offset)) = (code_name(elf, &symbol), layout.offset(symbol.address()))
        else {
            continue;
        };
        match names.get(&offset) {
            Some(other) if other.rank <= name.rank => {}
            _ => {
                names.insert(offset, name);
            }
        }
    }
    // A label at the very end of the code names nothing in it.
    names.retain(|&offset, _| offset < end);
    if names.is_empty() {
        bail!("the kernel has no symbols: was it stripped?");
    }
    Ok(CodeSymbols { names, end })
}

fn is_code<'a>(section: &impl ObjectSection<'a>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. }
        if sh_flags.contains(elf::SHF_EXECINSTR))
        && section.size() > 0
}

/// What a backtrace should say for a symbol, if it should know it at all.
fn code_name(elf: &Elf<'_>, symbol: &ElfSymbol64<'_, '_, LittleEndian>) -> Option<Name> {
    let SymbolSection::Section(index) = symbol.section() else {
        return None;
    };
    let raw = symbol.name().ok()?;
    // `$x` and `$d` mark code and data for disassemblers; `.L` is the assembler's own.
    let for_tools = raw.is_empty() || raw.starts_with('$') || raw.starts_with(".L");
    if for_tools || !is_code(&elf.section_by_index(index).ok()?) {
        return None;
    }
    let text = format!("{:#}", rustc_demangle::demangle(raw));
    let rank = (
        symbol.kind() != SymbolKind::Text,
        symbol.is_local(),
        text.len(),
    );
    Some(Name { text, rank })
}

#[cfg(test)]
mod tests;

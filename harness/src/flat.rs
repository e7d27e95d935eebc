//! ELF files of programs: the first one becomes a flat program, the others lose their symbols.
//!
//! The kernel cannot read ELF, so `init` is brought into the form of [`initrd::flat`] here. The other
//! programs stay ELF files and are loaded at EL0; only what is not loaded is cut off, because the init image
//! lies in memory. What debuggers want is in the linked files, which stay where Cargo put them.

use anyhow::{Context, Result, bail, ensure};
use initrd::flat::{Access, PAGE, Program, SEGMENTS, Segment};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object};

type Elf<'a> = ElfFile64<'a, LittleEndian>;

/// The flat form of a program.
///
/// # Errors
/// When it is no static AArch64 program, or its segments are not text, constants and data, each
/// begun on a page of its own.
pub fn flatten(bytes: &[u8]) -> Result<Vec<u8>> {
    let elf = parse(bytes)?;
    let mut segments: [Option<Segment<'_>>; SEGMENTS] = [None; SEGMENTS];
    for header in elf.elf_program_headers() {
        let endian = LittleEndian;
        match header.p_type(endian) {
            elf::PT_LOAD if header.p_memsz(endian) > 0 => {}
            elf::PT_DYNAMIC | elf::PT_INTERP => bail!("it is linked dynamically"),
            _ => continue,
        }
        let address = header.p_vaddr(endian);
        let flags = header.p_flags(endian);
        let access = match (flags.contains(elf::PF_W), flags.contains(elf::PF_X)) {
            (false, true) => Access::ReadExecute,
            (false, false) => Access::Read,
            (true, false) => Access::ReadWrite,
            (true, true) => bail!("what is at {address:#x} is both writable and executable"),
        };
        ensure!(
            address.is_multiple_of(PAGE as u64),
            "its {} does not begin on a page, but at {address:#x}",
            access.name()
        );
        let place = &mut segments[access as usize];
        ensure!(place.is_none(), "it has {} twice", access.name());
        *place = Some(Segment {
            address,
            memory_bytes: header.p_memsz(endian).next_multiple_of(PAGE as u64),
            bytes: header
                .data(endian, elf.data())
                .ok()
                .context("a segment is beyond the file's end")?,
            access,
        });
    }
    let program = Program {
        entry: elf.entry(),
        segments,
    };
    let mut flat = program.header().to_vec();
    for segment in program.segments() {
        flat.extend_from_slice(segment.bytes);
        flat.resize(flat.len().next_multiple_of(PAGE), 0);
    }
    // The kernel will read it with the same words.
    Program::parse(&flat).context("what was made of it")?;
    Ok(flat)
}

/// A program without the sections, symbols and debug information that nobody loads.
///
/// # Errors
/// When it is no AArch64 ELF file with something to load.
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>> {
    let elf = parse(bytes)?;
    let endian = LittleEndian;
    let header = elf.elf_header();
    let table_bytes = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    let ends = elf.elf_program_headers().iter().map(|header| {
        header
            .p_offset(endian)
            .saturating_add(header.p_filesz(endian))
    });
    let end = ends
        .chain([header.e_phoff(endian).saturating_add(table_bytes)])
        .max()
        .unwrap_or(0);
    let kept = usize::try_from(end)
        .ok()
        .and_then(|end| bytes.get(..end))
        .context("a segment is beyond the file's end")?;
    let mut kept = kept.to_vec();
    // The ELF header of 64 bits: e_shoff at 40, e_shnum and e_shstrndx at 60 and 62.
    kept[40..48].fill(0);
    kept[60..64].fill(0);
    Ok(kept)
}

fn parse(bytes: &[u8]) -> Result<Elf<'_>> {
    let elf = Elf::parse(bytes).context("not an ELF file for AArch64")?;
    ensure!(
        elf.architecture() == object::Architecture::Aarch64,
        "it is for {:?}, not for AArch64",
        elf.architecture()
    );
    ensure!(
        elf.elf_header().e_type(LittleEndian) == elf::ET_EXEC,
        "it is no program that is linked to fixed addresses"
    );
    Ok(elf)
}

#[cfg(test)]
mod tests;

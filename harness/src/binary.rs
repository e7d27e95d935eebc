//! The binary checker: what must hold in the instructions that are shipped, whatever the source says.
//!
//! It reads the linked kernel word by word (AArch64 instructions are all four bytes; mapping symbols
//! tell data from code) and knows the few encodings that matter. Each check is tested beside it with
//! instructions that it must refuse.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::cargo;
use crate::check::Check;
use crate::lab::Lab;
use crate::workspace::{Build, Workspace};

/// Each instruction of the normal kernel, with its address.
///
/// # Errors
/// When it does not build or is no ELF file.
pub fn instructions(lab: &Lab) -> Result<Vec<(u64, u32)>> {
    Ok(kernel(lab)?.instructions().collect())
}

/// All of them.
pub fn checks() -> Vec<Check> {
    vec![
        Check {
            name: "binary/no-fp-in-the-kernel",
            run: |lab| no_fp(&kernel(lab)?),
        },
        Check {
            name: "binary/fp-switch-moves-every-register",
            run: |lab| fp_moves_all(&kernel(lab)?),
        },
        Check {
            name: "binary/nothing-unmasks-before-eret",
            run: |lab| returns(&kernel(lab)?),
        },
        Check {
            name: "binary/stack-is-checked-before-the-first-store",
            run: |lab| vectors(&kernel(lab)?),
        },
        Check {
            name: "binary/stores-stay-between-mask-and-release",
            run: |lab| {
                let probe = probe(lab.workspace())?;
                masked(&probe, "petrel_probe_irq_guard", 2)?;
                masked(&probe, "petrel_probe_nmi_guard", 2)
            },
        },
        Check {
            name: "binary/catches-a-mask-with-nomem",
            run: |lab| {
                let probe = probe(lab.workspace())?;
                match masked(&probe, "petrel_probe_nomem", 2) {
                    Ok(()) => bail!("stores stayed between masks written with nomem"),
                    Err(_) => Ok(()),
                }
            },
        },
    ]
}

/// The instructions of a program, with the symbols that matter.
#[derive(Debug, Default)]
struct Program {
    /// Stretches of code: the section, where each begins, and its words.
    code: Vec<(usize, u64, Vec<u32>)>,
    /// Names, sections (which all begin at 0 before linking) and addresses.
    symbols: Vec<(String, usize, u64)>,
}

impl Program {
    /// Reads an ELF: all executable sections, without what mapping symbols call data.
    fn read(bytes: &[u8]) -> Result<Self> {
        let elf = object::File::parse(bytes).context("no ELF file")?;
        let mut program = Self::default();
        let mut marks = Vec::new();
        for symbol in elf.symbols() {
            let Ok(name) = symbol.name() else { continue };
            let kind = name.split('.').next().unwrap_or(name);
            match kind {
                "$x" | "$d" => marks.push((symbol.section_index(), symbol.address(), kind == "$d")),
                _ => {
                    let section = symbol.section_index().map_or(0, |index| index.0);
                    program
                        .symbols
                        .push((name.to_owned(), section, symbol.address()));
                }
            }
        }
        for section in elf.sections() {
            if section.kind() != SectionKind::Text {
                continue;
            }
            let data = section.data().context("a text section has no bytes")?;
            let words: Vec<u32> = data
                .chunks_exact(4)
                .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                .collect();
            let mut mine: Vec<_> = marks
                .iter()
                .filter(|(index, ..)| *index == Some(section.index()))
                .map(|&(_, address, is_data)| (address, is_data))
                .collect();
            mine.sort_unstable();
            mine.insert(0, (section.address(), false));
            mine.push((section.address() + data.len() as u64, true));
            for pair in mine.windows(2) {
                let ((start, is_data), (end, _)) = (pair[0], pair[1]);
                let at = |address: u64| ((address - section.address()) / 4) as usize;
                if !is_data && start < end {
                    let words = words[at(start)..at(end)].to_vec();
                    program.code.push((section.index().0, start, words));
                }
            }
        }
        ensure!(!program.code.is_empty(), "the program has no code");
        Ok(program)
    }

    /// Each instruction with its address.
    fn instructions(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.code.iter().flat_map(|(_, start, words)| {
            words
                .iter()
                .enumerate()
                .map(move |(index, word)| (start + 4 * index as u64, *word))
        })
    }

    /// The section and the address of a symbol.
    fn place(&self, name: &str) -> Result<(usize, u64)> {
        self.symbols
            .iter()
            .find(|(symbol, ..)| symbol == name)
            .map(|(_, section, address)| (*section, *address))
            .with_context(|| format!("there is no symbol {name}"))
    }

    /// The words in a range of addresses.
    fn words(&self, range: Range<u64>) -> Vec<u32> {
        self.instructions()
            .filter(|(address, _)| range.contains(address))
            .map(|(_, word)| word)
            .collect()
    }

    /// The words of the function `name`, up to and including its first `ret`.
    fn function(&self, name: &str) -> Result<Vec<u32>> {
        let (section, start) = self.place(name)?;
        self.function_at(section, start)
            .with_context(|| name.to_owned())
    }

    /// The same of the function there.
    fn function_at(&self, section: usize, start: u64) -> Result<Vec<u32>> {
        self.until(section, start, RET)
    }

    /// The words from there up to and including the first `end`.
    fn until(&self, section: usize, start: u64, end: u32) -> Result<Vec<u32>> {
        for (_, first, words) in self.code.iter().filter(|(index, ..)| *index == section) {
            let after = first + 4 * words.len() as u64;
            if (*first..after).contains(&start) {
                let words = &words[((start - first) / 4) as usize..];
                let last = words.iter().position(|word| *word == end);
                let last = last.context("there is no return")?;
                return Ok(words[..=last].to_vec());
            }
        }
        bail!("there is no code")
    }
}

const RET: u32 = 0xd65f_03c0;
const ERET: u32 = 0xd69f_03e0;

// Encodings: DDI 0487, C4.1 (classes) and C6.2 (instructions).

/// An FP/SIMD data-processing instruction, or a load or store of such a register.
fn is_fp(word: u32) -> bool {
    let class = word >> 25 & 0xf;
    class & 0b0111 == 0b0111 || (class & 0b0101 == 0b0100 && word >> 26 & 1 == 1)
}

/// A store of general registers: of a pair or exclusive, by bit 22; of one register, by bits 23:22,
/// since there the sign-extending loads have bit 22 clear, too.
fn is_store(word: u32) -> bool {
    let is_general = word >> 25 & 0b0101 == 0b0100 && word >> 26 & 1 == 0;
    let is_one = word >> 27 & 0b111 == 0b111;
    let load_bits = if is_one { 0b11 } else { 0b01 };
    is_general && word >> 22 & load_bits == 0
}

/// A load or store through SP: the function's own frame, which nobody guards.
fn is_through_sp(word: u32) -> bool {
    word >> 5 & 0x1f == 31
}

fn is_load(word: u32) -> bool {
    word >> 25 & 0b0101 == 0b0100 && word >> 26 & 1 == 0 && !is_store(word)
}

/// `msr <register>, xN`, by the register's encoding.
fn is_msr(word: u32, register: u32) -> bool {
    word & !0x1f == register
}

const MSR_ELR_EL1: u32 = 0xd518_4020;
const MSR_ELR_EL2: u32 = 0xd51c_4020;
const MSR_SPSR_EL1: u32 = 0xd518_4000;
const MSR_DAIF: u32 = 0xd51b_4220;
const MSR_TPIDRRO_EL0: u32 = 0xd51b_d060;

/// `msr daifset, #n`
fn is_daifset(word: u32) -> bool {
    word & 0xffff_f0ff == 0xd503_40df
}

/// `add` of an immediate to SP.
fn is_add_sp(word: u32) -> bool {
    word & 0xff80_03ff == 0x9100_03ff
}

/// `sub sp, sp, #n`
fn is_sub_sp(word: u32) -> bool {
    word & 0xff80_03ff == 0xd100_03ff
}

/// No instruction of the kernel touches an FP/SIMD register, but for the two functions that move
/// those of programs.
fn no_fp(program: &Program) -> Result<()> {
    let mut moves = Vec::new();
    for (name, section, address) in &program.symbols {
        if FP_MOVES.iter().any(|part| name.contains(part)) {
            let bytes = 4 * program.function_at(*section, *address)?.len() as u64;
            moves.push(*address..address + bytes);
        }
    }
    for (address, word) in program.instructions() {
        ensure!(
            !is_fp(word) || moves.iter().any(|range| range.contains(&address)),
            "{address:#x}: {word:#010x} touches an FP/SIMD register"
        );
    }
    Ok(())
}

/// Parts of the names of the functions that move programs' FP/SIMD registers (`cpu::hw::fp`).
const FP_MOVES: [&str; 2] = ["petrel_fp_save", "petrel_fp_restore"];

/// Each of them moves all 32 registers.
fn fp_moves_all(program: &Program) -> Result<()> {
    for part in FP_MOVES {
        let (_, section, address) = program
            .symbols
            .iter()
            .find(|(name, ..)| name.contains(part))
            .with_context(|| format!("there is no {part}"))?;
        let mut moved = 0_u32;
        for word in program.function_at(*section, *address)? {
            // ldp or stp of two q registers.
            if word & 0xff80_0000 == 0xad00_0000 {
                moved |= 1 << (word & 0x1f) | 1 << (word >> 10 & 0x1f);
            }
        }
        ensure!(
            moved == u32::MAX,
            "{part} leaves registers out: {moved:#010x}"
        );
    }
    Ok(())
}

/// The ways back: between the write of ELR and `eret` there is nothing but loads of registers, the
/// write of SPSR and the release of the frame. The one of quick system calls writes neither.
fn returns(program: &Program) -> Result<()> {
    let mut checked = Vec::new();
    for mechanism in ["pmr", "daif"] {
        for way in ["return", "user_return", "quick_return"] {
            let name = format!("petrel_{way}_{mechanism}");
            let (section, start) = program.place(&name)?;
            let words = program.until(section, start, ERET)?;
            check_return(&words, way != "quick_return").with_context(|| name.clone())?;
            let clears = words.contains(&(MSR_TPIDRRO_EL0 | 31));
            ensure!(
                clears == (way == "user_return"),
                "{name}: what goes to EL0 clears the scratch register, and nothing else does"
            );
            checked.push(start + 4 * (words.len() as u64 - 1));
        }
    }
    let mut leaves_el2 = false;
    for (address, word) in program.instructions() {
        leaves_el2 |= is_msr(word, MSR_ELR_EL2);
        if word == ERET {
            // At boot there is one from EL2 to EL1.
            ensure!(
                checked.contains(&address) || std::mem::take(&mut leaves_el2),
                "{address:#x}: an eret that is none of the ways back"
            );
        }
    }
    Ok(())
}

/// A way back, up to its `eret`; `written`: whether ELR and SPSR are written on it.
fn check_return(words: &[u32], written: bool) -> Result<()> {
    let (eret, words) = words.split_last().context("there is no eret")?;
    ensure!(*eret == ERET, "it does not end in eret");
    let elr = words.iter().position(|word| is_msr(*word, MSR_ELR_EL1));
    ensure!(elr.is_some() == written, "ELR_EL1 is written or not");
    let tail = elr.map_or(words, |elr| &words[elr + 1..]);
    for word in tail {
        ensure!(
            is_load(*word) || (written && is_msr(*word, MSR_SPSR_EL1)) || is_add_sp(*word),
            "{word:#010x} stands between the write of ELR_EL1 and eret"
        );
    }
    Ok(())
}

/// Each slot of each vector table tests SP before it stores through it; but for those from EL0, which
/// find the top of a stack and use no scratch register.
fn vectors(program: &Program) -> Result<()> {
    for table in ["petrel_vectors_pmr", "petrel_vectors_daif"] {
        let (_, start) = program.place(table)?;
        ensure!(start.is_multiple_of(2048), "{table} is not aligned");
        for slot in 0..16 {
            let at = start + 128 * slot;
            let words = program.words(at..at + 128);
            let check = match slot {
                8..12 => check_user_slot,
                _ => check_slot,
            };
            check(&words).with_context(|| format!("slot {slot} of {table}"))?;
        }
    }
    Ok(())
}

fn check_user_slot(words: &[u32]) -> Result<()> {
    ensure!(
        words.first().is_some_and(|word| is_sub_sp(*word)) && is_store(words[1]),
        "the slot begins with something else than a frame"
    );
    ensure!(
        !words.iter().any(|word| is_msr(*word, MSR_TPIDRRO_EL0)),
        "a slot from EL0 uses the scratch register, which its return need not clear"
    );
    Ok(())
}

fn check_slot(words: &[u32]) -> Result<()> {
    let test = words
        .iter()
        // tbnz x0, #15: beyond bit 31 the encoding differs.
        .position(|word| word & 0xfff8_001f == 0x3778_0000)
        .context("SP is not tested")?;
    let store = words
        .iter()
        .position(|word| is_store(*word))
        .context("nothing is stored")?;
    ensure!(test < store, "a store comes before the test of SP");
    let before = &words[..test];
    ensure!(
        before.len() == 3 && is_msr(before[0], MSR_TPIDRRO_EL0) && is_sub_sp(before[1]),
        "the slot begins with something else than the test of SP"
    );
    Ok(())
}

/// In function `name` there are `regions` regions between a mask and its release, each with a store,
/// and no store outside.
fn masked(program: &Program, name: &str, regions: usize) -> Result<()> {
    check_masked(&program.function(name)?, regions).with_context(|| name.to_owned())
}

fn check_masked(words: &[u32], regions: usize) -> Result<()> {
    // Slots: the probe is not patched, so all masks are those of `daif`. An inner guard nests.
    let (mut depth, mut seen, mut stores) = (0_usize, 0, 0);
    for word in words {
        if is_daifset(*word) {
            depth += 1;
        } else if is_msr(*word, MSR_DAIF) {
            depth = depth.checked_sub(1).context("a release without a mask")?;
            if depth == 0 {
                ensure!(stores > 0, "a masked region lost its store");
                (seen, stores) = (seen + 1, 0);
            }
        } else if is_store(*word) && !is_through_sp(*word) {
            ensure!(depth > 0, "a guarded store left its masked region");
            stores += 1;
        }
    }
    ensure!(depth == 0, "a mask without its release");
    ensure!(seen == regions, "{seen} masked regions, expected {regions}");
    Ok(())
}

fn kernel(lab: &Lab) -> Result<Program> {
    lab.kernel(Build::Normal)?;
    let path = lab.workspace().elf(Build::Normal);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Program::read(&bytes)
}

/// The object with the probe functions, compiled as the kernel is.
fn probe(workspace: &Workspace) -> Result<Program> {
    let library = cargo::build_probe(workspace)?;
    let bytes = fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?;
    let archive = ArchiveFile::parse(&*bytes).context("no archive")?;
    for member in archive.members() {
        let member = member.context("a broken archive")?;
        let data = member.data(&*bytes).context("a broken archive")?;
        if let Ok(program) = Program::read(data)
            && program.place("petrel_probe_irq_guard").is_ok()
        {
            return Ok(program);
        }
    }
    bail!("the probe's functions are not in {}", library.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STR: u32 = 0xf900_0008; // str x8, [x0]
    const MASK: u32 = 0xd503_43df; // msr daifset, #3
    const RELEASE: u32 = 0xd51b_4229; // msr daif, x9
    const NOP: u32 = 0xd503_201f;

    fn program(words: &[u32]) -> Program {
        Program {
            code: vec![(0, 0, words.to_vec())],
            symbols: Vec::new(),
        }
    }

    #[test]
    fn a_store_that_left_its_region_is_refused() {
        assert!(check_masked(&[MASK, STR, RELEASE, MASK, STR, RELEASE], 2).is_ok());
        assert!(check_masked(&[MASK, RELEASE, MASK, RELEASE, STR], 2).is_err());
        assert!(check_masked(&[MASK, RELEASE, MASK, STR, RELEASE], 2).is_err());
        assert!(check_masked(&[MASK, STR, RELEASE], 2).is_err());
        assert!(check_masked(&[MASK, STR], 1).is_err());
    }

    #[test]
    fn stores_are_told_from_loads() {
        // str x8, [x0]; strb; stp; stlr; str x8, [x0, x1]
        for store in [STR, 0x3900_0008, 0xa900_07e0, 0xc89f_fc08, 0xf821_6808] {
            assert!(is_store(store) && !is_load(store), "{store:#x}");
        }
        // ldr x8, [x0]; ldrsw; ldrsb w; ldp; ldar; ldr x8, [x0, x1]
        for load in [
            0xf940_0008,
            0xb980_0008,
            0x39c0_0008,
            0xa940_07e0,
            0xc8df_fc08,
            0xf861_6808,
        ] {
            assert!(is_load(load) && !is_store(load), "{load:#x}");
        }
    }

    #[test]
    fn fp_is_told_from_everything_else() {
        for fp in [
            0x4ea1_1c20, // mov v0.16b, v1.16b
            0x3dc0_0000, // ldr q0, [x0]
            0x6d00_0400, // stp d0, d1, [x0]
            0x1e60_4020, // fmov d0, d1
            0xfc1f_0fe8, // str d8, [sp, #-16]!
        ] {
            assert!(no_fp(&program(&[NOP, fp])).is_err(), "{fp:#x}");
        }
        for general in [NOP, STR, MASK, RELEASE, RET, ERET, 0xa9bf_7bfd, 0x9100_03fd] {
            assert!(no_fp(&program(&[general])).is_ok(), "{general:#x}");
        }
    }

    #[test]
    fn an_unmask_before_eret_is_refused() {
        let good = [
            MSR_ELR_EL1 | 3,
            MSR_SPSR_EL1 | 4,
            0xa940_07e0,
            0x9104_c3ff,
            ERET,
        ];
        assert!(check_return(&good, true).is_ok());
        assert!(check_return(&good, false).is_err());
        for bad in [
            0xd503_4fff, // msr daifclr, #15
            0xd518_4602, // msr icc_pmr_el1, x2
            0x9400_0000, // bl
        ] {
            let mut words = good;
            words[2] = bad;
            assert!(check_return(&words, true).is_err(), "{bad:#x}");
            assert!(check_return(&[bad, ERET], false).is_err(), "{bad:#x}");
        }
        assert!(check_return(&good[2..], false).is_ok());
        assert!(check_return(&good[..4], true).is_err(), "no eret");
        assert!(
            returns(&program(&good)).is_err(),
            "the ways back are missing"
        );
    }

    #[test]
    fn a_store_before_the_test_of_sp_is_refused() {
        let scratch = MSR_TPIDRRO_EL0;
        let slot = [scratch, 0xd104_c3ff, 0x9100_03e0, 0x3778_0040, STR];
        assert!(check_slot(&slot).is_ok());
        let mut early = slot;
        early.swap(3, 4);
        assert!(check_slot(&early).is_err());
        let mut untested = slot;
        untested[3] = NOP;
        assert!(check_slot(&untested).is_err());
    }
}

//! Programs small enough to be written down byte by byte.

use super::*;
use object::elf::{PF_R, PF_W, PF_X, ProgramFlags};

const BASE: u64 = 0x20_0000;

/// A segment of a test program: rights, address, bytes of memory, contents.
type Part = (ProgramFlags, u64, u64, Vec<u8>);

/// What a program should look like.
fn parts() -> Vec<Part> {
    vec![
        (PF_R | PF_X, BASE, 0x1004, vec![1; 0x1004]),
        (PF_R, BASE + 0x2000, 0x10, vec![2; 0x10]),
        (PF_R | PF_W, BASE + 0x3000, 0x1800, vec![3; 8]),
    ]
}

/// An ELF file with these segments, each at a page of the file, and section headers behind them.
fn elf(entry: u64, parts: &[Part]) -> Vec<u8> {
    let page = PAGE as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let mut contents = Vec::new();
    let mut table = Vec::new();
    for (flags, address, memory_bytes, bytes) in parts {
        let offset = page + contents.len() as u64;
        table.extend(elf::PT_LOAD.0.to_le_bytes());
        table.extend(flags.0.to_le_bytes());
        let numbers = [
            offset,
            *address,
            *address,
            bytes.len() as u64,
            *memory_bytes,
            page,
        ];
        table.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        contents.extend(bytes);
        contents.resize(contents.len().next_multiple_of(PAGE), 0);
    }
    let sections_at = page + contents.len() as u64;
    file.extend(2_u16.to_le_bytes()); // ET_EXEC
    file.extend(elf::EM_AARCH64.0.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(
        [entry, 64, sections_at]
            .iter()
            .flat_map(|n| n.to_le_bytes()),
    );
    file.extend(0_u32.to_le_bytes());
    // Header, entry and count of the segments; entry, count and names of the sections.
    for number in [64, 56, parts.len() as u16, 64, 2, 1] {
        file.extend(number.to_le_bytes());
    }
    file.extend(table);
    file.resize(PAGE, 0);
    file.extend(contents);
    // Two section headers: none, and the names, which are empty.
    file.resize(file.len() + 68, 0);
    file.extend(elf::SHT_STRTAB.0.to_le_bytes());
    file.resize(file.len() + 56, 0);
    file
}

fn refused(change: impl FnOnce(&mut Vec<Part>)) -> String {
    let mut parts = parts();
    change(&mut parts);
    let error = flatten(&elf(BASE, &parts)).expect_err("refused");
    format!("{error:#}")
}

#[test]
fn a_program_becomes_flat() {
    let flat = flatten(&elf(BASE + 4, &parts())).expect("a program");
    let program = Program::parse(&flat).expect("as it was written");
    assert_eq!(program.entry, BASE + 4);
    let segments: Vec<_> = program.segments().collect();
    for (segment, (_, address, memory_bytes, bytes)) in segments.iter().zip(parts()) {
        assert_eq!(segment.address, address);
        assert_eq!(
            segment.memory_bytes,
            memory_bytes.next_multiple_of(PAGE as u64)
        );
        assert_eq!(segment.bytes, bytes);
    }
    assert_eq!(segments.len(), 3);
    assert_eq!(flat.len(), 5 * PAGE);
}

#[test]
fn what_the_kernel_could_not_load_is_refused() {
    assert!(refused(|parts| parts[0].0 |= PF_W).contains("both writable and executable"));
    assert!(refused(|parts| parts[1].1 += 8).contains("rodata does not begin on a page"));
    assert!(refused(|parts| parts[2].0 = PF_R).contains("rodata twice"));
    assert!(refused(|parts| parts[1].1 = BASE).contains("taken"));
    assert!(refused(|parts| drop(parts.remove(0))).contains("entry"));
    assert!(flatten(b"#!/bin/sh").is_err());
    let mut x86 = elf(BASE, &parts());
    x86[18] = 62;
    assert!(flatten(&x86).is_err());
    let mut moveable = elf(BASE, &parts());
    moveable[16] = 3;
    let error = flatten(&moveable).expect_err("refused").to_string();
    assert!(error.contains("fixed addresses"), "{error}");
}

#[test]
fn a_stripped_program_is_the_same_program() {
    let whole = elf(BASE, &parts());
    let stripped = strip(&whole).expect("a program");
    assert!(stripped.len() < whole.len() - 64);
    assert_eq!(
        flatten(&stripped).expect("still one"),
        flatten(&whole).expect("one")
    );
    let elf = parse(&stripped).expect("an ELF file");
    assert_eq!(elf.sections().count(), 0);
    assert!(strip(&stripped[..stripped.len() - 1]).is_err());
}

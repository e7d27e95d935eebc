//! Images made of a kernel small enough to be written down byte by byte.

use abi::symbols::SymbolTable;

use super::*;

/// Where the test kernel is linked, and where it is loaded.
const LINKED: u64 = 0xffff_ff80_4020_0000;
const LOADED: u64 = 0x4020_0000;

/// Bytes of its code, beginning with the Image header.
const CODE_BYTES: u64 = 0x100;
/// Where its symbol section begins, counted from its start.
const SECTION_OFFSET: u64 = 0x1000;
/// How much memory it takes, with what is not in the file.
const MEMORY_BYTES: u64 = 0x2000;

/// A demangled name, its mangled form, and what a backtrace should say.
const MANGLED: &str = "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE";
const DEMANGLED: &str = "core::fmt::Formatter::write_str";

/// What can be wrong with a test kernel.
struct Kernel {
    /// What its Image header says it takes.
    header_bytes: u64,
    /// Room for symbols.
    room_bytes: u64,
    /// `sh_type` of the symbol section.
    section_type: u32,
    /// Load address of the second segment.
    second_loaded: u64,
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            header_bytes: MEMORY_BYTES,
            room_bytes: 0x200,
            section_type: elf::SHT_PROGBITS.0,
            second_loaded: LOADED + SECTION_OFFSET,
        }
    }
}

/// Little-endian numbers, one after the other; the width of each is its type's.
macro_rules! bytes {
    ($($number:expr),* $(,)?) => {
        [$(&$number.to_le_bytes()[..]),*].concat()
    };
}

impl Kernel {
    /// The ELF: header, two segments, code, symbol section, symbols, names, section headers.
    fn elf(&self) -> Vec<u8> {
        let mut code = bytes![
            0x1400_0010_u32,
            0_u32,
            0x20_0000_u64,
            self.header_bytes,
            0_u64
        ];
        code.resize(56, 0);
        code.extend(b"ARM\x64");
        code.resize(CODE_BYTES as usize, 0);

        let mut names = vec![0];
        let mut name = |text: &str| {
            let at = names.len() as u32;
            names.extend(text.as_bytes());
            names.push(0);
            at
        };
        // Name, info (binding and type), other, section, offset, size.
        let mut symbol = |text: &str, info: u8, section: u16, offset: u64| {
            bytes![name(text), info, 0_u8, section, LINKED + offset, 0_u64]
        };
        let (local, global, function, object) = (0x00_u8, 0x10_u8, 2, 1);
        let mut symbols = vec![0; 24];
        symbols.extend(symbol("$x", local, 1, 0x40));
        symbols.extend(symbol("a", local, 1, 0x40));
        symbols.extend(symbol(MANGLED, global | function, 1, 0x40));
        symbols.extend(symbol("vectors", local, 1, 0x80));
        symbols.extend(symbol("_end", global, 1, CODE_BYTES));
        symbols.extend(symbol("DATA", global | object, 2, SECTION_OFFSET));
        let section_names = b"\0.text\0.petrel.symbols\0.symtab\0.strtab\0.shstrtab\0";

        let code_at = 64 + 2 * 56;
        let room_at = code_at + CODE_BYTES;
        let symbols_at = room_at + self.room_bytes;
        let names_at = symbols_at + symbols.len() as u64;
        let section_names_at = names_at + names.len() as u64;
        let sections_at = section_names_at + section_names.len() as u64;

        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(bytes![
            2_u16,
            183_u16,
            1_u32,
            LINKED,
            64_u64,
            sections_at,
            0_u32
        ]);
        file.extend(bytes![64_u16, 56_u16, 2_u16, 64_u16, 6_u16, 5_u16]);
        let load = |flags: u32, at: u64, linked: u64, loaded: u64, size: u64, memory: u64| {
            bytes![1_u32, flags, at, linked, loaded, size, memory, 0x1000_u64]
        };
        file.extend(load(5, code_at, LINKED, LOADED, CODE_BYTES, CODE_BYTES));
        let (second, room) = (LINKED + SECTION_OFFSET, self.room_bytes);
        let memory = MEMORY_BYTES - SECTION_OFFSET;
        file.extend(load(6, room_at, second, self.second_loaded, room, memory));
        file.extend(code);
        file.extend(vec![0; self.room_bytes as usize]);
        file.extend(&symbols);
        file.extend(&names);
        file.extend(section_names);
        // Name, type, flags, address, offset, size, link, info, alignment, entry size.
        let section = |name: u32, kind: u32, flags: u64, address: u64, at: u64, size: u64| {
            let link = if kind == 2 { 4_u32 } else { 0 };
            let entry = if kind == 2 { 24_u64 } else { 0 };
            bytes![
                name, kind, flags, address, at, size, link, 1_u32, 1_u64, entry
            ]
        };
        file.extend(section(0, 0, 0, 0, 0, 0));
        file.extend(section(1, 1, 6, LINKED, code_at, CODE_BYTES));
        file.extend(section(
            7,
            self.section_type,
            2,
            second,
            room_at,
            self.room_bytes,
        ));
        file.extend(section(23, 2, 0, 0, symbols_at, symbols.len() as u64));
        file.extend(section(31, 3, 0, 0, names_at, names.len() as u64));
        file.extend(section(
            39,
            3,
            0,
            0,
            section_names_at,
            section_names.len() as u64,
        ));
        file
    }
}

#[test]
fn the_image_carries_the_kernels_symbols() {
    let mut file = Kernel::default().elf();
    let filled = fill_symbols(&mut file).expect("a good kernel");
    assert_eq!(filled.count, 2);
    let image = flatten(&file).expect("a good kernel");
    assert_eq!(image.len() as u64, SECTION_OFFSET + 0x200);

    let table = SymbolTable::parse(&image[SECTION_OFFSET as usize..]).expect("filled");
    assert_eq!(table.lookup(LINKED + 0x3f), None);
    assert_eq!(table.lookup(LINKED + 0x44), Some((DEMANGLED, 4)));
    assert_eq!(table.lookup(LINKED + 0x80), Some(("vectors", 0)));
    assert_eq!(
        table.lookup(LINKED + CODE_BYTES - 1),
        Some(("vectors", 0x7f))
    );
    assert_eq!(table.lookup(LINKED + CODE_BYTES), None);
}

#[test]
fn filling_twice_changes_nothing() {
    let mut file = Kernel::default().elf();
    fill_symbols(&mut file).expect("a good kernel");
    let once = file.clone();
    fill_symbols(&mut file).expect("still a good kernel");
    assert!(file == once);
}

#[test]
fn the_image_begins_with_its_header() {
    let image = flatten(&Kernel::default().elf()).expect("a good kernel");
    let header = Header::parse(&image).expect("a header");
    assert_eq!(
        (header.text_offset, header.image_bytes),
        (0x20_0000, MEMORY_BYTES)
    );
}

/// What is said about a kernel that cannot be turned into an Image.
fn refusal(kernel: &Kernel) -> String {
    let mut file = kernel.elf();
    let error = match fill_symbols(&mut file) {
        Ok(_) => flatten(&file).expect_err("a bad kernel"),
        Err(error) => error,
    };
    format!("{error:#}")
}

#[test]
fn what_is_wrong_is_named() {
    let room_bytes = 0x40;
    let small = refusal(&Kernel {
        room_bytes,
        ..Kernel::default()
    });
    assert!(small.contains("keeps only 64"), "{small}");

    let section_type = elf::SHT_NOBITS.0;
    let bss = refusal(&Kernel {
        section_type,
        ..Kernel::default()
    });
    assert!(bss.contains("no bytes in the file"), "{bss}");

    let header_bytes = MEMORY_BYTES - 1;
    let header = refusal(&Kernel {
        header_bytes,
        ..Kernel::default()
    });
    assert!(header.contains("takes 0x2000"), "{header}");

    let second_loaded = LOADED + 0x80;
    let overlap = refusal(&Kernel {
        second_loaded,
        ..Kernel::default()
    });
    assert!(overlap.contains("same memory at 0x40200080"), "{overlap}");

    let second_loaded = LINKED;
    let far = refusal(&Kernel {
        second_loaded,
        ..Kernel::default()
    });
    assert!(far.contains("spread over"), "{far}");

    let mut cut = Kernel::default().elf();
    cut.truncate(100);
    assert!(fill_symbols(&mut cut).is_err());
}

#[test]
fn many_may_make_the_same_file() {
    let path = std::env::temp_dir().join(format!("petrel-replace-{}", std::process::id()));
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..50 {
                    replace(path, &[writer ^ round; 4096]).expect("written");
                }
            });
        }
    });
    let bytes = fs::read(&path).expect("the last one's");
    fs::remove_file(&path).expect("it is ours");
    assert_eq!(bytes, [bytes[0]; 4096]);
}

//! The symbol table that a linked kernel carries in itself, so that a backtrace can say names.
//!
//! A linker knows the symbols only when the kernel's bytes are already laid out, and the kernel is
//! no ELF file any more once it runs. So the kernel keeps a section of fixed size for the table,
//! empty after linking, and the image tool fills it in both the ELF and the Image. The reader is
//! made for the worst moments: [`SymbolTable::parse`] looks at the header only, [`lookup`] is a
//! binary search; neither allocates, takes a lock, or can panic, whatever the bytes are. Both may
//! be used in every exception context.
//!
//! Layout, little-endian, no padding; *n* symbols, in the order of their addresses:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 8 | link address of the image's first byte: what all offsets count from |
//! | 4 | *n* |
//! | 4 | bytes of names |
//! | 4 × (*n* + 1) | offset of each symbol from the image's start; last, where the code ends |
//! | 4 × (*n* + 1) | where each name starts among the names; last, where the names end |
//! | the rest | the names: UTF-8, nothing between them |
//!
//! [`lookup`]: SymbolTable::lookup

use core::fmt;

/// Name of the ELF section that the kernel keeps for the table.
pub const SECTION: &str = ".petrel.symbols";

/// What a filled table begins with. A section that begins with zeros was never filled.
pub const MAGIC: [u8; 8] = *b"PTRLSYM1";

/// Bytes before the first offset.
const HEADER_BYTES: usize = 24;

/// A table found in memory. Cheap to copy: it only points.
#[derive(Clone, Copy, Debug)]
pub struct SymbolTable<'a> {
    base: u64,
    count: usize,
    offsets: &'a [u8],
    name_starts: &'a [u8],
    names: &'a [u8],
}

/// Why bytes are not a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// All zeros: the kernel runs straight from the linker, without the image tool.
    Empty,
    /// Something else than [`MAGIC`] stands at the start.
    BadMagic,
    /// The header promises more than is there.
    Truncated {
        /// Bytes the header asks for.
        needed_bytes: usize,
        /// Bytes there are.
        have_bytes: usize,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the symbol table is empty: the image tool did not fill it"),
            Self::BadMagic => f.write_str("the symbol table begins with a wrong magic number"),
            Self::Truncated {
                needed_bytes,
                have_bytes,
            } => write!(
                f,
                "the symbol table needs {needed_bytes} bytes, but {have_bytes} are there"
            ),
        }
    }
}

impl core::error::Error for ParseError {}

impl<'a> SymbolTable<'a> {
    /// Finds the table at the start of `bytes`; what follows it is ignored.
    ///
    /// Only sizes are checked here, so it costs the same for every table. A table whose inside is
    /// damaged gives wrong names or none; it does no other harm.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let truncated = |needed_bytes| ParseError::Truncated {
            needed_bytes,
            have_bytes: bytes.len(),
        };
        let (header, rest) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or(truncated(HEADER_BYTES))?;
        if header.starts_with(&[0; MAGIC.len()]) {
            return Err(ParseError::Empty);
        }
        if !header.starts_with(&MAGIC) {
            return Err(ParseError::BadMagic);
        }
        let (base, count, names_bytes) = (
            u64_at(header, 8).unwrap_or(0),
            u32_at(header, 4).unwrap_or(0),
            u32_at(header, 5).unwrap_or(0),
        );
        let sizes =
            Sizes::new(count as usize, names_bytes as usize).ok_or(truncated(usize::MAX))?;
        if bytes.len() < sizes.total {
            return Err(truncated(sizes.total));
        }
        let (offsets, rest) = rest.split_at(sizes.array);
        let (name_starts, rest) = rest.split_at(sizes.array);
        Ok(Self {
            base,
            count: count as usize,
            offsets,
            name_starts,
            names: &rest[..names_bytes as usize],
        })
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no symbol at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The symbol that `address` (a link address: high half) lies in, and how many bytes into it.
    ///
    /// `None` before the first symbol and after the end of the code. Give it the address of the
    /// instruction you mean: for a return address, that of the call, which is 4 less.
    pub fn lookup(&self, address: u64) -> Option<(&'a str, u32)> {
        let offset = u32::try_from(address.checked_sub(self.base)?).ok()?;
        if offset >= u32_at(self.offsets, self.count)? {
            return None;
        }
        // The last symbol that starts at or before the offset: `low` is the first after it.
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if u32_at(self.offsets, middle)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = low.checked_sub(1)?;
        let start = u32_at(self.offsets, index)?;
        Some((self.name(index)?, offset.checked_sub(start)?))
    }

    /// The symbol with this index, in the order of addresses: its link address and its name.
    pub fn get(&self, index: usize) -> Option<(u64, &'a str)> {
        if index >= self.count {
            return None;
        }
        let offset = u32_at(self.offsets, index)?;
        Some((self.base.checked_add(offset.into())?, self.name(index)?))
    }

    fn name(&self, index: usize) -> Option<&'a str> {
        let start = u32_at(self.name_starts, index)? as usize;
        let end = u32_at(self.name_starts, index + 1)? as usize;
        core::str::from_utf8(self.names.get(start..end)?).ok()
    }
}

/// Why a table could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The table does not fit.
    TooSmall {
        /// Bytes the table takes.
        needed_bytes: usize,
        /// Bytes there are for it.
        have_bytes: usize,
    },
    /// Symbol number `index` (or the end of the code, when it is the number of symbols) does not
    /// lie after the one before it.
    Unsorted {
        /// Which symbol.
        index: usize,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall {
                needed_bytes,
                have_bytes,
            } => write!(
                f,
                "the symbol table takes {needed_bytes} bytes, but the kernel keeps only \
                 {have_bytes} for it ({SECTION})"
            ),
            Self::Unsorted { index } => {
                write!(f, "symbol {index} does not lie after the one before it")
            }
        }
    }
}

impl core::error::Error for WriteError {}

/// Writes a table to the start of `bytes` and returns how long it is. The rest of `bytes` becomes
/// zero, so that the same symbols always give the same bytes.
///
/// `base` is the link address of the image's first byte; `symbols` are (offset from it, name), in
/// strictly rising order; `end` is the offset where the code ends.
///
/// # Errors
/// See [`WriteError`]. Nothing is written then.
pub fn write_table(
    bytes: &mut [u8],
    base: u64,
    symbols: &[(u32, &str)],
    end: u32,
) -> Result<usize, WriteError> {
    let offsets = || symbols.iter().map(|&(offset, _)| offset).chain([end]);
    if let Some(index) = offsets().zip(offsets().skip(1)).position(|(a, b)| a >= b) {
        return Err(WriteError::Unsorted { index: index + 1 });
    }
    let names_bytes = symbols.iter().map(|(_, name)| name.len()).sum();
    let have_bytes = bytes.len();
    let sizes = Sizes::new(symbols.len(), names_bytes)
        .filter(|sizes| sizes.total <= have_bytes)
        .ok_or(WriteError::TooSmall {
            needed_bytes: Sizes::new(symbols.len(), names_bytes).map_or(usize::MAX, |s| s.total),
            have_bytes,
        })?;

    let mut used = 0;
    let mut put = |field: &[u8]| {
        bytes[used..used + field.len()].copy_from_slice(field);
        used += field.len();
    };
    put(&MAGIC);
    put(&base.to_le_bytes());
    // Both fit in 32 bits: `Sizes::new` refused everything larger.
    put(&(symbols.len() as u32).to_le_bytes());
    put(&(names_bytes as u32).to_le_bytes());
    for offset in offsets() {
        put(&offset.to_le_bytes());
    }
    let mut name_start = 0u32;
    for name_bytes in symbols.iter().map(|(_, name)| name.len() as u32).chain([0]) {
        put(&name_start.to_le_bytes());
        name_start += name_bytes;
    }
    for (_, name) in symbols {
        put(name.as_bytes());
    }
    bytes[sizes.total..].fill(0);
    Ok(sizes.total)
}

/// How many bytes the parts of a table take.
struct Sizes {
    /// One of the two arrays.
    array: usize,
    /// Everything.
    total: usize,
}

impl Sizes {
    /// `None` when a count does not fit the format's 32 bits, or the sum not the address space.
    fn new(count: usize, names_bytes: usize) -> Option<Self> {
        u32::try_from(count).ok()?;
        u32::try_from(names_bytes).ok()?;
        let array = count.checked_add(1)?.checked_mul(4)?;
        let total = array
            .checked_mul(2)?
            .checked_add(names_bytes)?
            .checked_add(HEADER_BYTES)?;
        Some(Self { array, total })
    }
}

/// The 32-bit number with this index in an array of them.
fn u32_at(bytes: &[u8], index: usize) -> Option<u32> {
    let start = index.checked_mul(4)?;
    let field = bytes.get(start..start.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// The 64-bit number that begins at this byte.
fn u64_at(bytes: &[u8], start: usize) -> Option<u64> {
    let field = bytes.get(start..start.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0xffff_ff80_4020_0000;
    const SYMBOLS: [(u32, &str); 3] = [(0x40, "_start"), (0x80, "kmain"), (0x1000, "é::é")];

    fn table(room: &mut [u8]) -> SymbolTable<'_> {
        let bytes = write_table(room, BASE, &SYMBOLS, 0x1100).expect("fits");
        SymbolTable::parse(&room[..bytes]).expect("just written")
    }

    #[test]
    fn each_address_finds_the_symbol_it_lies_in() {
        let mut room = [0xaa; 256];
        let table = table(&mut room);
        assert_eq!(table.len(), 3);
        assert_eq!(table.lookup(BASE), None);
        assert_eq!(table.lookup(BASE + 0x3f), None);
        assert_eq!(table.lookup(BASE + 0x40), Some(("_start", 0)));
        assert_eq!(table.lookup(BASE + 0x7f), Some(("_start", 0x3f)));
        assert_eq!(table.lookup(BASE + 0x80), Some(("kmain", 0)));
        assert_eq!(table.lookup(BASE + 0x10ff), Some(("é::é", 0xff)));
        assert_eq!(table.lookup(BASE + 0x1100), None);
        assert_eq!(table.lookup(BASE - 1), None);
        assert_eq!(table.lookup(BASE + (1 << 32) + 0x40), None);
        assert_eq!(table.lookup(u64::MAX), None);
    }

    #[test]
    fn symbols_come_back_in_order() {
        let mut room = [0; 256];
        let table = table(&mut room);
        for (index, (offset, name)) in SYMBOLS.into_iter().enumerate() {
            assert_eq!(table.get(index), Some((BASE + u64::from(offset), name)));
        }
        assert_eq!(table.get(3), None);
    }

    #[test]
    fn the_rest_of_the_room_is_cleared() {
        let mut room = [0xaa; 256];
        let bytes = write_table(&mut room, BASE, &SYMBOLS, 0x1100).expect("fits");
        assert_eq!(bytes, 24 + 2 * 4 * 4 + 6 + 5 + 6);
        assert!(room[bytes..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let mut room = [0; 256];
        assert_eq!(SymbolTable::parse(&room).err(), Some(ParseError::Empty));
        let bytes = table(&mut room).offsets.len() * 2 + 24 + 17;
        assert_eq!(
            SymbolTable::parse(&room[..bytes - 1]).err(),
            Some(ParseError::Truncated {
                needed_bytes: bytes,
                have_bytes: bytes - 1
            })
        );
        assert_eq!(
            SymbolTable::parse(&room[..23]).err(),
            Some(ParseError::Truncated {
                needed_bytes: 24,
                have_bytes: 23
            })
        );
        room[0] = b'X';
        assert_eq!(SymbolTable::parse(&room).err(), Some(ParseError::BadMagic));
    }

    #[test]
    fn a_table_that_does_not_fit_or_is_not_sorted_is_not_written() {
        let mut room = [0xaa; 64];
        assert_eq!(
            write_table(&mut room, BASE, &SYMBOLS, 0x1100),
            Err(WriteError::TooSmall {
                needed_bytes: 73,
                have_bytes: 64
            })
        );
        let twice = [(4, "a"), (4, "b")];
        assert_eq!(
            write_table(&mut room, BASE, &twice, 8),
            Err(WriteError::Unsorted { index: 1 })
        );
        assert_eq!(
            write_table(&mut room, BASE, &SYMBOLS, 0x1000),
            Err(WriteError::Unsorted { index: 3 })
        );
        assert_eq!(room, [0xaa; 64]);
    }

    #[test]
    fn damage_never_panics() {
        let mut whole = [0; 128];
        table(&mut whole);
        for byte in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut room = whole;
                room[byte] = value;
                if let Ok(table) = SymbolTable::parse(&room) {
                    for offset in (0..0x1200).step_by(0x20) {
                        table.lookup(BASE + offset);
                    }
                    for index in 0..5 {
                        table.get(index);
                    }
                }
            }
        }
    }
}

//! Names of addresses: the symbol table that the image tool adds after linking.

use abi::symbols::SymbolTable;
use core::fmt;

/// Room for the table; the image tool fills it.
#[used]
#[unsafe(link_section = ".petrel.symbols")]
static ROOM: [u8; 256 << 10] = [0; 256 << 10];

unsafe extern "C" {
    static __symbols_start: u8;
}

/// All of them; `None` if the image tool did not run.
pub(crate) fn table() -> Option<SymbolTable<'static>> {
    // By the linker's symbol: the compiler believes that `ROOM` is all zeros.
    let start = &raw const __symbols_start;
    // SAFETY: `ROOM` lies there, and is never written after linking.
    let bytes = unsafe { core::slice::from_raw_parts(start, size_of_val(&ROOM)) };
    SymbolTable::parse(bytes).ok()
}

/// An address of code, printed with the function it is in.
pub(crate) struct Symbol(pub(crate) u64);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match table().and_then(|table| table.lookup(self.0)) {
            Some((name, offset)) => write!(f, "{:#x} {name}+{offset:#x}", self.0),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

//! The machine, as the holder of its handle may use it: its devices, and what is known of it.

pub(crate) mod query;

use crate::mm::PAGE;
use crate::object::quota::Quota;
use crate::object::{Memory, Ref};
use crate::{console, start};
use abi::error::Error;
use boot::Region;
use cpu::read_sysreg;

/// The device registers at physical address `base`, as memory to map, charged to `quota`.
///
/// # Errors
/// [`Error::BadArgument`]: not whole pages, or beyond what the CPU can address; RAM, or registers that the
/// kernel uses itself: the GIC's, and the UART's until the console is taken. [`Error::NoMemory`].
pub(crate) fn device_memory(
    base: u64,
    bytes: u64,
    quota: &Ref<Quota>,
) -> Result<Ref<Memory>, Error> {
    let region = Region::new(base, bytes).ok_or(Error::BadArgument)?;
    let is_whole = !region.is_empty() && (base | bytes).is_multiple_of(PAGE);
    let is_ours = own().any(|own| own.overlaps(region));
    if !is_whole || region.end() > addressable() || is_ours {
        return Err(Error::BadArgument);
    }
    Memory::device(base, bytes, quota)
}

/// What no process may have: all RAM, and what the kernel drives, in whole pages.
fn own() -> impl Iterator<Item = Region> {
    let info = start::info();
    let gic = info
        .gic
        .redistributors
        .iter()
        .chain([&info.gic.distributor]);
    let uart = Some(&info.uart.registers).filter(|_| !console::is_taken());
    let all = info.memory.iter().chain(gic).chain(uart);
    all.filter_map(|region| {
        let base = region.base() & !(PAGE - 1);
        let end = region.end().checked_next_multiple_of(PAGE)?;
        Region::from_bounds(base, end)
    })
}

/// The first physical address that is none (`ID_AA64MMFR0_EL1.PARange`, DDI 0487, D24.2.68), as far as
/// our page tables go: 48 bits.
fn addressable() -> u64 {
    let bits = match read_sysreg!("id_aa64mmfr0_el1") & 0xf {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    };
    1 << bits
}

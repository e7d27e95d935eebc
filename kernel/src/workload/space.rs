//! Address spaces: who maps what, who sees it, who pays, and who forgets in time.
//!
//! No process is needed for this: a kernel thread installs a space, and reads and writes in it with the
//! rights of EL0, the way the kernel always reaches a process's memory. Each room asks one question:
//!
//! | room | asks |
//! |---|---|
//! | `rules` | is what must be refused refused, by name, and has a refusal changed nothing? |
//! | `copies` | does a user pointer reach what EL0 could reach, and nothing else? |
//! | `asids` | does one space ever see what CPUs remember of another? |
//! | `costs` | is everything charged, and given back? |
//! | `churn` | does it all hold with every CPU in one space, and is what was unmapped gone? |
//!
//! All the while NMIs rain.

mod asids;
mod churn;
mod copies;
mod costs;
mod rules;

use super::rain::Rain;
use super::support::{ensure, left_since, nothing_lost, unleaked_bytes};
use super::{Failure, Task};
use crate::mm::space::{self, Space};
use crate::mm::user;
use crate::object::quota::Quota;
use crate::object::{Memory, Ref};
use crate::{irq, smp};
use abi::error::Error;
use abi::handle::Rights;
use abi::memory::{MemoryKind, PAGE};
use alloc::format;
use alloc::string::String;
use boot::args::Params;
use core::time::Duration;
use cpu::guard::PreemptGuard;

/// Somewhere in a process.
const AT: u64 = 0x4000_0000;
const READ: Rights = Rights::READ;
const READ_WRITE: Rights = Rights::READ.with(Rights::WRITE);
const READ_EXECUTE: Rights = Rights::READ.with(Rights::EXECUTE);

/// Runs the workload. Parameters: `rounds` of the churn for each CPU, `nmi` the period of the rain (0
/// for none).
///
/// # Errors
/// A sentence about what should not have been.
pub(super) fn run(task: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let rounds = params.count("rounds", 1000)?;
    let nmi = params.duration("nmi", Duration::from_micros(100))?;
    params.finish()?;
    ensure!(
        (1..=1_000_000).contains(&rounds),
        "rounds={rounds}: from 1 to 1000000"
    );
    let rain = match nmi {
        Duration::ZERO => None,
        period => Some(Rain::begin(period, |_| {})?),
    };
    let free_bytes = unleaked_bytes();
    let refused = rules::check()?;
    let copies = copies::check()?;
    let asids = asids::check()?;
    costs::check()?;
    let maps = churn::run(task.seed, rounds)?;
    let left = left_since(free_bytes);
    let drops = rain.as_ref().map_or(0, Rain::drops);
    drop(rain);
    nothing_lost()?;
    ensure!(left == 0, "address spaces left {left} bytes behind");
    ensure!(nmi.is_zero() || drops > 0, "it never rained");
    Ok(format!(
        "space on {}: {refused} refusals, {copies} copies, {asids} ASIDs, {maps} maps, {drops} {}",
        smp::up(),
        if irq::has_nmis() {
            "NMIs"
        } else {
            "interrupts (no NMIs: mask=daif)"
        }
    ))
}

/// A quota of so many bytes.
fn quota(bytes: u64) -> Result<Ref<Quota>, Failure> {
    Ok(Ref::try_new(Quota::new(bytes))?)
}

/// Memory of so many pages; the first word of each is `value` plus the number of the page.
fn numbered(pages: u64, value: u64, quota: &Ref<Quota>) -> Result<Ref<Memory>, Failure> {
    let memory = Memory::create(MemoryKind::Normal, pages * PAGE, quota)?;
    for page in 0..pages {
        memory.write(page * PAGE, &(value + page).to_ne_bytes())?;
    }
    Ok(memory)
}

/// Does `work` with `space` installed, on one CPU, without a switch. No interrupt handler looks at the
/// lower half.
fn inside<R>(space: &Space, work: impl FnOnce() -> R) -> R {
    let guard = PreemptGuard::new();
    // SAFETY: the space lives longer than it is installed.
    unsafe { space::install(space.ttbr()) };
    let result = work();
    // SAFETY: the empty table stays.
    unsafe { space::install(space::reserved_ttbr()) };
    drop(guard);
    result
}

/// The word at `address` of `space`.
fn word(space: &Space, address: u64) -> Result<u64, Error> {
    inside(space, || user::copy_in(address))
}

/// A load as the rest of the kernel makes it; `None` if it faulted.
fn kernel_load(address: u64) -> Option<u64> {
    let (value, faulted): (u64, u64);
    // SAFETY: if the load faults, execution goes on at the fix-up.
    unsafe {
        core::arch::asm!(
            "mov {faulted}, #0",
            "2: ldr {value}, [{address}]",
            "b 4f",
            "3: mov {faulted}, #1",
            "mov {value}, #0",
            "4:",
            ".pushsection .petrel.fixups, \"a\"",
            ".balign 4",
            ".word 2b - .",
            ".word 3b - .",
            ".popsection",
            address = in(reg) address,
            value = out(reg) value,
            faulted = out(reg) faulted,
            options(nostack, readonly)
        );
    }
    (faulted == 0).then_some(value)
}

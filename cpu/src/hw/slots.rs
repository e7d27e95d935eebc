//! Mask verbs of code that is not entered through a vector: slots patched at boot.
//!
//! Guards, locks, idle and the switch are the same functions under every mechanism, and no branch and
//! no load may pay for the choice. So each verb is a *slot*: a few instructions written for `daif`, which
//! work on any CPU from the first instruction on, and beside them, never executed in their place, as
//! many for `pmr`. Boot copies the second over the first if `pmr` was chosen, before the text is sealed
//! and before another CPU runs.

use crate::mask::{Context, Mechanism};
use crate::priority::{PMR_OFF, PMR_ON};

/// One entry of the table that the linker gathers: where a slot is, where its `pmr` version is, and
/// how long both are. Offsets are relative to the field that holds them.
#[repr(C)]
struct Slot {
    slot: i32,
    pmr: i32,
    slot_bytes: u32,
    pmr_bytes: u32,
}

/// Writes a slot: the instructions for `daif` in place, those for `pmr` beside.
macro_rules! slot {
    (daif: [$($daif:literal),* $(,)?], pmr: [$($pmr:literal),* $(,)?], $($operands:tt)*) => {
        core::arch::asm!(
            "2:", $($daif,)* "3:",
            ".pushsection .petrel.slots, \"a\"",
            ".balign 4",
            ".word 2b - .",
            ".word 4f - .",
            ".word 3b - 2b",
            ".word 5f - 4f",
            ".popsection",
            ".pushsection .petrel.slot_text, \"a\"",
            ".balign 4",
            "4:", $($pmr,)* "5:",
            ".popsection",
            $($operands)*
        )
    };
}
pub(crate) use slot;

// ANCHOR: irq_save
/// Holds ordinary interrupts; gives what [`irq_restore`] needs. Any context.
#[inline(always)]
pub fn irq_save() -> u64 {
    let saved: u64;
    // SAFETY: masking more is always sound. Not `nomem`: what follows is guarded by it.
    unsafe {
        slot!(
            daif: ["mrs {saved}, daif", "msr daifset, #3", "nop"],
            pmr: ["mrs {saved}, icc_pmr_el1", "mov {off:w}, #{PMR_OFF}", "msr icc_pmr_el1, {off}"],
            saved = out(reg) saved,
            off = out(reg) _,
            PMR_OFF = const PMR_OFF,
            options(nostack, preserves_flags)
        );
    }
    saved
}
// ANCHOR_END: irq_save

/// Puts back what [`irq_save`] found. Any context.
#[inline(always)]
pub fn irq_restore(saved: u64) {
    // SAFETY: the state was this CPU's own. Not `nomem`: what came before was guarded.
    unsafe {
        slot!(
            daif: ["msr daif, {saved}"],
            pmr: ["msr icc_pmr_el1, {saved}"],
            saved = in(reg) saved,
            options(nostack, preserves_flags)
        );
    }
}

/// Lets ordinary interrupts in, from `NoIrq`. For the first instructions of a thread.
///
/// # Safety
/// The CPU is in `NoIrq`, and the caller holds nothing that this would end.
#[inline(always)]
pub unsafe fn irq_on() {
    // SAFETY: the caller's promise.
    unsafe {
        slot!(
            daif: ["msr daifclr, #3", "nop"],
            pmr: ["mov {on:w}, #{PMR_ON}", "msr icc_pmr_el1, {on}"],
            on = out(reg) _,
            PMR_ON = const PMR_ON,
            options(nostack, preserves_flags)
        );
    }
}

/// From `Critical` to `NoIrq`: how a CPU that comes up opens for the first time. PMR is off already.
///
/// # Safety
/// Vectors and everything that an NMI or SError handler uses are set up.
#[inline(always)]
pub unsafe fn open_no_irq() {
    // SAFETY: the caller's promise.
    unsafe {
        slot!(
            daif: ["msr daifclr, #0xc"],
            pmr: ["msr daifclr, #0xf"],
            options(nostack, preserves_flags)
        );
    }
}

/// Whether ordinary interrupts are held, by the mechanism in use. Any context.
#[inline(always)]
pub fn irqs_held() -> bool {
    let open: u64;
    // SAFETY: reads a register.
    unsafe {
        slot!(
            daif: ["mrs {open}, daif", "and {open}, {open}, #0xc0"],
            pmr: ["mrs {open}, icc_pmr_el1", "eor {open}, {open}, #{PMR_ON}"],
            open = out(reg) open,
            PMR_ON = const PMR_ON,
            options(nostack, preserves_flags)
        );
    }
    open != 0
}

/// The number ([`crate::mask::MaskState::bits`]) of the legal switch state, as an immediate.
#[inline(always)]
pub fn legal_switch_state() -> u32 {
    let state: u32;
    // SAFETY: loads a constant.
    unsafe {
        slot!(
            daif: ["mov {state:w}, #{daif}"],
            pmr: ["mov {state:w}, #{pmr}"],
            state = out(reg) state,
            pmr = const Context::NoIrq.state(Mechanism::Pmr).bits(),
            daif = const Context::NoIrq.state(Mechanism::Daif).bits(),
            options(nostack, preserves_flags)
        );
    }
    state
}

unsafe extern "C" {
    static __slots_start: Slot;
    static __slots_end: Slot;
}

/// Patches every slot for `mechanism`; gives how many there are.
///
/// # Safety
/// The kernel's text is writable, no other CPU runs, nothing interrupts.
///
/// # Panics
/// If a slot's two versions differ in length: a mistake in the source, found at every boot.
pub unsafe fn patch(mechanism: Mechanism) -> usize {
    let first = &raw const __slots_start;
    let end = &raw const __slots_end;
    // SAFETY: both symbols bound one array of `Slot`, made by the linker script.
    let count = unsafe { end.offset_from(first) } as usize;
    for at in 0..count {
        // SAFETY: `at` is inside the array; entries are never written.
        let entry = unsafe { &*first.add(at) };
        assert!(
            entry.slot_bytes == entry.pmr_bytes,
            "mask slot {at} has versions of different length"
        );
        if mechanism != Mechanism::Pmr {
            continue;
        }
        let to = resolve(&entry.slot).cast_mut();
        let from = resolve(&entry.pmr);
        for word in 0..entry.slot_bytes as usize / 4 {
            // SAFETY: the linker put both texts there, and the caller says that text can be written.
            unsafe {
                let instruction = from.add(word).read();
                to.add(word).write_volatile(instruction);
                clean(to.add(word));
            }
        }
    }
    // SAFETY: makes this CPU fetch what was written; the others start later.
    unsafe {
        core::arch::asm!("dsb ish", "ic iallu", "dsb ish", "isb", options(nostack));
    }
    count
}

/// The address an offset field points to.
fn resolve(field: &i32) -> *const u32 {
    core::ptr::from_ref(field)
        .cast::<u8>()
        .wrapping_offset(*field as isize)
        .cast()
}

/// Makes a written instruction visible to instruction fetch (DDI 0487, B2.4.4).
///
/// # Safety
/// `at` is mapped.
unsafe fn clean(at: *mut u32) {
    // SAFETY: cache maintenance on a mapped address.
    unsafe {
        core::arch::asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags));
    }
}

//! Faults taken in the kernel: those it may take, and those that are bugs.
//!
//! It may touch the lazily mapped region, execute [`UNDEFINED`], and fault where a fix-up is registered.
//! Everything else ends in a panic with the frame.

use crate::mm::lazy;
use crate::panic;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use entry::frame::Frame;
use entry::{ExitLooks, Syndrome};

/// `udf #0x5045`: an undefined instruction on purpose. The fault handler skips it.
pub(crate) const UNDEFINED: u32 = 0x5045;

const CLASS_UNKNOWN: u8 = 0x00;
const CLASS_DATA_ABORT: u8 = 0x25;
/// `ESR_EL1.ISS.DFSC` of a translation fault, without the level.
const TRANSLATION_FAULT: u64 = 0b0001;

/// Data aborts served, and undefined instructions skipped.
pub(crate) static SERVED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// What is called at the end of each fault that was served.
pub(crate) type Observer = fn(Option<&ExitLooks<'_>>);
static OBSERVER: AtomicUsize = AtomicUsize::new(0);

/// Has `observer` called at the end of each fault that was served; `None`: nobody.
pub(crate) fn observe(observer: Option<Observer>) {
    OBSERVER.store(observer.map_or(0, |function| function as usize), Relaxed);
}

/// Serves a fault, in the context that took it; with `exit` it may sleep.
pub(crate) fn handle(frame: &mut Frame, syndrome: Syndrome, exit: Option<&ExitLooks<'_>>) {
    let kind = match syndrome.class() {
        CLASS_DATA_ABORT
            if syndrome.esr >> 2 & 0xf == TRANSLATION_FAULT && lazy::resolve(syndrome.far) =>
        {
            0
        }
        CLASS_UNKNOWN if is_on_purpose(frame.elr) => {
            frame.elr += 4;
            1
        }
        class => panic::with_frame(
            frame,
            format_args!(
                "{} at address {:#x} (ESR {:#x})",
                class_name(class),
                syndrome.far,
                syndrome.esr
            ),
        ),
    };
    SERVED[kind].fetch_add(1, Relaxed);
    let observer = OBSERVER.load(Relaxed);
    if observer != 0 {
        // SAFETY: only `observe` stores here, an `Observer`.
        let observer = unsafe { core::mem::transmute::<usize, Observer>(observer) };
        observer(exit);
    }
}

fn is_on_purpose(elr: u64) -> bool {
    boot::arch::text().contains(&elr)
        // SAFETY: `elr` is in the text, which is mapped.
        && unsafe { (elr as *const u32).read() } == UNDEFINED
}

/// What an exception class is called (DDI 0487, D24.2.36).
pub(crate) fn class_name(class: u8) -> &'static str {
    match class {
        0x00 => "undefined instruction",
        0x07 => "FP/SIMD instruction in the kernel",
        0x0e => "illegal execution state",
        0x18 => "trapped system register access",
        0x20 | 0x21 => "instruction abort",
        0x22 => "misaligned PC",
        0x24 | 0x25 => "data abort",
        0x26 => "misaligned SP",
        0x2f => "SError",
        0x30 | 0x31 => "breakpoint",
        0x32 | 0x33 => "software step",
        0x34 | 0x35 => "watchpoint",
        0x3c => "BRK instruction",
        _ => "unexpected exception",
    }
}

/// One instruction that may fault, and where to go on; relative to the fields.
#[repr(C)]
struct Fixup {
    instruction: i32,
    go_on: i32,
}

unsafe extern "C" {
    static __fixups_start: Fixup;
    static __fixups_end: Fixup;
}

/// Goes on at the fix-up of the faulting instruction, if it has one. Any context.
#[inline(always)]
pub(crate) fn fixup(frame: &mut Frame) -> bool {
    let mut at = &raw const __fixups_start;
    let end = &raw const __fixups_end;
    while at < end {
        let resolve = |field: *const i32| {
            // SAFETY: the linker gathered an array of `Fixup` between the two symbols.
            (field as u64).wrapping_add_signed(i64::from(unsafe { field.read() }))
        };
        // SAFETY: as above.
        let (instruction, go_on) =
            unsafe { (&raw const (*at).instruction, &raw const (*at).go_on) };
        if resolve(instruction) == frame.elr {
            frame.elr = resolve(go_on);
            return true;
        }
        at = at.wrapping_add(1);
    }
    false
}

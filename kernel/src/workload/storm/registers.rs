//! A witness for registers: fills them, waits, and folds them into one number that is known.
//!
//! Whatever comes in between, NMI, interrupt, switch to another thread and back, on this CPU or
//! another, must give every register and the condition flags back bit for bit.

use core::arch::naked_asm;

const FIRST: u32 = 2;
const LAST: u32 = 28;
const FLAGS: u64 = 0xf000_0000;

/// Fills x2 to x28 and NZCV from `seed`, counts `turns` down, and folds them. Any context.
#[unsafe(naked)]
extern "C" fn petrel_storm_registers(seed: u64, turns: u64) -> u64 {
    naked_asm!(
        "stp x29, x30, [sp, #-96]!",
        "mov x29, sp",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "msr nzcv, x0",
        ".irp k, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28",
        "ror x\\k, x0, #\\k",
        ".endr",
        // Neither instruction touches the flags.
        "2: sub x1, x1, #1",
        "cbnz x1, 2b",
        "mrs x1, nzcv",
        ".irp k, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28",
        "eor x0, x\\k, x0, ror #9",
        ".endr",
        "eor x0, x1, x0, ror #9",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp x29, x30, [sp], #96",
        "ret",
    )
}

/// Whether all registers came through `turns` turns of two instructions each.
pub(super) fn survive(seed: u64, turns: u64) -> bool {
    let fold = |sum: u64, value: u64| value ^ sum.rotate_right(9);
    let registers = (FIRST..=LAST).map(|k| seed.rotate_right(k));
    let expected = fold(registers.fold(seed, fold), seed & FLAGS);
    petrel_storm_registers(seed, turns.max(1)) == expected
}

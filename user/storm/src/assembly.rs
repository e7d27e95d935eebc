//! What must be assembly: filling every register, and looking at it much later.

use core::sync::atomic::AtomicU64;

/// In: word 0, how many turns to wait; words 1 to 30, X1 to X30, of which X1 is NZCV, too. Out, from word 32
/// on: NZCV, X1 to X30, `TPIDR_EL0` (of [`petrel_storm_plain`]).
pub(crate) type General = [u64; 64];

/// V0 to V31, FPCR, FPSR.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(crate) struct Vectors {
    pub(crate) v: [u128; 32],
    pub(crate) fpcr: u64,
    pub(crate) fpsr: u64,
}

impl Vectors {
    /// All zero.
    pub(crate) const ZERO: Self = Self {
        v: [0; 32],
        fpcr: 0,
        fpsr: 0,
    };
}

unsafe extern "C" {
    /// Fills the registers, waits, and writes what is in them. Gives its argument.
    pub(crate) fn petrel_storm_general(buffer: *mut General) -> *mut General;

    /// Fills the registers from the first of `buffer`, waits `turns` turns, and writes what is in them into
    /// the second. Meanwhile it writes `own` into `ran_last` whenever something else stands there, and
    /// gives how often that was: each is a switch to another and back.
    pub(crate) fn petrel_storm_vectors(
        buffer: *mut [Vectors; 2],
        ran_last: *const AtomicU64,
        own: u64,
        turns: u64,
    ) -> u64;

    /// A thread: writes the FP registers it begins with into the [`Vectors`] that `x0` points to, and ends.
    pub(crate) fn petrel_storm_fresh();
    /// A thread: [`petrel_storm_general`] and `TPIDR_EL0`, and ends.
    pub(crate) fn petrel_storm_plain();
    /// A thread: uses an FP register.
    pub(crate) fn petrel_storm_trespass();

    /// What a paged process executes, for x0 = the first page, x1 = how many, x2 = the key: each page's first
    /// word is its address and the key; its second is written and read. Ends in `udf #1`, or in `udf #2`
    /// when a word is wrong.
    pub(crate) static petrel_storm_paged: [u8; PAGED_BYTES];
}

/// Bytes of the code of a paged process.
pub(crate) const PAGED_BYTES: usize = 14 * 4;

core::arch::global_asm!(
    ".pushsection .text.petrel_storm, \"ax\"",
    ".macro vectors operation",
    "\\operation q0, q1, [x6]",
    "\\operation q2, q3, [x6, #32]",
    "\\operation q4, q5, [x6, #64]",
    "\\operation q6, q7, [x6, #96]",
    "\\operation q8, q9, [x6, #128]",
    "\\operation q10, q11, [x6, #160]",
    "\\operation q12, q13, [x6, #192]",
    "\\operation q14, q15, [x6, #224]",
    "\\operation q16, q17, [x6, #256]",
    "\\operation q18, q19, [x6, #288]",
    "\\operation q20, q21, [x6, #320]",
    "\\operation q22, q23, [x6, #352]",
    "\\operation q24, q25, [x6, #384]",
    "\\operation q26, q27, [x6, #416]",
    "\\operation q28, q29, [x6, #448]",
    "\\operation q30, q31, [x6, #480]",
    ".endm",
    ".macro generals operation",
    "\\operation x2, x3, [x0, #16]",
    "\\operation x4, x5, [x0, #32]",
    "\\operation x6, x7, [x0, #48]",
    "\\operation x8, x9, [x0, #64]",
    "\\operation x10, x11, [x0, #80]",
    "\\operation x12, x13, [x0, #96]",
    "\\operation x14, x15, [x0, #112]",
    "\\operation x16, x17, [x0, #128]",
    "\\operation x18, x19, [x0, #144]",
    "\\operation x20, x21, [x0, #160]",
    "\\operation x22, x23, [x0, #176]",
    "\\operation x24, x25, [x0, #192]",
    "\\operation x26, x27, [x0, #208]",
    "\\operation x28, x29, [x0, #224]",
    ".endm",
    ".globl petrel_storm_general",
    "petrel_storm_general:",
    "stp x29, x30, [sp, #-112]!",
    "stp x18, x19, [sp, #16]",
    "stp x20, x21, [sp, #32]",
    "stp x22, x23, [sp, #48]",
    "stp x24, x25, [sp, #64]",
    "stp x26, x27, [sp, #80]",
    "stp x28, x0, [sp, #96]",
    "generals ldp",
    "ldr x30, [x0, #240]",
    "ldr x1, [x0, #8]",
    "ldr x0, [x0]",
    "msr nzcv, x1",
    "1: sub x0, x0, #1",
    "cbnz x0, 1b",
    "ldr x0, [sp, #104]",
    "add x0, x0, #256",
    "str x1, [x0, #8]",
    "generals stp",
    "str x30, [x0, #240]",
    "mrs x1, nzcv",
    "str x1, [x0]",
    "ldp x18, x19, [sp, #16]",
    "ldp x20, x21, [sp, #32]",
    "ldp x22, x23, [sp, #48]",
    "ldp x24, x25, [sp, #64]",
    "ldp x26, x27, [sp, #80]",
    "ldp x28, x0, [sp, #96]",
    "ldp x29, x30, [sp], #112",
    "ret",
    ".globl petrel_storm_vectors",
    "petrel_storm_vectors:",
    "stp d8, d9, [sp, #-64]!",
    "stp d10, d11, [sp, #16]",
    "stp d12, d13, [sp, #32]",
    "stp d14, d15, [sp, #48]",
    "mov x6, x0",
    "vectors ldp",
    "ldr x4, [x0, #512]",
    "ldr x5, [x0, #520]",
    "msr fpcr, x4",
    "msr fpsr, x5",
    "mov x4, #0",
    "str x2, [x1]",
    "1: ldr x5, [x1]",
    "cmp x5, x2",
    "b.eq 2f",
    "add x4, x4, #1",
    "str x2, [x1]",
    "2: subs x3, x3, #1",
    "b.ne 1b",
    "add x6, x0, #528",
    "vectors stp",
    "add x6, x6, #512",
    "mrs x5, fpcr",
    "mrs x7, fpsr",
    "stp x5, x7, [x6]",
    "msr fpcr, xzr",
    "msr fpsr, xzr",
    "ldp d10, d11, [sp, #16]",
    "ldp d12, d13, [sp, #32]",
    "ldp d14, d15, [sp, #48]",
    "ldp d8, d9, [sp], #64",
    "mov x0, x4",
    "ret",
    ".globl petrel_storm_fresh",
    "petrel_storm_fresh:",
    "mov x6, x0",
    "vectors stp",
    "add x6, x6, #512",
    "mrs x5, fpcr",
    "mrs x7, fpsr",
    "stp x5, x7, [x6]",
    "b 3f",
    ".globl petrel_storm_plain",
    "petrel_storm_plain:",
    "bl petrel_storm_general",
    "mrs x1, tpidr_el0",
    "str x1, [x0, #504]",
    "3: mov x0, #0",
    "mov x8, #{exit}",
    "svc #0",
    "brk #1",
    ".globl petrel_storm_trespass",
    "petrel_storm_trespass:",
    "fmov d0, xzr",
    "b 3b",
    ".globl petrel_storm_paged",
    "petrel_storm_paged:",
    "1: ldr x3, [x0]",
    "eor x4, x0, x2",
    "cmp x3, x4",
    "b.ne 2f",
    "str x4, [x0, #8]",
    "ldr x5, [x0, #8]",
    "cmp x5, x4",
    "b.ne 2f",
    "add x0, x0, #1, lsl #12",
    "subs x1, x1, #1",
    "b.ne 1b",
    "udf #1",
    "2: udf #2",
    "nop",
    ".popsection",
    exit = const rt::syscall::Call::ThreadExit as u64,
);

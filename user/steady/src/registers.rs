//! All registers that a program has, filled, kept for a while, and read back.

/// X0 to X30, V0 to V31, and what must always be 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(crate) struct Registers {
    /// General registers; X0 counts down to 0.
    pub(crate) x: [u64; 31],
    /// `TPIDRRO_EL0`: the kernel keeps things of its own there.
    pub(crate) scratch: u64,
    /// FP and SIMD registers.
    pub(crate) v: [u128; 32],
}

impl Registers {
    /// With values that no other `seed` gives.
    pub(crate) fn of(seed: u64) -> Self {
        let word = |at: u64| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed << 32;
        let mut x = core::array::from_fn(|at| word(at as u64));
        x[0] = 0;
        Self {
            x,
            scratch: 0,
            v: core::array::from_fn(|at| {
                u128::from(word(at as u64 + 100)) << 64 | u128::from(word(at as u64 + 200))
            }),
        }
    }

    /// The registers that are not as in `expected`: X registers, V registers, the scratch register.
    pub(crate) fn differing(&self, expected: &Self) -> (u32, u32, bool) {
        let bits = |wrong: &mut dyn Iterator<Item = bool>| {
            wrong
                .enumerate()
                .fold(0, |bits, (at, wrong)| bits | u32::from(wrong) << at)
        };
        (
            bits(&mut self.x.iter().zip(&expected.x).map(|(a, b)| a != b)),
            bits(&mut self.v.iter().zip(&expected.v).map(|(a, b)| a != b)),
            self.scratch != expected.scratch,
        )
    }
}

/// Has `registers` in all registers while it counts `rounds` down; gives what is in them then.
pub(crate) fn keep(registers: &Registers, rounds: u64) -> Registers {
    let mut found = registers.clone();
    // SAFETY: reads the one and writes the other; keeps what a function must.
    unsafe { steady_keep(registers, &mut found, rounds) };
    found
}

unsafe extern "C" {
    fn steady_keep(registers: &Registers, found: &mut Registers, rounds: u64);
}

core::arch::global_asm!(
    ".globl steady_keep",
    "steady_keep:",
    "sub sp, sp, #192",
    "stp x19, x20, [sp, #32]",
    "stp x21, x22, [sp, #48]",
    "stp x23, x24, [sp, #64]",
    "stp x25, x26, [sp, #80]",
    "stp x27, x28, [sp, #96]",
    "stp x29, x30, [sp, #112]",
    "stp d8, d9, [sp, #128]",
    "stp d10, d11, [sp, #144]",
    "stp d12, d13, [sp, #160]",
    "stp d14, d15, [sp, #176]",
    // Where to, and how long.
    "stp x1, x2, [sp]",
    "add x1, x0, #256",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, \
     25, 26, 27, 28, 29, 30, 31",
    "ldr q\\n, [x1, #(16 * \\n)]",
    ".endr",
    ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, \
     25, 26, 27, 28, 29, 30",
    "ldr x\\n, [x0, #(8 * \\n)]",
    ".endr",
    "ldr x0, [sp, #8]",
    "2: subs x0, x0, #1",
    "b.ne 2b",
    "stp x0, x1, [sp, #16]",
    "ldr x0, [sp]",
    ".irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, \
     26, 27, 28, 29, 30",
    "str x\\n, [x0, #(8 * \\n)]",
    ".endr",
    "ldp x2, x3, [sp, #16]",
    "stp x2, x3, [x0]",
    "mrs x2, tpidrro_el0",
    "str x2, [x0, #248]",
    "add x1, x0, #256",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, \
     25, 26, 27, 28, 29, 30, 31",
    "str q\\n, [x1, #(16 * \\n)]",
    ".endr",
    "ldp x19, x20, [sp, #32]",
    "ldp x21, x22, [sp, #48]",
    "ldp x23, x24, [sp, #64]",
    "ldp x25, x26, [sp, #80]",
    "ldp x27, x28, [sp, #96]",
    "ldp x29, x30, [sp, #112]",
    "ldp d8, d9, [sp, #128]",
    "ldp d10, d11, [sp, #144]",
    "ldp d12, d13, [sp, #160]",
    "ldp d14, d15, [sp, #176]",
    "add sp, sp, #192",
    "ret",
);

const _: () = {
    use core::mem::offset_of;
    assert!(offset_of!(Registers, scratch) == 248 && offset_of!(Registers, v) == 256);
};

//! The first instructions of each CPU.
//!
//! All of this is in the first page of the image, which is also the only page of the identity map. It
//! runs at the physical address until the MMU is on; addresses are therefore taken relative to PC
//! (`adrp`), never absolute, until the jump to the high half.
//!
//! | routine | in | out |
//! |---|---|---|
//! | `petrel_primary` | EL1 or EL2, MMU off, x0 = device tree | `petrel_kmain(device tree, image)`, EL1, MMU on, boot stack |
//! | `petrel_secondary` | EL1 or EL2, MMU off, x0 = `SecondaryStart` | its `start`, EL1, MMU on, its stack |
//! | `petrel_to_el1` | EL1 or EL2, x30 = where to go | EL1h, all masked |
//! | `petrel_mmu_on` | EL1, tables made | MMU and caches on |

use core::arch::global_asm;

/// Attributes of a page (DDI 0487, D8.3.2): valid, memory type 0 of MAIR, inner shareable, accessed.
const PAGE: u64 = 0b11 | 3 << 8 | 1 << 10;
const READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const TABLE: u64 = 0b11;

/// Type 0: normal, write-back. Type 1: device, nGnRE.
const MAIR: u64 = 0x04ff;
/// 39 bits of address space in both halves, 4 KiB pages, walks cacheable and inner shareable, 16-bit
/// ASIDs. The size of physical addresses comes from the CPU.
const TCR: u64 = {
    const HALF: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12;
    HALF | HALF << 16 | 0b10 << 30 | 1 << 36
};
/// MMU and caches on, SP alignment checked; reserved-one bits (DDI 0487, D24.2.176).
const SCTLR: u64 = SCTLR_OFF | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12;
const SCTLR_OFF: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

global_asm!(
    // dst := 64-bit constant
    ".macro petrel_constant dst, value",
    "movz \\dst, #((\\value) & 0xffff)",
    "movk \\dst, #(((\\value) >> 16) & 0xffff), lsl #16",
    "movk \\dst, #(((\\value) >> 32) & 0xffff), lsl #32",
    "movk \\dst, #(((\\value) >> 48) & 0xffff), lsl #48",
    ".endm",
    // Maps the image from \from up to \to with \attributes. x20 = image, x21 = level-3 entries.
    ".macro petrel_map from, to, attributes",
    "adrp x0, \\from",
    "adrp x1, \\to",
    "petrel_constant x2, \\attributes",
    "2: cmp x0, x1",
    "b.hs 3f",
    "sub x3, x0, x20",
    "orr x4, x0, x2",
    "lsr x3, x3, #9",
    "str x4, [x21, x3]",
    "add x0, x0, #0x1000",
    "b 2b",
    "3:",
    ".endm",

    ".section .head.text, \"ax\"",
    // The arm64 Image header (Linux Documentation/arch/arm64/booting).
    ".globl petrel_head",
    "petrel_head:",
    "b petrel_primary",
    ".long 0",
    // Not at the very start of RAM: there QEMU puts its own first instructions.
    ".quad 0x200000",
    ".quad __image_size",
    ".quad 0xa",
    ".quad 0, 0, 0",
    ".ascii \"ARM\\x64\"",
    ".long 0",

    ".globl petrel_primary",
    "petrel_primary:",
    "mov x19, x0",
    "bl petrel_to_el1",
    "adrp x0, __bss_start",
    "adrp x1, __bss_end",
    "1: stp xzr, xzr, [x0], #16",
    "cmp x0, x1",
    "b.lo 1b",
    "adrp x20, petrel_head",
    "adrp x21, petrel_kernel_l3",
    // The text is still writable: the mask slots are patched before it is sealed.
    "petrel_map petrel_head, __text_end, {text}",
    "petrel_map __text_end, __rodata_end, {rodata}",
    "petrel_map __rodata_end, __image_end, {data}",
    // No stack runs into what lies below it.
    "adrp x0, __boot_guard",
    "sub x0, x0, x20",
    "lsr x0, x0, #9",
    "str xzr, [x21, x0]",
    // Level 2 and 1 of the image.
    "adrp x1, petrel_kernel_l2",
    "orr x2, x21, #{table}",
    "str x2, [x1]",
    "add x2, x2, #0x1000",
    "str x2, [x1, #8]",
    "adrp x0, petrel_kernel_l1",
    "orr x1, x1, #{table}",
    "str x1, [x0, #(256 * 8)]",
    // The identity map: this page.
    "adrp x0, petrel_identity_l1",
    "adrp x1, petrel_identity_l2",
    "adrp x2, petrel_identity_l3",
    "orr x3, x1, #{table}",
    "ubfx x4, x20, #30, #9",
    "str x3, [x0, x4, lsl #3]",
    "orr x3, x2, #{table}",
    "ubfx x4, x20, #21, #9",
    "str x3, [x1, x4, lsl #3]",
    "petrel_constant x3, {identity}",
    "orr x3, x3, x20",
    "ubfx x4, x20, #12, #9",
    "str x3, [x2, x4, lsl #3]",
    "bl petrel_mmu_on",
    "adr x0, petrel_high",
    "ldr x0, [x0]",
    "br x0",
    ".balign 8",
    "petrel_high: .quad petrel_primary_high",
    "petrel_stack: .quad __boot_stack_top",

    "petrel_primary_high:",
    "adr x0, petrel_stack",
    "ldr x0, [x0]",
    "mov sp, x0",
    "mov x0, x19",
    "mov x1, x20",
    "mov x29, xzr",
    "mov x30, xzr",
    "b petrel_kmain",

    ".globl petrel_secondary",
    "petrel_secondary:",
    "mov x19, x0",
    "bl petrel_to_el1",
    "bl petrel_mmu_on",
    "adr x0, 1f",
    "ldr x0, [x0]",
    "br x0",
    ".balign 8",
    "1: .quad petrel_secondary_high",
    "petrel_secondary_high:",
    "ldp x1, x2, [x19]",
    "ldr x3, [x19, #16]",
    "mov sp, x1",
    "msr tpidr_el1, x2",
    "mov x0, x19",
    "mov x29, xzr",
    "mov x30, xzr",
    "br x3",

    // Goes to x30 at EL1h with everything masked, from EL1 or EL2. From EL3 there is no way down that
    // the boot protocol permits: the CPU waits for ever.
    "petrel_to_el1:",
    "msr daifset, #0xf",
    "petrel_constant x1, {sctlr_off}",
    "mrs x0, CurrentEL",
    "lsr x0, x0, #2",
    "cmp x0, #2",
    "b.eq 1f",
    "b.hi 3f",
    "msr spsel, #1",
    "msr sctlr_el1, x1",
    "isb",
    // Vectors save PMR: its register is there from the first exception on, if it ever is.
    "mrs x0, id_aa64pfr0_el1",
    "ubfx x0, x0, #24, #4",
    "cbz x0, 4f",
    "mrs x0, icc_sre_el1",
    "orr x0, x0, #1",
    "msr icc_sre_el1, x0",
    "isb",
    "4: ret",
    // EL2: EL1 is AArch64, nothing traps, counters are its own.
    "1: mov x0, #(1 << 31)",
    "msr hcr_el2, x0",
    "isb",
    "mov x0, #3",
    "msr cnthctl_el2, x0",
    "msr cntvoff_el2, xzr",
    "mov x0, #0x33ff",
    "msr cptr_el2, x0",
    "msr hstr_el2, xzr",
    "msr vttbr_el2, xzr",
    "mrs x0, midr_el1",
    "msr vpidr_el2, x0",
    "mrs x0, mpidr_el1",
    "msr vmpidr_el2, x0",
    // All counters are EL1's, if there is a PMU.
    "mov x0, xzr",
    "mrs x2, id_aa64dfr0_el1",
    "ubfx x2, x2, #8, #4",
    "cbz x2, 5f",
    "cmp x2, #0xf",
    "b.eq 5f",
    "mrs x0, pmcr_el0",
    "ubfx x0, x0, #11, #5",
    "5: msr mdcr_el2, x0",
    // The GIC's system registers, where it has them.
    "mrs x0, id_aa64pfr0_el1",
    "ubfx x0, x0, #24, #4",
    "cbz x0, 2f",
    "mrs x0, icc_sre_el2",
    "orr x0, x0, #0x1",
    "orr x0, x0, #0x8",
    "msr icc_sre_el2, x0",
    "isb",
    "msr ich_hcr_el2, xzr",
    "2: msr sctlr_el1, x1",
    "mov x0, #0x3c5",
    "msr spsr_el2, x0",
    "msr elr_el2, x30",
    "eret",
    "3: wfi",
    "b 3b",

    // Turns the MMU on with the tables made by the primary.
    "petrel_mmu_on:",
    "petrel_constant x0, {mair}",
    "msr mair_el1, x0",
    "petrel_constant x0, {tcr}",
    "mrs x1, id_aa64mmfr0_el1",
    "and x1, x1, #0xf",
    "mov x2, #5",
    "cmp x1, x2",
    "csel x1, x1, x2, lo",
    "bfi x0, x1, #32, #3",
    "msr tcr_el1, x0",
    "adrp x0, petrel_identity_l1",
    "msr ttbr0_el1, x0",
    "adrp x0, petrel_kernel_l1",
    "msr ttbr1_el1, x0",
    "dsb sy",
    "isb",
    "tlbi vmalle1",
    "dsb nsh",
    "ic iallu",
    "dsb nsh",
    "isb",
    "petrel_constant x0, {sctlr}",
    "msr sctlr_el1, x0",
    "isb",
    "ret",

    ".section .bss.page_tables, \"aw\", %nobits",
    ".balign 4096",
    ".globl petrel_kernel_l1",
    "petrel_kernel_l1: .skip 4096",
    "petrel_kernel_l2: .skip 4096",
    ".globl petrel_kernel_l3",
    "petrel_kernel_l3: .skip 8192",
    "petrel_identity_l1: .skip 4096",
    "petrel_identity_l2: .skip 4096",
    "petrel_identity_l3: .skip 4096",
    ".globl petrel_table_pool",
    "petrel_table_pool: .skip {pool}",
    ".text",
    text = const PAGE | UXN,
    rodata = const PAGE | READ_ONLY | PXN | UXN,
    data = const PAGE | PXN | UXN,
    identity = const PAGE | READ_ONLY | UXN,
    table = const TABLE,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    sctlr_off = const SCTLR_OFF,
    pool = const super::POOL_TABLES * 4096,
);

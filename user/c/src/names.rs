//! The names that C programs expect, for those that do not bring them: weak, each a jump to ours.

core::arch::global_asm!(
    ".macro petrel_weak name, target",
    "    .weak \\name",
    "    .type \\name, %function",
    "\\name:",
    "    b \\target",
    "    .size \\name, . - \\name",
    ".endm",
    ".text",
    "petrel_weak malloc, petrel_malloc",
    "petrel_weak calloc, petrel_calloc",
    "petrel_weak realloc, petrel_realloc",
    "petrel_weak free, petrel_free",
    "petrel_weak printf, petrel_printf",
    "petrel_weak snprintf, petrel_snprintf",
    "petrel_weak putchar, petrel_putchar",
    "petrel_weak puts, petrel_puts",
    "petrel_weak exit, petrel_exit",
    "petrel_weak strcmp, petrel_strcmp",
    "petrel_weak strncmp, petrel_strncmp",
    "petrel_weak strchr, petrel_strchr",
);

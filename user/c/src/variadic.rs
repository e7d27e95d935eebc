//! How C passes arguments that its declaration does not name.
//!
//! Such a function gets the first arguments in `x0` to `x7` and `d0` to `d7` and the rest on the stack,
//! as any other, and cannot know how many of which there are. So the callee stores all the
//! registers behind each other and walks over them, one cursor for each kind, and then over the
//! stack. `va_list` is these cursors (Procedure Call Standard for the Arm 64-bit Architecture,
//! appendix B). Stable Rust cannot write such a callee; the four lines that store the registers
//! are assembly here, and hand a `va_list` to a function that takes one.

use core::ffi::c_void;

use crate::format::Arguments;

/// `va_list`.
#[repr(C)]
pub struct VaList {
    /// The next argument on the stack.
    stack: *const c_void,
    /// The end of the stored `x` registers.
    general_end: *const c_void,
    /// The end of the stored `q` registers.
    vector_end: *const c_void,
    /// From there to the next one: negative, or none is left.
    general_offset: i32,
    /// The same.
    vector_offset: i32,
}

impl VaList {
    /// The next argument on the stack, where each takes 8 bytes.
    fn on_stack(&mut self) -> u64 {
        let at = self.stack.cast::<u64>();
        // SAFETY: whoever made the list says that there is an argument; that is C's contract.
        unsafe {
            self.stack = at.add(1).cast();
            at.read()
        }
    }
}

/// The next register of a kind, if one is left.
///
/// # Safety
/// `end` and `offset` are those of a `va_list`.
unsafe fn in_register(end: *const c_void, offset: &mut i32, stride: i32) -> Option<u64> {
    if *offset >= 0 {
        return None;
    }
    // SAFETY: a negative offset is that of a stored register.
    let value = unsafe { end.byte_offset(*offset as isize).cast::<u64>().read() };
    *offset += stride;
    Some(value)
}

impl Arguments for VaList {
    fn integer(&mut self) -> u64 {
        // SAFETY: the list's own.
        let register = unsafe { in_register(self.general_end, &mut self.general_offset, 8) };
        register.unwrap_or_else(|| self.on_stack())
    }

    fn double(&mut self) -> f64 {
        // SAFETY: the list's own.
        let register = unsafe { in_register(self.vector_end, &mut self.vector_offset, 16) };
        f64::from_bits(register.unwrap_or_else(|| self.on_stack()))
    }
}

const _: () = assert!(size_of::<VaList>() == 32);

// In:  arguments as C passes them, `named` of which are integers that the callee names.
// Out: tail calls nothing; calls \target with the named ones and a pointer to a `va_list` behind.
// Frame, from SP: x29, x30; the va_list; x0 to x7; q0 to q7.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".macro petrel_variadic name, named, target",
    "    .globl \\name",
    "    .type \\name, %function",
    "\\name:",
    "    sub sp, sp, #240",
    "    stp x29, x30, [sp]",
    "    mov x29, sp",
    "    stp x0, x1, [sp, #48]",
    "    stp x2, x3, [sp, #64]",
    "    stp x4, x5, [sp, #80]",
    "    stp x6, x7, [sp, #96]",
    "    stp q0, q1, [sp, #112]",
    "    stp q2, q3, [sp, #144]",
    "    stp q4, q5, [sp, #176]",
    "    stp q6, q7, [sp, #208]",
    "    add x9, sp, #240",
    "    add x10, sp, #112",
    "    mov w11, #(8 * (\\named - 8))",
    "    mov w12, #-128",
    "    str x9, [sp, #16]",
    "    stp x10, x9, [sp, #24]",
    "    stp w11, w12, [sp, #40]",
    "    add x\\named, sp, #16",
    "    bl \\target",
    "    ldp x29, x30, [sp]",
    "    add sp, sp, #240",
    "    ret",
    "    .size \\name, . - \\name",
    ".endm",
    ".text",
    "petrel_variadic petrel_printf, 1, petrel_vprintf",
    "petrel_variadic petrel_snprintf, 3, petrel_vsnprintf",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_come_first_then_the_stack() {
        let general: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
        let vector: [[u64; 2]; 8] = core::array::from_fn(|n| [(n as f64).to_bits(), !0]);
        let stack: [u64; 3] = [100, 8.5f64.to_bits(), 101];
        let mut list = VaList {
            stack: stack.as_ptr().cast(),
            general_end: general.as_ptr_range().end.cast(),
            vector_end: vector.as_ptr_range().end.cast(),
            general_offset: 8 * (3 - 8),
            vector_offset: -128,
        };
        let integers: Vec<u64> = (0..5).map(|_| list.integer()).collect();
        let doubles: Vec<f64> = (0..8).map(|_| list.double()).collect();
        assert_eq!(integers, [3, 4, 5, 6, 7]);
        assert_eq!(doubles, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(list.integer(), 100);
        assert_eq!(list.double(), 8.5);
        assert_eq!(list.integer(), 101);
    }
}

//! Start-up: from the start page to `main`.

use core::ffi::{c_char, c_int};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use abi::handle::Handle;
use abi::start::{Grant, StartHeader};

use crate::{call, output};

/// The start page; null before the start.
static PAGE: AtomicPtr<StartHeader> = AtomicPtr::new(ptr::null_mut());
/// This process's own handle.
static PROCESS: AtomicU32 = AtomicU32::new(Handle::NONE.0);

/// This process.
pub(crate) fn process() -> Handle {
    Handle(PROCESS.load(Ordering::Relaxed))
}

/// What the process was granted.
fn grants() -> &'static [Grant] {
    let page = PAGE.load(Ordering::Relaxed);
    if page.is_null() {
        return &[];
    }
    // SAFETY: whoever made the process says that so many grants follow the header, and nobody
    // changes them.
    unsafe {
        let count = (*page).grants as usize;
        core::slice::from_raw_parts(page.add(1).cast(), count)
    }
}

/// The grant of that name.
pub(crate) fn granted(name: &[u8]) -> Option<&'static Grant> {
    let is_it = |grant: &&Grant| {
        let end = grant.name.iter().position(|byte| *byte == 0);
        &grant.name[..end.unwrap_or(grant.name.len())] == name
    };
    grants().iter().find(is_it)
}

/// The handle that was granted under that name, or none.
///
/// # Safety
/// `name` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_granted(name: *const c_char) -> u32 {
    // SAFETY: as the caller promised.
    let name = unsafe { core::ffi::CStr::from_ptr(name) };
    granted(name.to_bytes()).map_or(Handle::NONE.0, |grant| grant.handle)
}

/// What goes with it, or 0.
///
/// # Safety
/// `name` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_granted_detail(name: *const c_char) -> u32 {
    // SAFETY: as the caller promised.
    let name = unsafe { core::ffi::CStr::from_ptr(name) };
    granted(name.to_bytes()).map_or(0, |grant| grant.detail)
}

/// `exit`.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_exit(status: c_int) -> ! {
    output::petrel_flush();
    call::exit_process((status as u32).into())
}

// The first instruction: x0 = the start page, SP = the top of the stack. There is no frame above.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".section .text.petrel_start, \"ax\"",
    ".globl _start",
    ".type _start, %function",
    "_start:",
    "    mov x29, xzr",
    "    mov x30, xzr",
    "    bl {begin}",
    "    brk #0",
    ".size _start, . - _start",
    begin = sym target::begin,
);

#[cfg(target_os = "none")]
mod target {
    use super::*;
    use crate::panic::give_up;
    use crate::{memory, thread};

    unsafe extern "C" {
        fn main(count: c_int, arguments: *mut *mut c_char) -> c_int;
    }

    /// Runs the program.
    pub(super) extern "C" fn begin(page: *mut StartHeader) -> ! {
        PAGE.store(page, Ordering::Relaxed);
        // SAFETY: the page is mapped; its first word says whether it is one.
        if page.is_null() || unsafe { (*page).magic } != abi::start::MAGIC {
            give_up("libpetrel: no start page");
        }
        if let Some(process) = granted(b"process") {
            PROCESS.store(process.handle, Ordering::Relaxed);
        }
        thread::begin_first();
        let (count, arguments) = arguments();
        // SAFETY: the program's own; it gets what C says it gets.
        let status = unsafe { main(count, arguments) };
        petrel_exit(status)
    }

    /// The arguments: a copy of the strings, which the program may change, behind pointers to them
    /// and a null pointer.
    fn arguments() -> (c_int, *mut *mut c_char) {
        // SAFETY: the page was found to be one.
        let header = unsafe { &*PAGE.load(Ordering::Relaxed) };
        let count = header.arguments as usize;
        let bytes = header.argument_bytes as usize;
        let pointers = (count + 1) * size_of::<*mut c_char>();
        let memory = memory::petrel_malloc(pointers + bytes + 1);
        if memory.is_null() {
            give_up("libpetrel: no memory for the arguments");
        }
        let list = memory.cast::<*mut c_char>();
        // SAFETY: the strings lie behind the grants, as the header says, and the memory has room
        // for the pointers, the strings, and a zero byte behind them.
        unsafe {
            let strings = grants().as_ptr_range().end.cast::<u8>();
            let copy = memory.cast::<u8>().add(pointers);
            ptr::copy_nonoverlapping(strings, copy, bytes);
            *copy.add(bytes) = 0;
            let mut at = 0;
            for index in 0..count {
                *list.add(index) = copy.add(at.min(bytes)).cast();
                while at < bytes && *copy.add(at) != 0 {
                    at += 1;
                }
                at += 1;
            }
            *list.add(count) = ptr::null_mut();
        }
        (count as c_int, list)
    }
}

//! Start-up: from the run-time's start to `main`, and what the process was given.

use core::ffi::{CStr, c_char, c_int};

use rt::abi::handle::Handle;
use rt::abi::start::Grant;

use crate::output;

/// The grant of that name.
///
/// # Safety
/// `name` ends with a zero byte.
unsafe fn grant(name: *const c_char) -> Option<Grant> {
    // SAFETY: as the caller promised.
    let name = unsafe { CStr::from_ptr(name) };
    rt::start::page().grant(name.to_str().ok()?)
}

/// The handle that was granted under that name, or none.
///
/// # Safety
/// `name` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_granted(name: *const c_char) -> u32 {
    // SAFETY: as the caller promised.
    unsafe { grant(name) }.map_or(Handle::NONE.0, |grant| grant.handle)
}

/// What goes with it, or 0.
///
/// # Safety
/// `name` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_granted_detail(name: *const c_char) -> u32 {
    // SAFETY: as the caller promised.
    unsafe { grant(name) }.map_or(0, |grant| grant.detail)
}

/// `exit`.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_exit(status: c_int) -> ! {
    output::petrel_flush();
    rt::exit((status as u32).into())
}

#[cfg(target_os = "none")]
mod target {
    use alloc::vec::Vec;
    use core::convert::Infallible;

    use super::*;
    use crate::thread;

    rt::entry!(begin);

    unsafe extern "C" {
        fn main(count: c_int, arguments: *mut *mut c_char) -> c_int;
    }

    /// Runs the program. It gets copies of its arguments, which it may change, and a null pointer behind
    /// the pointers to them.
    fn begin() -> Infallible {
        let mut arguments: Vec<*mut c_char> = Vec::new();
        for argument in rt::start::arguments() {
            let copy: Vec<u8> = argument.bytes().chain([0]).collect();
            arguments.push(copy.leak().as_mut_ptr().cast());
        }
        let count = arguments.len() as c_int;
        arguments.push(core::ptr::null_mut());
        let status = thread::with_locals(|| {
            // SAFETY: the program's own; it gets what C says it gets.
            unsafe { main(count, arguments.leak().as_mut_ptr()) }
        });
        petrel_exit(status)
    }
}

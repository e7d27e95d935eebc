//! Files: of the init image, or of another file service by its name.
//!
//! A path of the form `name:path` is asked of the service `name`; any other of the usual one. Each open
//! file keeps a session; a program that opens many shares it, by being Rust.

use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_void};

use rt::service::Error;
use rt::service::files::{File, Files, NAME};

use crate::status;

/// Opens a file.
///
/// # Safety
/// `path` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_file_open(path: *const c_char, file: &mut *mut File) -> u64 {
    // SAFETY: as the caller promised.
    let path = unsafe { CStr::from_ptr(path) };
    let opened = path.to_str().map_err(|_| Error::BadName).and_then(open);
    status::give(opened.map(|file| Box::into_raw(Box::new(file))), Some(file))
}

fn open(path: &str) -> Result<File, Error> {
    let (service, path) = path.split_once(':').unwrap_or((NAME, path));
    Files::connect(service)?.open(path)
}

/// Bytes it had when it was opened.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_file_size(file: &File) -> u64 {
    file.size()
}

/// Reads from `offset` on; `bytes` says how much: less than there is room for only at the file's end.
///
/// # Safety
/// There are `room` bytes at `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_file_read(
    file: &File,
    offset: u64,
    to: *mut c_void,
    room: usize,
    bytes: Option<&mut usize>,
) -> u64 {
    if room == 0 {
        return status::give(Ok::<_, Error>(0), bytes);
    }
    // SAFETY: as the caller promised.
    let to = unsafe { core::slice::from_raw_parts_mut(to.cast(), room) };
    status::give(file.read_at(offset, to), bytes)
}

/// Writes at `offset`; `bytes` says how much: less only when there is no more room.
///
/// # Safety
/// There are `count` bytes at `from`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_file_write(
    file: &File,
    offset: u64,
    from: *const c_void,
    count: usize,
    bytes: Option<&mut usize>,
) -> u64 {
    if count == 0 {
        return status::give(Ok::<_, Error>(0), bytes);
    }
    // SAFETY: as the caller promised.
    let from = unsafe { core::slice::from_raw_parts(from.cast(), count) };
    status::give(file.write_at(offset, from), bytes)
}

/// Closes it.
///
/// # Safety
/// It is null, or was opened and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_file_close(file: *mut File) {
    if !file.is_null() {
        // SAFETY: `petrel_file_open` made it from a box.
        drop(unsafe { Box::from_raw(file) });
    }
}

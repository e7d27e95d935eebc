//! Output and input: lines, to whoever takes them.
//!
//! What is printed is kept until a line is whole, so that lines of several threads and programs do
//! not mix, and then goes where the run-time prints to: the console, or the kernel's log.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;

use rt::service::console::Console;
use rt::sync::Mutex;
use rt::time::Deadline;

use crate::format::{self, Sink};
use crate::status;
use crate::variadic::VaList;

/// Bytes of a line at most; longer ones are written in pieces. What the kernel's log takes at once.
const LINE_BYTES: usize = 200;

/// The line that is being printed.
struct Line {
    bytes: [u8; LINE_BYTES],
    used: usize,
}

static LINE: Mutex<Line> = Mutex::new(Line {
    bytes: [0; LINE_BYTES],
    used: 0,
});

impl Sink for Line {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[self.used] = *byte;
            self.used += 1;
            if *byte == b'\n' || self.used == LINE_BYTES {
                self.flush();
            }
        }
    }
}

impl Line {
    /// Writes out what there is.
    fn flush(&mut self) {
        rt::print::write(&self.bytes[..self.used]);
        self.used = 0;
    }
}

/// Memory of limited room.
struct Room {
    at: *mut u8,
    left: usize,
}

impl Sink for Room {
    fn write(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.left);
        // SAFETY: whoever made the room says that it has so many bytes.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.at, fits);
            self.at = self.at.add(fits);
        }
        self.left -= fits;
    }
}

/// Prints bytes.
///
/// # Safety
/// There are so many bytes at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_write(text: *const c_void, bytes: usize) {
    if bytes > 0 {
        // SAFETY: as the caller promised.
        LINE.lock()
            .write(unsafe { core::slice::from_raw_parts(text.cast(), bytes) });
    }
}

/// Prints a character, and returns it.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_putchar(character: c_int) -> c_int {
    LINE.lock().write(&[character as u8]);
    (character as u8).into()
}

/// Prints a line.
///
/// # Safety
/// `text` ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_puts(text: *const c_char) -> c_int {
    // SAFETY: as the caller promised.
    let text = unsafe { core::ffi::CStr::from_ptr(text) }.to_bytes();
    let mut line = LINE.lock();
    line.write(text);
    line.write(b"\n");
    0
}

/// Writes out what was printed since the last line's end.
#[unsafe(no_mangle)]
pub extern "C" fn petrel_flush() {
    LINE.lock().flush();
}

/// `vprintf`.
///
/// # Safety
/// `format` ends with a zero byte, and the arguments are what it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_vprintf(format: *const c_char, arguments: &mut VaList) -> c_int {
    // SAFETY: as the caller promised.
    (unsafe { format::print(&mut *LINE.lock(), format, arguments) }) as c_int
}

/// `vsnprintf`.
///
/// # Safety
/// As for [`petrel_vprintf`]; there are `room` bytes at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_vsnprintf(
    text: *mut c_char,
    room: usize,
    format: *const c_char,
    arguments: &mut VaList,
) -> c_int {
    let mut out = Room {
        at: text.cast(),
        left: room.saturating_sub(1),
    };
    // SAFETY: as the caller promised.
    let bytes = unsafe { format::print(&mut out, format, arguments) };
    if room > 0 {
        // SAFETY: a byte was kept for it.
        unsafe { *out.at = 0 };
    }
    bytes as c_int
}

/// Waits for bytes from the console, until `deadline`; `bytes` says how many there were.
///
/// # Safety
/// There are `room` bytes at `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn petrel_console_input(
    text: *mut c_void,
    room: usize,
    deadline: u64,
    bytes: Option<&mut usize>,
) -> u64 {
    let deadline = Deadline::at(rt::time::Instant::from_ticks(deadline));
    let text = match room {
        0 => &mut [][..],
        // SAFETY: as the caller promised.
        _ => unsafe { core::slice::from_raw_parts_mut(text.cast(), room) },
    };
    let read = Console::connect().and_then(|console| console.read(text, deadline));
    status::give(read, bytes)
}

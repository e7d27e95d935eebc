//! `print!` and `println!`.
//!
//! Text goes to the console service if this process was given one or may look it up, otherwise to the
//! kernel's log, line by line. So the same program prints before there is a console, while it is being
//! restarted, and when there never is one. Nothing here allocates: a panic for want of memory is
//! printed, too.

use core::fmt::Write;

use crate::service::console;
use crate::sync::Mutex;
use crate::syscall::{Call, plain};

/// Prints text.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print::print(::core::format_args!($($argument)*)) };
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    () => { $crate::print::print(::core::format_args!("\n")) };
    ($($argument:tt)*) => { $crate::print::print(::core::format_args!("{}\n", ::core::format_args!($($argument)*))) };
}

/// Prints a line into the kernel's log, whatever console there is.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::print::log(::core::format_args!($($argument)*)) };
}

/// The longest line that the kernel's log takes.
const LINE_BYTES: usize = 200;

static OUT: Mutex<Out> = Mutex::new(Out {
    line: [0; LINE_BYTES],
    length: 0,
});

/// What `print!` calls.
pub fn print(text: core::fmt::Arguments<'_>) {
    let mut out = OUT.lock();
    let _ = out.write_fmt(text);
    out.flush();
}

/// Prints bytes as they are.
pub fn write(bytes: &[u8]) {
    let mut out = OUT.lock();
    out.bytes(bytes);
    out.flush();
}

/// What `log!` calls. A line longer than 200 bytes is several.
pub fn log(text: core::fmt::Arguments<'_>) {
    let mut line = Log {
        line: [0; LINE_BYTES],
        length: 0,
    };
    let _ = line.write_fmt(text);
    line.end();
}

/// Text on its way out: gathered, so that a formatted line is few messages and not many.
struct Out {
    line: [u8; LINE_BYTES],
    length: usize,
}

impl Out {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.length == self.line.len() {
                self.flush();
            }
            self.line[self.length] = *byte;
            self.length += 1;
        }
    }

    fn flush(&mut self) {
        let text = &self.line[..self.length];
        if !text.is_empty() && !console::write_if_any(text) {
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                debug_write(line.strip_suffix(b"\n").unwrap_or(line));
            }
        }
        self.length = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

struct Log {
    line: [u8; LINE_BYTES],
    length: usize,
}

impl Log {
    fn end(&mut self) {
        debug_write(&self.line[..self.length]);
        self.length = 0;
    }
}

impl Write for Log {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' || self.length == self.line.len() {
                self.end();
            }
            if byte != b'\n' {
                self.line[self.length] = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

fn debug_write(line: &[u8]) {
    // SAFETY: the kernel reads the line.
    let _ = unsafe { plain(Call::DebugWrite, [line.as_ptr() as u64, line.len() as u64]) };
}

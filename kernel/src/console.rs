//! Output: lines from any context, printed by whoever can.
//!
//! [`say!`](crate::say) and the `log` facade write into one ring (`cpu::lines`) and then drain it to the
//! UART. An NMI handler only writes: the ring is drained for it by a self-SGI.

use crate::{deferred, semihosting, smp};
use core::ffi::CStr;
use core::fmt;
use cpu::guard::PreemptGuard;
use cpu::hw::local;
use cpu::lines::{LINE_BYTES, Lines};
use drivers::pl011::Pl011;
use log::{Level, LevelFilter, Metadata, Record};
use spin::Once;

static LINES: Lines<512> = Lines::new();
static UART: Once<Pl011> = Once::new();

/// Prints one line, formatted as by `println!`. Any context.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::console::line(format_args!($($part)*))
    };
}

/// Gives output its UART. Until then it goes to semihosting.
pub(crate) fn set_uart(uart: Pl011) {
    UART.call_once(|| uart);
}

/// Writes one line, and drains if this context may.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    // Not preempted in the middle: the line, or the drain, would hold up all others.
    let _stays = PreemptGuard::new();
    LINES.write(text);
    if local::thread().preempt.in_nmi::<cpu::cell::NoSteps>() {
        deferred::raise(deferred::Work::DRAIN_CONSOLE);
    } else {
        drain();
    }
}

/// How many lines were ever lost because the ring was full.
pub(crate) fn lost_lines() -> u64 {
    LINES.lost_ever()
}

/// Prints what has been written, unless somebody is at it.
pub(crate) fn drain() {
    let _stays = PreemptGuard::new();
    LINES.drain(print);
}

/// Keeps all others from printing; gives up after a while, since this CPU may be the one that is at it.
pub(crate) fn seize() {
    for _ in 0..1_000_000 {
        if LINES.try_hold() {
            return;
        }
        smp::spin();
    }
}

/// Prints what has been written, when all other CPUs have stopped.
pub(crate) fn drain_after_stop() {
    LINES.drain_rest(print);
}

fn print(line: &[u8]) {
    match UART.get() {
        Some(uart) => {
            for byte in line {
                uart.write_byte(*byte);
            }
            uart.write_byte(b'\r');
            uart.write_byte(b'\n');
        }
        None => {
            let mut text = [0; LINE_BYTES + 2];
            text[..line.len()].copy_from_slice(line);
            text[line.len()] = b'\n';
            if let Ok(text) = CStr::from_bytes_until_nul(&text) {
                semihosting::print(text);
            }
        }
    }
}

struct Logger;

static LOGGER: Logger = Logger;

/// Connects the `log` facade.
pub(crate) fn init_log() {
    // Fails only if done twice.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Info);
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            Level::Error | Level::Warn => {
                say!(
                    "{}: {}",
                    if record.level() == Level::Error {
                        "error"
                    } else {
                        "warning"
                    },
                    record.args()
                );
            }
            Level::Info => say!("{}", record.args()),
            Level::Debug | Level::Trace => {
                say!("[{}] {}", record.target(), record.args());
            }
        }
    }

    fn flush(&self) {
        drain();
    }
}

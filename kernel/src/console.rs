//! Output: lines from any context, printed by whoever can.
//!
//! [`say!`](crate::say) and the `log` facade write into one ring (`cpu::lines`) and then drain it to the
//! UART. An NMI handler only writes: the ring is drained for it by a self-SGI.
//!
//! When a driver at EL0 takes the console, the kernel unmaps the UART's registers: from then on nothing
//! in it can touch them. Lines wait in the ring until the driver reads them, and a notification tells
//! it that there are some. It is signalled by the self-SGI always: `say!` may stand where locks are
//! held that a wake-up needs. If the driver dies, lines wait, and another may take the console; what
//! does not fit into the ring is counted and said. At a panic, and at the verdict, when all others
//! have stopped, the kernel maps the registers again and prints what nobody has read.

use crate::mm::{device, table};
use crate::object::{Notification, Ref};
use crate::{clock, deferred, semihosting, smp, thread};
use abi::error::Error;
use core::ffi::CStr;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use core::time::Duration;
use cpu::guard::PreemptGuard;
use cpu::hw::local;
use cpu::lines::{LINE_BYTES, Lines};
use cpu::lock::{Irq, Lock, Nmi};
use drivers::pl011::{LineSpeed, Pl011};
use log::{Level, LevelFilter, Metadata, Record};
use spin::Once;

static LINES: Lines<512> = Lines::new();
static UART: Once<Uart> = Once::new();
/// A driver has the UART. Changed by the ring's drainer only, so that nobody prints meanwhile.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whom to tell that there are lines to read.
static READER: Lock<Option<(Ref<Notification>, u64)>, Irq> = Lock::new(None);
/// The line that is being read.
static READING: Lock<Reading, Nmi> = Lock::new(Reading {
    text: [0; LINE_BYTES + 1],
    at: 0,
    end: 0,
});

/// Where the kernel's UART is.
struct Uart {
    driver: Pl011,
    base: NonNull<u8>,
    bytes: u64,
    /// Its first page, as long as it is not mapped.
    unmapped_pa: AtomicU64,
}

// SAFETY: the address is that of the registers, which the driver is `Send` with.
unsafe impl Send for Uart {}
// SAFETY: as above.
unsafe impl Sync for Uart {}

/// A line, with its end, of which a part may have been read.
struct Reading {
    text: [u8; LINE_BYTES + 1],
    at: usize,
    end: usize,
}

/// The CPU that prints at this moment.
static AT_IT: AtomicU32 = AtomicU32::new(NOBODY);
/// None; before there are CPUs, the only one.
const NOBODY: u32 = u32::MAX;
/// How long the end of the machine waits for a CPU that prints.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints one line, formatted as by `println!`. Any context.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::console::line(format_args!($($part)*))
    };
}

/// Gives output its UART, whose registers are at `base`. Until then it goes to semihosting.
///
/// # Safety
/// A PL011's registers are mapped there, `bytes` long.
pub(crate) unsafe fn set_uart(base: NonNull<u8>, bytes: u64) {
    UART.call_once(|| Uart {
        // SAFETY: the caller's promise; from `take` to `take_back` it is not used.
        driver: unsafe { Pl011::new(base) },
        base,
        bytes,
        unmapped_pa: AtomicU64::new(0),
    });
}

/// Writes one line, and drains if this context may.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    // Not preempted in the middle: the line, or the drain, would hold up all others.
    let _stays = PreemptGuard::new();
    LINES.write(text);
    if is_taken() || local::thread().preempt.in_nmi::<cpu::cell::NoSteps>() {
        deferred::raise(deferred::Work::DRAIN_CONSOLE);
    } else {
        drain();
    }
}

/// How many lines were ever lost because the ring was full.
pub(crate) fn lost_lines() -> u64 {
    LINES.lost_ever()
}

/// Prints what has been written, unless somebody is at it, or a driver has the UART.
pub(crate) fn drain() {
    let _stays = PreemptGuard::new();
    while !is_taken() && LINES.has_any() {
        let Some(mut drainer) = LINES.drainer() else {
            return;
        };
        AT_IT.store(here(), SeqCst);
        // It may have been taken just before.
        while !is_taken() && drainer.next(print) {}
        AT_IT.store(NOBODY, SeqCst);
    }
}

/// Prints what has been written, or tells the driver. In the handler of the self-SGI: no lock is held
/// on this CPU.
pub(crate) fn drain_or_tell() {
    drain();
    if is_taken()
        && LINES.has_any()
        && let Some((notification, bits)) = &*READER.lock()
    {
        notification.signal(*bits);
    }
}

/// Whether a driver has the UART, or had it and died.
pub(crate) fn is_taken() -> bool {
    TAKEN.load(SeqCst)
}

/// Whether the kernel can reach the UART's registers.
pub(crate) fn is_mapped() -> bool {
    UART.get()
        .is_some_and(|uart| table::is_mapped(uart.base.as_ptr() as u64))
}

/// Hands the UART over, and with it the kernel's lines: `notification` is signalled with `bits` when there
/// are some to [`read`]. Whoever had it before is told no more. `Process`.
///
/// # Errors
/// [`Error::BadArgument`]: there are no bits; [`Error::WrongState`]: there is no UART to hand over.
pub(crate) fn take(notification: Ref<Notification>, bits: u64) -> Result<(), Error> {
    if bits == 0 {
        return Err(Error::BadArgument);
    }
    let uart = UART.get().ok_or(Error::WrongState)?;
    unmap(uart)?;
    let old = READER.lock().replace((notification, bits));
    drop(old);
    let _stays = PreemptGuard::new();
    deferred::raise(deferred::Work::DRAIN_CONSOLE);
    Ok(())
}

/// Unmaps the UART, once.
fn unmap(uart: &Uart) -> Result<(), Error> {
    loop {
        let stays = PreemptGuard::new();
        if let Some(drainer) = LINES.drainer() {
            if !TAKEN.load(SeqCst) {
                let pa = device::unmap(uart.base, uart.bytes).ok_or(Error::WrongState)?;
                uart.unmapped_pa.store(pa, Relaxed);
                TAKEN.store(true, SeqCst);
            }
            drop(drainer);
            return Ok(());
        }
        drop(stays);
        thread::relax();
    }
}

/// Forgets whom to tell, if nobody can hear it any more. `Process`.
pub(crate) fn forget_dead_reader() {
    let mut reader = READER.lock();
    let is_gone = |(notification, _): &mut (Ref<Notification>, u64)| notification.lock().is_gone();
    let gone = reader.take_if(is_gone);
    drop(reader);
    drop(gone);
}

/// Takes what has been written, as far as it fits into `into`, each line with a line feed at its end. Gives
/// how many bytes that were: 0 when there is nothing, or when the kernel prints by itself. `Process` or
/// `NoIrq`.
pub(crate) fn read(into: &mut [u8]) -> usize {
    if !is_taken() {
        return 0;
    }
    let mut reading = READING.lock();
    if reading.at == reading.end {
        let Some(mut drainer) = LINES.drainer() else {
            return 0;
        };
        drainer.next(|line| {
            reading.text[..line.len()].copy_from_slice(line);
            reading.text[line.len()] = b'\n';
            (reading.at, reading.end) = (0, line.len() + 1);
        });
    }
    let rest = &reading.text[reading.at..reading.end];
    let length = rest.len().min(into.len());
    into[..length].copy_from_slice(&rest[..length]);
    reading.at += length;
    length
}

/// Keeps all others from printing. Gives up if it is this CPU that is at it, in the middle of a line, or if
/// whoever is does not come to its end: a computer that is busy may stop a CPU for a good while.
pub(crate) fn seize() {
    let began = clock::now();
    while !LINES.try_hold() {
        // In this order: where there is one CPU only, there may be no clock yet.
        if AT_IT.load(SeqCst) == here() || clock::now() - began > clock::ticks(PATIENCE) {
            return;
        }
        smp::spin();
    }
}

/// This CPU, for [`AT_IT`]. For who is not migrated.
fn here() -> u32 {
    smp::try_this().map_or(NOBODY, |cpu| cpu.index() as u32)
}

/// Prints what has been written, when all other CPUs have stopped, on the UART, whoever had it.
pub(crate) fn drain_after_stop() {
    take_back();
    LINES.drain_rest(print);
}

/// Takes the UART back from a driver that has stopped for good.
fn take_back() {
    let Some(uart) = UART.get() else { return };
    if !TAKEN.swap(false, SeqCst) {
        return;
    }
    // SAFETY: all others have stopped.
    unsafe { device::map_again(uart.base, uart.bytes, uart.unmapped_pa.load(Relaxed)) };
    // SAFETY: just mapped again.
    let mut driver = unsafe { Pl011::new(uart.base) };
    // Whatever the driver left. A UART that stays busy is on nevertheless.
    let _ = driver.init(LineSpeed::AsFound);
    // The driver may have been stopped in the middle of a line, its own or one of the kernel's; nobody knows
    // how far it came. What follows begins a line.
    match READING.try_lock() {
        Some(reading) => print(reading.text[reading.at..reading.end].trim_ascii_end()),
        None => print(b""),
    }
}

fn print(line: &[u8]) {
    match UART.get() {
        Some(uart) => {
            for byte in line {
                uart.driver.write_byte(*byte);
            }
            uart.driver.write_byte(b'\r');
            uart.driver.write_byte(b'\n');
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

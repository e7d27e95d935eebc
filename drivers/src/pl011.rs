//! The PL011 UART: the console of QEMU's `virt` and of many Arm boards (DDI 0183).
//!
//! It is where a kernel that has lost everything else still speaks, so this driver depends on
//! nothing: no interrupt, no lock, no clock. The price of that is a loop per byte while the transmit
//! FIFO is full, and the loop has an end: **a dead UART must not hang the kernel**. After one wait
//! without an answer the UART counts as stalled; bytes for a stalled UART are tried once each, and
//! counted as lost, until it moves again.
//!
//! [`Pl011::write_byte`] takes `&self` and may be called in any context, also in the middle of
//! itself: bytes of two callers may then interleave, and in the worst case one is dropped by a FIFO
//! that filled up between the look and the store. Whoever wants whole lines wants a lock, above.
//!
//! The interrupt side is for a console driver: receive interrupts, by FIFO level or by timeout.

use crate::{mmio::Register, wait};
use core::{
    fmt,
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

/// Register offsets in bytes (DDI 0183, 3.2). All registers are used 32 bits wide.
mod offset {
    pub(super) const DATA: usize = 0x00;
    pub(super) const FLAGS: usize = 0x18;
    pub(super) const INTEGER_BAUD: usize = 0x24;
    pub(super) const FRACTIONAL_BAUD: usize = 0x28;
    pub(super) const LINE_CONTROL: usize = 0x2c;
    pub(super) const CONTROL: usize = 0x30;
    pub(super) const FIFO_LEVEL: usize = 0x34;
    pub(super) const INTERRUPT_MASK: usize = 0x38;
    pub(super) const MASKED_STATUS: usize = 0x40;
    pub(super) const INTERRUPT_CLEAR: usize = 0x44;
    pub(super) const DMA_CONTROL: usize = 0x48;
}

/// UARTDR: bits 7:0 data, and with a received byte:
const DATA_FRAMING_PARITY_BREAK: u32 = 0b111 << 8;

const FLAG_BUSY: u32 = 1 << 3;
const FLAG_RECEIVE_EMPTY: u32 = 1 << 4;
const FLAG_TRANSMIT_FULL: u32 = 1 << 5;

const LINE_8N1: u32 = 0b11 << 5;
const LINE_FIFOS: u32 = 1 << 4;

const CONTROL_ENABLE: u32 = 1 << 0;
const CONTROL_TRANSMIT: u32 = 1 << 8;
const CONTROL_RECEIVE: u32 = 1 << 9;
const CONTROL_RTS_DTR: u32 = 0b11 << 10;

/// Receive and transmit interrupts at half full (DDI 0183, UARTIFLS reset value).
const HALF_FULL: u32 = 0b010_010;

/// Longer than any PL011's FIFO: a receiver that still has bytes after so many is broken.
const FIFO_BYTES: usize = 32;

/// Interrupt sources of the UART, as bits of its mask, status and clear registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupts(u32);

impl Interrupts {
    /// No source.
    pub const NONE: Self = Self(0);
    /// The receive FIFO is at its level.
    pub const RECEIVE_LEVEL: Self = Self(1 << 4);
    /// The receive FIFO has something, and for 32 bit times nothing was added.
    pub const RECEIVE_TIMEOUT: Self = Self(1 << 6);
    /// Something was received: both of the above. What a console wants.
    pub const RECEIVE: Self = Self(Self::RECEIVE_LEVEL.0 | Self::RECEIVE_TIMEOUT.0);
    /// The transmit FIFO has fallen to its level.
    pub const TRANSMIT: Self = Self(1 << 5);
    /// All eleven sources.
    pub const ALL: Self = Self(0x7ff);

    /// Whether any of `others` is among these.
    pub const fn any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// What to do about the line speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineSpeed {
    /// What firmware set, or, on QEMU, what does not matter.
    AsFound,
    /// This many bits per second from this clock.
    Set {
        /// UARTCLK, from the device tree, in Hz.
        clock_hz: u32,
        /// The speed, in bits per second.
        bits_per_second: u32,
    },
}

/// Why the UART cannot be used as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pl011Error {
    /// The transmitter stayed busy; the rest of the set-up was done regardless.
    Busy,
    /// The clock cannot be divided to the speed (DDI 0183, 3.3.6: divisors 1 to 65535).
    LineSpeed {
        /// The clock, in Hz.
        clock_hz: u32,
        /// The speed, in bits per second.
        bits_per_second: u32,
    },
}

impl fmt::Display for Pl011Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("PL011: transmitter stays busy"),
            Self::LineSpeed {
                clock_hz,
                bits_per_second,
            } => {
                write!(
                    f,
                    "PL011: cannot make {bits_per_second} bit/s from {clock_hz} Hz"
                )
            }
        }
    }
}

impl core::error::Error for Pl011Error {}

/// A PL011 at some address.
pub struct Pl011 {
    base: NonNull<u8>,
    stalled: AtomicBool,
    bytes_lost: AtomicU32,
}

// SAFETY: the device may be accessed from any CPU; every operation is single register accesses,
// any order of which the device accepts.
unsafe impl Send for Pl011 {}
// SAFETY: as above; the driver's own state is atomic.
unsafe impl Sync for Pl011 {}

impl Pl011 {
    /// The UART whose registers are mapped at `base`, as firmware left it: usable for output at
    /// once if firmware used it.
    ///
    /// # Safety
    ///
    /// `base` is a PL011's 4 KiB of registers mapped as Device memory for as long as the value is
    /// used.
    pub const unsafe fn new(base: NonNull<u8>) -> Self {
        Self {
            base,
            stalled: AtomicBool::new(false),
            bytes_lost: AtomicU32::new(0),
        }
    }

    /// Sets up 8 data bits, no parity, one stop bit, FIFOs on, all interrupts masked, in the order
    /// that DDI 0183, 3.3.8 prescribes: what is being sent is waited for, then the UART is off
    /// while its format changes. Once, at boot.
    ///
    /// # Errors
    ///
    /// [`Pl011Error::LineSpeed`], and nothing was done; [`Pl011Error::Busy`], and the UART is on
    /// nevertheless: a console that may be wrong is better than none.
    pub fn init(&mut self, speed: LineSpeed) -> Result<(), Pl011Error> {
        let divisors = divisors(speed)?;
        let drained = wait::poll_until(|| self.flags() & FLAG_BUSY == 0);
        self.write(offset::CONTROL, 0);
        self.write(offset::LINE_CONTROL, 0); // FIFOs off: flushes them
        self.write(offset::INTERRUPT_MASK, Interrupts::NONE.0);
        self.write(offset::INTERRUPT_CLEAR, Interrupts::ALL.0);
        self.write(offset::DMA_CONTROL, 0);
        if let Some((integer, fraction)) = divisors {
            self.write(offset::INTEGER_BAUD, integer);
            self.write(offset::FRACTIONAL_BAUD, fraction);
        }
        // Latches the divisors, so it comes after them.
        self.write(offset::LINE_CONTROL, LINE_8N1 | LINE_FIFOS);
        self.write(offset::FIFO_LEVEL, HALF_FULL);
        let on = CONTROL_ENABLE | CONTROL_TRANSMIT | CONTROL_RECEIVE | CONTROL_RTS_DTR;
        self.write(offset::CONTROL, on);
        drained.map_err(|_| Pl011Error::Busy)
    }

    /// Sends one byte as it is, waiting for room for a bounded time; a byte that finds none is
    /// counted in [`Pl011::bytes_lost`]. Any context.
    pub fn write_byte(&self, byte: u8) {
        if !self.has_room() {
            self.bytes_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.write(offset::DATA, byte.into());
    }

    /// How many bytes were given up since boot (modulo 2^32).
    pub fn bytes_lost(&self) -> u32 {
        self.bytes_lost.load(Ordering::Relaxed)
    }

    /// The next received byte, if there is one. Bytes that arrived broken (framing, parity, break)
    /// are skipped. One reader at a time gets the bytes in order; any context.
    pub fn read_byte(&self) -> Option<u8> {
        for _ in 0..FIFO_BYTES {
            if self.flags() & FLAG_RECEIVE_EMPTY != 0 {
                return None;
            }
            let data = self.read(offset::DATA);
            if data & DATA_FRAMING_PARITY_BREAK == 0 {
                return Some(data as u8);
            }
        }
        None
    }

    /// Lets exactly these sources raise the UART's interrupt. Any context.
    pub fn unmask_only(&self, sources: Interrupts) {
        self.write(offset::INTERRUPT_MASK, sources.0);
    }

    /// The sources that raise the interrupt now: pending and not masked. Any context.
    pub fn raised(&self) -> Interrupts {
        Interrupts(self.read(offset::MASKED_STATUS))
    }

    /// Clears pending sources. The level sources come back for as long as their condition holds.
    /// Any context.
    pub fn clear(&self, sources: Interrupts) {
        self.write(offset::INTERRUPT_CLEAR, sources.0);
    }

    /// Waits for room in the transmit FIFO, unless the last wait was in vain: then looks once.
    fn has_room(&self) -> bool {
        let has_room = || self.flags() & FLAG_TRANSMIT_FULL == 0;
        let found = if self.stalled.load(Ordering::Relaxed) {
            has_room()
        } else {
            wait::poll_until(has_room).is_ok()
        };
        self.stalled.store(!found, Ordering::Relaxed);
        found
    }

    fn flags(&self) -> u32 {
        self.read(offset::FLAGS)
    }

    fn read(&self, offset: usize) -> u32 {
        self.register(offset).read()
    }

    fn write(&self, offset: usize, value: u32) {
        self.register(offset).write(value);
    }

    fn register(&self, offset: usize) -> Register<u32> {
        // SAFETY: within the registers that `new` was promised; no PL011 register can harm memory
        // (DMA requests are off, and go to a controller that nobody has set up).
        unsafe { Register::new(self.base.add(offset).cast()) }
    }
}

impl fmt::Write for &Pl011 {
    /// For a terminal: a line feed is sent as carriage return and line feed. Never fails.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.write_byte(b'\r');
            }
            self.write_byte(byte);
        }
        Ok(())
    }
}

/// The integer and fractional (1/64) divisors: clock / (16 × speed), rounded to nearest.
fn divisors(speed: LineSpeed) -> Result<Option<(u32, u32)>, Pl011Error> {
    let LineSpeed::Set {
        clock_hz,
        bits_per_second,
    } = speed
    else {
        return Ok(None);
    };
    let refused = Pl011Error::LineSpeed {
        clock_hz,
        bits_per_second,
    };
    let (clock, speed) = (u64::from(clock_hz), u64::from(bits_per_second));
    if speed == 0 {
        return Err(refused);
    }
    let sixty_fourths = (4 * clock + speed / 2) / speed;
    let (integer, fraction) = (sixty_fourths / 64, sixty_fourths % 64);
    match (integer, fraction) {
        (1..=0xfffe, _) | (0xffff, 0) => Ok(Some((integer as u32, fraction as u32))),
        _ => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::journal;
    use std::{fmt::Write, vec::Vec};

    struct Registers([u32; 1024]);

    impl Registers {
        fn new() -> Self {
            Self([0; 1024])
        }

        fn uart(&mut self) -> Pl011 {
            // SAFETY: the tests keep the memory alive as long as the UART.
            unsafe { Pl011::new(NonNull::from(&mut self.0).cast()) }
        }

        /// Plays the device: changes a register behind the driver's back.
        fn set(&mut self, offset: usize, value: u32) {
            // SAFETY: a word of our own array.
            unsafe { (&raw mut self.0[offset / 4]).write_volatile(value) };
        }

        fn writes(&self) -> Vec<(usize, u64)> {
            let start = self.0.as_ptr().addr();
            journal::take()
                .into_iter()
                .map(|(address, value)| (address - start, value))
                .collect()
        }
    }

    #[test]
    fn set_up_in_the_prescribed_order() {
        let mut registers = Registers::new();
        let speed = LineSpeed::Set {
            clock_hz: 24_000_000,
            bits_per_second: 115_200,
        };
        registers.uart().init(speed).unwrap();
        let expected = [
            (0x30, 0),
            (0x2c, 0),
            (0x38, 0),
            (0x44, 0x7ff),
            (0x48, 0),
            (0x24, 13),
            (0x28, 1),
            (0x2c, 0x70),
            (0x34, 0x12),
            (0x30, 0xf01),
        ];
        assert_eq!(registers.writes(), expected);
    }

    #[test]
    fn the_speed_can_be_left_alone() {
        let mut registers = Registers::new();
        registers.uart().init(LineSpeed::AsFound).unwrap();
        assert!(
            registers
                .writes()
                .iter()
                .all(|(offset, _)| ![0x24, 0x28].contains(offset))
        );
    }

    #[test]
    fn speeds_that_cannot_be_made_are_refused() {
        let mut registers = Registers::new();
        for (clock_hz, bits_per_second) in [(24_000_000, 0), (100_000, 115_200), (u32::MAX, 1)] {
            let refused = Pl011Error::LineSpeed {
                clock_hz,
                bits_per_second,
            };
            let speed = LineSpeed::Set {
                clock_hz,
                bits_per_second,
            };
            assert_eq!(registers.uart().init(speed), Err(refused));
        }
        assert_eq!(registers.writes(), []);
    }

    #[test]
    fn a_transmitter_that_stays_busy_is_reported_and_used() {
        let mut registers = Registers::new();
        registers.set(0x18, FLAG_BUSY);
        assert_eq!(
            registers.uart().init(LineSpeed::AsFound),
            Err(Pl011Error::Busy)
        );
        assert_eq!(registers.writes().last(), Some(&(0x30, 0xf01)));
    }

    #[test]
    fn a_dead_uart_loses_bytes_but_returns() {
        let mut registers = Registers::new();
        registers.set(0x18, FLAG_TRANSMIT_FULL);
        let uart = registers.uart();
        // Were each of these to wait for the full bound, this test would take minutes.
        for _ in 0..100_000 {
            uart.write_byte(b'x');
        }
        assert_eq!(uart.bytes_lost(), 100_000);
        assert_eq!(registers.writes(), []);
        registers.set(0x18, 0);
        uart.write_byte(b'y');
        assert_eq!(
            (uart.bytes_lost(), registers.writes().as_slice()),
            (100_000, &[(0, 0x79)][..])
        );
        assert!(!uart.stalled.load(Ordering::Relaxed), "patient again");
    }

    #[test]
    fn lines_end_for_a_terminal() {
        let mut registers = Registers::new();
        let uart = registers.uart();
        writeln!(&uart, "{}", 7).unwrap();
        assert_eq!(registers.writes(), [(0, 0x37), (0, 0x0d), (0, 0x0a)]);
    }

    #[test]
    fn receiving() {
        let mut registers = Registers::new();
        let uart = registers.uart();
        registers.set(0x18, FLAG_RECEIVE_EMPTY);
        registers.set(0x00, 0x41);
        assert_eq!(uart.read_byte(), None);
        registers.set(0x18, 0);
        assert_eq!(uart.read_byte(), Some(b'A'));
        registers.set(0x00, 1 << 11 | 0x42);
        assert_eq!(
            uart.read_byte(),
            Some(b'B'),
            "an overrun lost others, not this one"
        );
        registers.set(0x00, 1 << 10);
        assert_eq!(uart.read_byte(), None, "breaks without end");
    }

    #[test]
    fn interrupts_are_masked_seen_and_cleared() {
        let mut registers = Registers::new();
        let uart = registers.uart();
        uart.unmask_only(Interrupts::RECEIVE);
        uart.clear(Interrupts::RECEIVE_TIMEOUT);
        uart.unmask_only(Interrupts::NONE);
        assert_eq!(registers.writes(), [(0x38, 0x50), (0x44, 0x40), (0x38, 0)]);
        registers.set(0x40, 0x40);
        assert!(uart.raised().any_of(Interrupts::RECEIVE));
        assert!(!uart.raised().any_of(Interrupts::TRANSMIT));
    }
}

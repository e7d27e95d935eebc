//! The UART as two queues: bytes out as it takes them, bytes in as they come.
//!
//! The line's speed and format stay as the kernel found or set them, so that taking the UART over loses
//! no byte, the first time and after a restart. Two rules keep the receive interrupt from being
//! lost. A PL011 raises it when its FIFO *comes to* the trigger level, so whoever leaves bytes in the
//! FIFO with the interrupt cleared may never hear of the next: the timeout is cleared *before* the
//! FIFO is read, and the FIFO is read until it is empty. And while there is no room for more, the
//! interrupt is masked instead; the FIFO fills up, and the sender is held back.

use crate::screen::Sink;
use alloc::collections::VecDeque;
use arm_pl011_uart::{Error, Interrupts, Uart};

/// Room for what is to be sent. Far more than a screen full.
pub const OUTPUT_BYTES: usize = 16 << 10;
/// Room for what nobody has read yet.
pub const INPUT_BYTES: usize = 4 << 10;
/// The byte of Control-C.
pub const CONTROL_C: u8 = 0x03;

/// What becomes of Control-C. What was typed before it and not read is dropped in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlC {
    /// It is read as any other byte.
    IsInput,
    /// It is no byte; [`Line::take_interrupted`] tells that it came.
    Interrupts,
}

/// The device, and what waits on both of its sides.
pub struct Line<'a> {
    device: Uart<'a>,
    masks: Interrupts,
    output: VecDeque<u8>,
    input: VecDeque<u8>,
    control_c: ControlC,
    interrupted: bool,
    /// The carriage return before the next line feed was sent.
    returned: bool,
}

impl<'a> Line<'a> {
    /// Takes the device over. What it has received is input from now on.
    pub fn new(mut device: Uart<'a>) -> Self {
        device.set_interrupt_masks(Interrupts::empty());
        let mut line = Self {
            device,
            masks: Interrupts::empty(),
            output: VecDeque::with_capacity(OUTPUT_BYTES),
            input: VecDeque::with_capacity(INPUT_BYTES),
            control_c: ControlC::IsInput,
            interrupted: false,
            returned: false,
        };
        line.receive();
        line
    }

    /// How many more bytes [`Sink::put`] takes.
    pub fn room(&self) -> usize {
        OUTPUT_BYTES.saturating_sub(self.output.len())
    }

    /// Whether all that was put has been sent.
    pub fn is_all_sent(&self) -> bool {
        self.output.is_empty()
    }

    /// The bytes that were typed and not read.
    pub fn input(&self) -> &VecDeque<u8> {
        &self.input
    }

    /// From now on Control-C is that.
    pub fn set_control_c(&mut self, control_c: ControlC) {
        self.control_c = control_c;
    }

    /// Whether Control-C came as [`ControlC::Interrupts`] since this was asked last.
    pub fn take_interrupted(&mut self) -> bool {
        core::mem::take(&mut self.interrupted)
    }

    /// The first `count` bytes of the input were read. There is room again: what waits in the FIFO is
    /// taken, and the interrupt opened.
    pub fn consume(&mut self, count: usize) {
        self.input.drain(..count.min(self.input.len()));
        self.receive();
    }

    /// Does what the device wants. Its interrupt may be acknowledged then.
    pub fn interrupt(&mut self) {
        self.receive();
        self.send();
    }

    /// Sends what the transmit FIFO takes; for the rest its interrupt comes. Terminals want a carriage
    /// return before each line feed.
    pub fn send(&mut self) {
        while let Some(byte) = self.output.front().copied() {
            if self.device.is_tx_fifo_full() {
                break;
            }
            if byte == b'\n' && !self.returned {
                self.device.write_word(b'\r');
                self.returned = true;
                continue;
            }
            self.device.write_word(byte);
            self.returned = false;
            self.output.pop_front();
        }
        self.set_masks();
    }

    /// Takes everything out of the receive FIFO, or as much as there is room for.
    fn receive(&mut self) {
        self.device.clear_interrupts(Interrupts::RTI);
        // No FIFO is as long as this: a device that goes on and on is broken, and must not hold us.
        for _ in 0..INPUT_BYTES {
            if !self.has_input_room() {
                break;
            }
            match self.device.read_word() {
                Ok(None) => break,
                Ok(Some(CONTROL_C)) => {
                    self.input.clear();
                    match self.control_c {
                        ControlC::IsInput => self.input.push_back(CONTROL_C),
                        ControlC::Interrupts => self.interrupted = true,
                    }
                }
                Ok(Some(byte)) => self.input.push_back(byte),
                // A byte that came broken is none.
                Err(
                    Error::Overrun
                    | Error::Break
                    | Error::Parity
                    | Error::Framing
                    | Error::InvalidParameter,
                ) => {}
            }
        }
        self.set_masks();
    }

    fn has_input_room(&self) -> bool {
        self.input.len() < INPUT_BYTES
    }

    /// Interrupts for what can be done: receive while there is room, send while there is something to.
    fn set_masks(&mut self) {
        let mut masks = Interrupts::empty();
        if self.has_input_room() {
            masks |= Interrupts::RXI | Interrupts::RTI;
        }
        if !self.output.is_empty() {
            masks |= Interrupts::TXI;
        }
        if masks != self.masks {
            self.device.set_interrupt_masks(masks);
            self.masks = masks;
        }
    }
}

impl Sink for Line<'_> {
    fn put(&mut self, bytes: &[u8]) {
        // Whoever puts has asked for the room.
        self.output.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arm_pl011_uart::{PL011Registers, UniqueMmioPointer};
    use core::ptr::NonNull;

    const DATA: usize = 0x00;
    const FLAGS: usize = 0x18;
    const MASKS: usize = 0x38;
    const CLEAR: usize = 0x44;

    const RECEIVE_EMPTY: u32 = 1 << 4;
    const TRANSMIT_FULL: u32 = 1 << 5;
    const RECEIVE: u32 = 1 << 4 | 1 << 6;
    const TRANSMIT: u32 = 1 << 5;

    /// Memory in the place of registers: it says what it was told, and remembers what was written last.
    struct Registers(NonNull<u32>);

    impl Registers {
        fn new(flags: u32, data: u32) -> Self {
            let memory = std::boxed::Box::leak(std::boxed::Box::new([0_u32; 1024]));
            let registers = Self(NonNull::from(memory).cast());
            registers.set(FLAGS, flags);
            registers.set(DATA, data);
            registers
        }

        fn line(&self) -> Line<'static> {
            // SAFETY: a page of our own, for ever, that is nobody else's but by volatile accesses.
            Line::new(Uart::new(unsafe {
                UniqueMmioPointer::new(self.0.cast::<PL011Registers>())
            }))
        }

        fn set(&self, offset: usize, value: u32) {
            // SAFETY: a word of the page.
            unsafe { self.0.add(offset / 4).write_volatile(value) };
        }

        fn get(&self, offset: usize) -> u32 {
            // SAFETY: as above.
            unsafe { self.0.add(offset / 4).read_volatile() }
        }
    }

    #[test]
    fn taken_over_it_hears_and_says_nothing() {
        let registers = Registers::new(RECEIVE_EMPTY, 0);
        let line = registers.line();
        assert!(line.input().is_empty());
        assert_eq!(registers.get(MASKS), RECEIVE);
        assert_eq!(registers.get(CLEAR), 1 << 6, "only the timeout is cleared");
    }

    #[test]
    fn what_finds_no_room_waits_for_the_interrupt() {
        let registers = Registers::new(RECEIVE_EMPTY | TRANSMIT_FULL, 0);
        let mut line = registers.line();
        line.put(b"a\n");
        line.send();
        assert_eq!(registers.get(MASKS), RECEIVE | TRANSMIT);
        assert_eq!(line.room(), OUTPUT_BYTES - 2);
        registers.set(FLAGS, RECEIVE_EMPTY);
        line.interrupt();
        assert_eq!(registers.get(DATA), u32::from(b'\n'));
        assert_eq!(registers.get(MASKS), RECEIVE);
        assert_eq!(line.room(), OUTPUT_BYTES);
    }

    #[test]
    fn a_full_queue_holds_the_sender_back() {
        let registers = Registers::new(0, u32::from(b'x'));
        let mut line = registers.line();
        assert_eq!(line.input().len(), INPUT_BYTES);
        assert_eq!(registers.get(MASKS), 0);
        registers.set(FLAGS, RECEIVE_EMPTY);
        line.interrupt();
        assert_eq!(registers.get(MASKS), 0);
        line.consume(1);
        assert_eq!(registers.get(MASKS), RECEIVE);
        assert_eq!(line.input().len(), INPUT_BYTES - 1);
    }

    #[test]
    fn control_c_drops_what_was_typed_before_it() {
        let registers = Registers::new(0, u32::from(b'x'));
        let mut line = registers.line();
        registers.set(DATA, CONTROL_C.into());
        line.set_control_c(ControlC::Interrupts);
        // Of what this device sends there is no end.
        line.consume(1);
        assert!(line.input().is_empty() && line.take_interrupted() && !line.take_interrupted());
        line.set_control_c(ControlC::IsInput);
        line.interrupt();
        assert_eq!(line.input(), &[CONTROL_C]);
        assert!(!line.take_interrupted());
    }

    #[test]
    fn bytes_that_came_broken_are_none() {
        for error in [8, 9, 10] {
            let registers = Registers::new(0, 1 << error | u32::from(b'x'));
            assert!(registers.line().input().is_empty());
        }
    }
}

//! The UART with its interrupt: bytes out as it takes them, bytes in as they come.
//!
//! The line's speed and format stay as the kernel found or set them, so that taking the UART over loses
//! no byte, the first time and after a restart. Two rules keep the receive interrupt from being
//! lost. A PL011 raises it when its FIFO *comes to* the trigger level, so whoever leaves bytes in the
//! FIFO with the interrupt cleared may never hear of the next: the timeout is cleared *before* the
//! FIFO is read, and the FIFO is read until it is empty. And while there is no room for more, the
//! interrupt is masked instead; the FIFO fills up, and the sender is held back.

use alloc::collections::VecDeque;
use arm_pl011_uart::{Error, Interrupts, PL011Registers, UniqueMmioPointer};
use core::ptr::NonNull;
use petrel_console::screen::Sink;
use rt::{Irq, Machine, Notification, Rights, object::Trigger};

/// Room for what is to be sent. Far more than a screen full.
pub(crate) const OUTPUT_BYTES: usize = 16 << 10;
/// Room for what nobody has read yet.
const INPUT_BYTES: usize = 4 << 10;

/// The byte of Control-C.
pub(crate) const CONTROL_C: u8 = 0x03;

/// The device, and what waits on its both sides.
pub(crate) struct Uart {
    device: arm_pl011_uart::Uart<'static>,
    irq: Irq,
    output: VecDeque<u8>,
    input: VecDeque<u8>,
    /// What becomes of Control-C that comes now.
    pub(crate) control_c: ControlC,
    /// It came, as [`ControlC::Interrupts`]. Whoever acts on that takes it.
    pub(crate) interrupted: bool,
    /// The line feed before which the carriage return was sent.
    returned: bool,
}

/// What becomes of Control-C. What was typed before it and not read is dropped in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlC {
    /// It is read as any other byte.
    IsInput,
    /// It is no byte; that it came is in [`Uart::interrupted`].
    Interrupts,
}

impl Uart {
    /// Takes the machine's UART. Its interrupt comes as `bits` to the notification.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(crate) fn take(
        machine: &Machine,
        bell: &Notification,
        bits: u64,
    ) -> Result<Self, rt::Error> {
        let about = machine.devices()?.uart;
        let bytes = (about.bytes as usize).next_multiple_of(rt::object::PAGE as usize);
        if bytes < size_of::<PL011Registers>() {
            return Err(rt::Error::BadArgument);
        }
        let memory = machine.device_memory(about.base, bytes)?;
        let mapping = memory.map(Rights::READ.with(Rights::WRITE))?;
        let registers = NonNull::new(mapping.leak()).ok_or(rt::Error::BadAddress)?;
        // SAFETY: they are the registers of a PL011, mapped for ever and a page in size; the kernel gives
        // the device to one process at a time, and here it is mapped once.
        let registers = unsafe { UniqueMmioPointer::new(registers.cast::<PL011Registers>()) };
        let trigger = if about.edge == 0 {
            Trigger::Level
        } else {
            Trigger::Edge
        };
        let irq = machine.irq(about.intid, trigger)?;
        irq.bind(bell, bits)?;
        let mut uart = Self {
            device: arm_pl011_uart::Uart::new(registers),
            irq,
            output: VecDeque::with_capacity(OUTPUT_BYTES),
            input: VecDeque::with_capacity(INPUT_BYTES),
            control_c: ControlC::IsInput,
            interrupted: false,
            returned: false,
        };
        uart.receive();
        Ok(uart)
    }

    /// How many more bytes [`Sink::put`] takes.
    pub(crate) fn room(&self) -> usize {
        OUTPUT_BYTES.saturating_sub(self.output.len())
    }

    /// The bytes that were typed and not read.
    pub(crate) fn input(&self) -> &VecDeque<u8> {
        &self.input
    }

    /// The first `count` of them were read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.drain(..count.min(self.input.len()));
        // There is room again: what waits in the FIFO is taken, and the interrupt opened.
        self.receive();
    }

    /// The interrupt came.
    pub(crate) fn interrupt(&mut self) {
        self.receive();
        self.send();
        // Nobody but this process could have given the Irq away.
        let _ = self.irq.acknowledge();
    }

    /// Sends what the transmit FIFO takes; for the rest its interrupt comes.
    pub(crate) fn send(&mut self) {
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
        while self.has_input_room() {
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
        self.device.set_interrupt_masks(masks);
    }
}

impl Sink for Uart {
    fn put(&mut self, bytes: &[u8]) {
        // Whoever puts has asked for the room.
        self.output.extend(bytes);
    }
}

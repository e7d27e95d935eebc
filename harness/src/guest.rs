//! Tiny guests, made of a few A64 instructions.
//!
//! The judge has to be tested on guests that end in each of the wrong ways, and a broken device
//! tree can only be handed over by a program. Both need a dozen instructions, so they are encoded
//! here instead of asking for an assembler. Encodings: Arm ARM (DDI 0487), C6.2.

use crate::machine::RAM_BASE;

/// The first serial line of `virt` (a PL011): its data register.
const UART_DATA: u64 = 0x0900_0000;

/// Memory that a guest may use as it likes: the second MiB, which QEMU leaves alone.
const SCRATCH: u64 = RAM_BASE + 0x10_0000;

/// Semihosting operation SYS_EXIT.
const SYS_EXIT: u64 = 0x18;
/// Its reason `ADP_Stopped_ApplicationExit`: the program ended by itself.
const APPLICATION_EXIT: u64 = 0x2_0026;

/// A program, built instruction by instruction. Registers x0 to x4 are its own.
#[derive(Clone, Debug, Default)]
pub struct Program {
    words: Vec<u32>,
}

impl Program {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// `mov x<register>, #value`, as one `movz` and three `movk`.
    #[must_use]
    pub fn mov(mut self, register: u32, value: u64) -> Self {
        for part in 0..4 {
            let opcode = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
            let immediate = (value >> (16 * part)) as u32 & 0xffff;
            self.words
                .push(opcode | part << 21 | immediate << 5 | register);
        }
        self
    }

    /// Prints to the serial line.
    #[must_use]
    pub fn print(mut self, text: &str) -> Self {
        self = self.mov(0, UART_DATA);
        for byte in text.bytes() {
            self.words.push(0x5280_0000 | u32::from(byte) << 5 | 1); // mov w1, #byte
            self.words.push(0xb900_0001); // str w1, [x0]
        }
        self
    }

    /// Waits for a key from the serial line, and prints it.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self = self.mov(0, UART_DATA).mov(1, 0x301); // on, sending, receiving (DDI 0183, 3.3.8)
        self.words.push(0xb900_3001); // str w1, [x0, #0x30]
        self.words.push(0xb940_1802); // ldr w2, [x0, #0x18]
        self.words.push(0x3727_ffe2); // tbnz w2, #4, .-4: nothing has come
        self.words.push(0xb940_0001); // ldr w1, [x0]
        self.words.push(0xb900_0001); // str w1, [x0]
        self
    }

    /// Ends QEMU with this exit status.
    #[must_use]
    pub fn exit(mut self, status: u64) -> Self {
        self = self.mov(1, SCRATCH).mov(2, APPLICATION_EXIT).mov(3, status);
        self.words.push(0xa900_0c22); // stp x2, x3, [x1]
        self = self.mov(0, SYS_EXIT);
        self.words.push(0xd45e_0000); // hlt #0xf000
        self
    }

    /// Switches the machine off by PSCI SYSTEM_OFF.
    #[must_use]
    pub fn power_off(mut self) -> Self {
        self = self.mov(0, 0x8400_0008);
        self.words.push(0xd400_0002); // hvc #0
        self
    }

    /// Runs on the spot for ever.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.words.push(0x1400_0000); // b .
        self
    }

    /// Starts again from the program's first instruction.
    #[must_use]
    pub fn again(mut self) -> Self {
        let back = 0u32.wrapping_sub(self.words.len() as u32) & 0x03ff_ffff;
        self.words.push(0x1400_0000 | back); // b start
        self
    }

    /// Goes to an address.
    #[must_use]
    pub fn jump(mut self, address: u64) -> Self {
        self = self.mov(4, address);
        self.words.push(0xd61f_0080); // br x4
        self
    }

    /// An arm64 Image of it (Linux, `Documentation/arch/arm64/booting.rst`), which asks to be
    /// loaded `text_offset` bytes above the start of memory.
    pub fn image(&self, text_offset: u64) -> Vec<u8> {
        let size = 64 + 4 * self.words.len() as u64;
        let mut image = Vec::new();
        image.extend(0x1400_0010_u32.to_le_bytes()); // b .+64
        image.extend(0_u32.to_le_bytes());
        image.extend(text_offset.to_le_bytes());
        image.extend(size.to_le_bytes());
        image.extend(0_u64.to_le_bytes()); // flags: little-endian
        image.extend([0; 24]);
        image.extend(b"ARM\x64");
        image.extend([0; 4]);
        image.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_an_assembler() {
        // mov x4, #0x40200000 ; br x4, as `llvm-mc -triple=aarch64 -show-encoding` gives them.
        let words = Program::new().jump(0x4020_0000).words;
        assert_eq!(
            words,
            [
                0xd280_0004,
                0xf2a8_0404,
                0xf2c0_0004,
                0xf2e0_0004,
                0xd61f_0080
            ]
        );
    }

    #[test]
    fn the_branch_back_goes_to_the_start() {
        assert_eq!(Program::new().hang().again().words[1], 0x17ff_ffff);
    }

    #[test]
    fn the_header_is_an_images() {
        let image = Program::new().hang().image(0x20_0000);
        assert_eq!(image.len(), 68);
        assert_eq!(&image[56..60], b"ARM\x64");
        assert_eq!(image[8..16], 0x20_0000_u64.to_le_bytes());
        assert_eq!(image[16..24], 68_u64.to_le_bytes());
    }
}

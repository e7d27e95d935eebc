//! Messages: a label, eight words, four handles that are owned.
//!
//! A message owns what it gives away. Sent, the handles are the receiver's; not sent, they are closed
//! with the message; received and not taken out, they are closed too, so that a client that sends a
//! server more than it asked for fills nobody's table.

use abi::handle::Handle;
use abi::message::{Fault, HANDLES, Info, WORDS};

use crate::object::Owned;
use crate::syscall::MessageRegisters;

/// A message, to be sent or received.
#[derive(Debug, Default)]
pub struct Message {
    label: u32,
    words: [u64; WORDS],
    count: usize,
    handles: [Option<Owned>; HANDLES],
}

/// How many bytes [`Message::bytes`] has room for in a message that has no words yet: the first word
/// counts them.
pub const INLINE_BYTES: usize = (WORDS - 1) * 8;

impl Message {
    /// A message without words and handles.
    pub fn new(label: u32) -> Self {
        Self {
            label,
            ..Self::default()
        }
    }

    /// The same with another word. A ninth is left out.
    #[must_use]
    pub fn word(mut self, word: u64) -> Self {
        if let Some(place) = self.words.get_mut(self.count) {
            *place = word;
            self.count += 1;
        }
        self
    }

    /// The same with a word that counts `bytes`, and the bytes, eight in a word. Those for which there
    /// is no room are left out and not counted.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        if self.count == WORDS {
            return self;
        }
        let room = (WORDS - 1 - self.count) * 8;
        let bytes = &bytes[..bytes.len().min(room)];
        self = self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self = self.word(u64::from_le_bytes(word));
        }
        self
    }

    /// The same with a handle to give away. A fifth is closed.
    #[must_use]
    pub fn give(mut self, handle: impl Into<Owned>) -> Self {
        if let Some(place) = self.handles.iter_mut().find(|place| place.is_none()) {
            *place = Some(handle.into());
        }
        self
    }

    /// What sender and receiver agreed on.
    pub fn label(&self) -> u32 {
        self.label
    }

    /// The words that mean something.
    pub fn words(&self) -> &[u64] {
        &self.words[..self.count]
    }

    /// Word `index`; 0 if there is none.
    pub fn word_at(&self, index: usize) -> u64 {
        self.words().get(index).copied().unwrap_or(0)
    }

    /// What [`Message::bytes`] packed from word `index` on, copied into `buffer`; `None` when the count
    /// there is more than the words hold or than `buffer` does.
    pub fn bytes_at<'a>(&self, index: usize, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let count = usize::try_from(*self.words().get(index)?).ok()?;
        let words = &self.words()[index + 1..];
        if count > words.len() * 8 || count > buffer.len() {
            return None;
        }
        let out = &mut buffer[..count];
        for (chunk, word) in out.chunks_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Some(out)
    }

    /// Takes handle `index` out of the message.
    pub fn take(&mut self, index: usize) -> Option<Owned> {
        self.handles.get_mut(index)?.take()
    }

    /// Into registers. The handles stay owned by `self` until [`Message::given`].
    pub(crate) fn registers(&self, target: Handle, deadline_ticks: u64) -> MessageRegisters {
        let mut all = [Handle::NONE; HANDLES];
        let mut count = 0;
        for handle in self.handles.iter().flatten() {
            all[count] = handle.handle();
            count += 1;
        }
        MessageRegisters {
            words: self.words,
            target,
            info: Info::new(self.label, self.count).with_handles(count),
            deadline_ticks,
            badge: 0,
            handles: [
                Handle::pack([all[0], all[1]]),
                Handle::pack([all[2], all[3]]),
            ],
        }
    }

    /// The handles are somebody else's now.
    pub(crate) fn given(mut self) {
        for handle in &mut self.handles {
            core::mem::forget(handle.take());
        }
    }

    /// What arrived in registers.
    pub(crate) fn from_registers(registers: &MessageRegisters) -> Self {
        let [first, second] = registers.handles.map(Handle::unpack);
        let arrived = [first[0], first[1], second[0], second[1]];
        let count = registers.info.handles().min(HANDLES);
        let mut handles = [const { None }; HANDLES];
        for (place, handle) in handles.iter_mut().zip(arrived).take(count) {
            if handle != Handle::NONE {
                *place = Some(Owned::new(handle));
            }
        }
        Self {
            label: registers.info.label(),
            words: registers.words,
            count: registers.info.words().min(WORDS),
            handles,
        }
    }
}

/// What a receiver got.
#[derive(Debug)]
pub enum Incoming {
    /// A message from who was given a handle with that badge.
    Message(Message, u64),
    /// Bits of the thread's bound notification.
    Bits(u64),
    /// A thread's fault. It waits for the reply.
    Fault(Fault, u64),
}

impl Incoming {
    pub(crate) fn from_registers(registers: &MessageRegisters) -> Self {
        if registers.info.is_notification() {
            return Self::Bits(registers.badge);
        }
        let message = Message::from_registers(registers);
        if registers.info.is_fault() {
            let [kind, access, address, pc, sp, syndrome, thread, process] = message.words;
            let fault = Fault {
                kind,
                access,
                address,
                pc,
                sp,
                syndrome,
                thread,
                process,
            };
            return Self::Fault(fault, registers.badge);
        }
        Self::Message(message, registers.badge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..=INLINE_BYTES), before in 0_usize..4) {
            let mut message = Message::new(7);
            for _ in 0..before {
                message = message.word(1);
            }
            let message = message.bytes(&bytes);
            let mut buffer = [0; INLINE_BYTES];
            let kept = bytes.len().min((WORDS - 1 - before) * 8);
            prop_assert_eq!(message.bytes_at(before, &mut buffer), Some(&bytes[..kept]));
        }

        #[test]
        fn no_registers_make_a_message_that_panics(words: [u64; 8], info: u64, handles: [u64; 2]) {
            let registers = MessageRegisters { words, info: Info(info), handles, ..Default::default() };
            if let Incoming::Message(message, _) = Incoming::from_registers(&registers) {
                let mut buffer = [0; 64];
                for index in 0..9 {
                    let _ = message.bytes_at(index, &mut buffer);
                    let _ = message.word_at(index);
                }
                message.given();
            }
        }
    }

    #[test]
    fn registers_come_back() {
        let message = Message::new(0xabcd)
            .word(1)
            .word(2)
            .give(Owned::new(Handle(5)))
            .give(Owned::new(Handle(6)));
        let registers = message.registers(Handle(9), 77);
        message.given();
        let mut back = Message::from_registers(&registers);
        assert_eq!(back.label(), 0xabcd);
        assert_eq!(back.words(), [1, 2]);
        assert_eq!(back.take(0).map(Owned::leak), Some(Handle(5)));
        assert_eq!(back.take(1).map(Owned::leak), Some(Handle(6)));
        assert!(back.take(2).is_none() && back.take(9).is_none());
    }

    #[test]
    fn a_count_that_lies_gives_nothing() {
        let mut buffer = [0; 64];
        for lie in [17, 57, u64::MAX] {
            let message = Message::new(0).word(lie).word(0).word(0);
            assert_eq!(message.bytes_at(0, &mut buffer), None);
        }
        assert_eq!(Message::new(0).bytes_at(0, &mut buffer), None);
    }
}

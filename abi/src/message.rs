//! Messages: eight words, four handles, a label; and the messages that the kernel itself sends.

/// How many words a message has. They travel in registers.
pub const WORDS: usize = 8;
/// How many handles a message can give away.
pub const HANDLES: usize = 4;

/// What a message is: a label, how many of the words mean something, how many handles it gives away.
///
/// | bits | |
/// |---|---|
/// | 0-3 | words, 0 to 8 |
/// | 4-6 | handles, 0 to 4 |
/// | 7 | from the kernel: a fault. Senders cannot set it |
/// | 8 | not a message: bits of the bound notification, in the badge. Senders cannot set it |
/// | 32-63 | label: sender and receiver agree on what it means |
///
/// All eight words travel whatever the count says, because they are in registers anyway; those beyond it
/// mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Info(pub u64);

impl Info {
    const FAULT: u64 = 1 << 7;
    const NOTIFICATION: u64 = 1 << 8;
    /// Bits that a sender may set.
    pub const SENDABLE: u64 = 0x7f | 0xffff_ffff << 32;

    /// A message with that label, so many words, no handles.
    #[inline(always)]
    pub const fn new(label: u32, words: usize) -> Self {
        Self((label as u64) << 32 | words as u64 & 0xf)
    }

    /// The same with `handles` to give away.
    #[inline(always)]
    pub const fn with_handles(self, handles: usize) -> Self {
        Self(self.0 & !0x70 | (handles as u64 & 7) << 4)
    }

    /// A fault of a thread.
    pub const fn fault() -> Self {
        Self(Self::new(0, WORDS).0 | Self::FAULT)
    }

    /// Bits of a notification; they are in the badge.
    pub const fn notification() -> Self {
        Self(Self::NOTIFICATION)
    }

    /// What sender and receiver agreed on.
    #[inline(always)]
    pub const fn label(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// How many words mean something: at most [`WORDS`] in a message that arrived.
    #[inline(always)]
    pub const fn words(self) -> usize {
        (self.0 & 0xf) as usize
    }

    /// How many handles it gives away: at most [`HANDLES`] in a message that arrived.
    #[inline(always)]
    pub const fn handles(self) -> usize {
        (self.0 >> 4 & 7) as usize
    }

    /// Whether it is a thread's fault ([`Fault`]).
    #[inline(always)]
    pub const fn is_fault(self) -> bool {
        self.0 & Self::FAULT != 0
    }

    /// Whether it is no message but bits of the bound notification.
    #[inline(always)]
    pub const fn is_notification(self) -> bool {
        self.0 & Self::NOTIFICATION != 0
    }
}

/// What went wrong in a thread. Word 0 of a fault message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum FaultKind {
    /// Nothing is mapped there.
    NotMapped = 1,
    /// What is mapped there does not permit it.
    NotPermitted = 2,
    /// An instruction that there is not, or that EL0 may not execute.
    Undefined = 3,
    /// An FP or SIMD instruction in a thread that has none.
    NoFp = 4,
    /// PC or SP or an access is misaligned.
    Misaligned = 5,
    /// A breakpoint instruction, or a step.
    Debug = 6,
    /// Everything else.
    Other = 7,
}

impl FaultKind {
    /// The kind with that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::NotMapped,
            2 => Self::NotPermitted,
            3 => Self::Undefined,
            4 => Self::NoFp,
            5 => Self::Misaligned,
            6 => Self::Debug,
            7 => Self::Other,
            _ => return None,
        })
    }

    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotMapped => "nothing is mapped there",
            Self::NotPermitted => "what is mapped there does not permit it",
            Self::Undefined => "undefined instruction",
            Self::NoFp => "FP instruction in a thread without FP",
            Self::Misaligned => "misaligned",
            Self::Debug => "breakpoint",
            Self::Other => "unexpected exception",
        }
    }
}

/// How the faulting instruction used its address. Word 1 of a fault message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Access {
    /// It has none.
    None = 0,
    /// It read.
    Read = 1,
    /// It wrote.
    Write = 2,
    /// It was fetched.
    Execute = 3,
}

impl Access {
    /// The access with that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::Execute,
            _ => return None,
        })
    }
}

/// The words of a fault message. The reply's label says what next: [`RESUME`], [`RESUME_AT`], or anything else, which
/// ends the thread's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Fault {
    /// [`FaultKind`].
    pub kind: u64,
    /// [`Access`].
    pub access: u64,
    /// The address that was used.
    pub address: u64,
    /// The instruction that did it.
    pub pc: u64,
    /// The thread's SP.
    pub sp: u64,
    /// `ESR_EL1`.
    pub syndrome: u64,
    /// The thread's number.
    pub thread: u64,
    /// The process's number.
    pub process: u64,
}

/// The label of a reply to a fault: go on, at the instruction that faulted or where the registers were
/// set to meanwhile.
pub const RESUME: u32 = 0;
/// The same: go on, at the address in the reply's first word.
pub const RESUME_AT: u32 = 1;

const _: () = assert!(size_of::<Fault>() == WORDS * 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_info_come_back() {
        let info = Info::new(0xdead_beef, 5).with_handles(3);
        assert_eq!(
            (info.label(), info.words(), info.handles()),
            (0xdead_beef, 5, 3)
        );
        assert!(!info.is_fault() && !info.is_notification());
        assert_eq!(info.0 & !Info::SENDABLE, 0);
        assert_ne!(Info::fault().0 & !Info::SENDABLE, 0);
        assert_ne!(Info::notification().0 & !Info::SENDABLE, 0);
    }
}

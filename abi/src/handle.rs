//! Handles: how a process names what it may use.
//!
//! A handle is a number that means something in one process only. It names an object, with rights and
//! perhaps a badge. A number that was closed or revoked is not given out again soon: its upper bits
//! count how often the lower bits' slot was used.

/// A handle. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// Never a handle.
    pub const NONE: Self = Self(0);
    /// How many lower bits are the slot's number.
    pub const SLOT_BITS: u32 = 17;
    /// How many handles a process can have.
    pub const SLOTS: usize = 1 << Self::SLOT_BITS;

    /// In slot `slot`, used for the `generation`th time.
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self(slot | generation << Self::SLOT_BITS)
    }

    /// The number of its slot.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        self.0 as usize % Self::SLOTS
    }

    /// How often the slot was used.
    pub const fn generation(self) -> u32 {
        self.0 >> Self::SLOT_BITS
    }

    /// Two in one register, the first in the low half.
    pub const fn pack(pair: [Self; 2]) -> u64 {
        pair[0].0 as u64 | (pair[1].0 as u64) << 32
    }

    /// The reverse of [`Handle::pack`].
    pub const fn unpack(register: u64) -> [Self; 2] {
        [Self(register as u32), Self((register >> 32) as u32)]
    }
}

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An address space, a handle table, a memory quota.
    Process = 1,
    /// A thread.
    Thread = 2,
    /// Where messages are sent to and received from.
    Endpoint = 3,
    /// The right to answer one call, once.
    Reply = 4,
    /// A word of bits.
    Notification = 5,
    /// Pages, or a range of device registers.
    Memory = 6,
    /// An interrupt line.
    Irq = 7,
    /// The machine: its interrupts, its devices, its log.
    Machine = 8,
}

impl Kind {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Process,
        Self::Thread,
        Self::Endpoint,
        Self::Reply,
        Self::Notification,
        Self::Memory,
        Self::Irq,
        Self::Machine,
    ];

    /// The kind with that number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }
}

/// What a handle permits. A set of bits; a duplicate has a subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Rights(pub u32);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Send to an endpoint.
    pub const SEND: Self = Self(1 << 0);
    /// Receive from an endpoint. When the last handle with it is gone, the endpoint is.
    pub const RECEIVE: Self = Self(1 << 1);
    /// Be replied to: without it, [`crate::syscall::Call::MessageCall`] is refused.
    pub const CALL: Self = Self(1 << 2);
    /// Signal a notification.
    pub const SIGNAL: Self = Self(1 << 3);
    /// Wait for a notification, set its timer.
    pub const WAIT: Self = Self(1 << 4);
    /// Map memory to read.
    pub const READ: Self = Self(1 << 5);
    /// Map memory to write.
    pub const WRITE: Self = Self(1 << 6);
    /// Map memory to execute.
    pub const EXECUTE: Self = Self(1 << 7);
    /// Look at it.
    pub const INSPECT: Self = Self(1 << 8);
    /// Change it, end it.
    pub const MANAGE: Self = Self(1 << 9);
    /// Duplicate the handle.
    pub const DUPLICATE: Self = Self(1 << 10);
    /// Give the handle away.
    pub const TRANSFER: Self = Self(1 << 11);
    /// Revoke what was derived from the handle.
    pub const REVOKE: Self = Self(1 << 12);
    /// Everything.
    pub const ALL: Self = Self((1 << 13) - 1);

    /// Whether `other` is a part of this.
    #[inline(always)]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This without `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_a_slot_and_a_generation() {
        let handle = Handle::new(77, 3);
        assert_eq!((handle.slot(), handle.generation()), (77, 3));
        let pair = [handle, Handle(u32::MAX)];
        assert_eq!(Handle::unpack(Handle::pack(pair)), pair);
    }

    #[test]
    fn rights_are_sets() {
        let some = Rights::SEND.with(Rights::CALL);
        assert!(some.contains(Rights::SEND) && !some.contains(Rights::RECEIVE));
        assert!(Rights::ALL.contains(some) && some.contains(Rights::NONE));
        assert_eq!(some.without(Rights::SEND), Rights::CALL);
    }

    #[test]
    fn kinds_come_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u64), Some(kind));
        }
        assert_eq!(Kind::from_number(0), None);
    }
}

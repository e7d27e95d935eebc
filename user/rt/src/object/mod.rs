//! Owners of handles: one type for each kind of kernel object.
//!
//! An [`Owned`] is a handle that is closed when it is dropped. The types around it say which kind it
//! names, and have the calls of that kind. Who receives a handle from a stranger turns it into a type
//! by [`Object::from_owned`], which asks the kernel what it really is.

mod endpoint;
mod machine;
mod memory;
mod notification;
mod process;
mod thread;

pub use endpoint::{Answer, Endpoint, Reply, reply_to_caller};
pub use machine::{Irq, Listed, Machine, Trigger};
pub use memory::{Mapping, Memory, MemoryKind, PAGE, unmap};
pub use notification::Notification;
pub use process::{Process, ProcessReport, ProcessState};
pub use thread::{Registers, Thread, ThreadStart, USES_FP};

use abi::handle::{Handle, Kind, Rights};

use crate::Error;
use crate::syscall::{Call, plain};

/// A handle that is closed when this is dropped.
#[derive(Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Owned(Handle);

/// What the kernel says of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What it names.
    pub kind: Kind,
    /// What it permits.
    pub rights: Rights,
    /// Its badge; 0: none.
    pub badge: u64,
}

impl Owned {
    /// The owner of `handle`, which nobody else closes.
    pub const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The handle, which stays owned by `self`.
    pub const fn handle(&self) -> Handle {
        self.0
    }

    /// The handle, which nobody owns any more.
    pub fn leak(self) -> Handle {
        let handle = self.0;
        core::mem::forget(self);
        handle
    }

    /// What it names.
    ///
    /// # Errors
    /// [`Error::BadHandle`] if it was revoked.
    pub fn inspect(&self) -> Result<Inspected, Error> {
        // SAFETY: the call writes no memory.
        let [kind, rights, badge] = unsafe { plain(Call::HandleInspect, [self.0.into_word()]) }?;
        Ok(Inspected {
            kind: Kind::from_number(kind).ok_or(Error::WrongKind)?,
            rights: Rights(rights as u32),
            badge,
        })
    }

    /// A new handle, derived from this one, with `rights`, which are some of its own. `badge` 0 keeps the
    /// badge there is; another needs a handle without one.
    ///
    /// # Errors
    /// [`Error::NoRight`] without [`Rights::DUPLICATE`] or one of `rights`; [`Error::TooMany`], [`Error::NoMemory`].
    pub fn duplicate(&self, rights: Rights, badge: u64) -> Result<Self, Error> {
        let arguments = [self.0.into_word(), u64::from(rights.0), badge];
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::HandleDuplicate, arguments) }?;
        Ok(Self(Handle(handle as u32)))
    }

    /// Ends all handles that were derived from this one, in whatever process they are.
    ///
    /// # Errors
    /// [`Error::NoRight`] without [`Rights::REVOKE`].
    pub fn revoke(&self) -> Result<(), Error> {
        // SAFETY: the call writes no memory.
        unsafe { plain(Call::HandleRevoke, [self.0.into_word()]) }.map(drop)
    }

    /// Moves the handle into the table of `process`. What it is called there.
    ///
    /// # Errors
    /// [`Error::NoRight`] without [`Rights::TRANSFER`], or [`Rights::MANAGE`] on the process;
    /// [`Error::Gone`] if it has ended. The handle is closed then.
    pub fn give(self, process: &Process) -> Result<Handle, Error> {
        let arguments = [process.handle().into_word(), self.0.into_word()];
        // SAFETY: the call writes no memory.
        let [there, ..] = unsafe { plain(Call::HandleGive, arguments) }?;
        self.leak();
        Ok(Handle(there as u32))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.0 != Handle::NONE {
            // SAFETY: the call writes no memory. Refused means it was revoked or given away.
            let _ = unsafe { plain(Call::HandleClose, [self.0.into_word()]) };
        }
    }
}

/// A handle as an argument.
pub(crate) trait IntoWord {
    fn into_word(self) -> u64;
}

impl IntoWord for Handle {
    #[inline(always)]
    fn into_word(self) -> u64 {
        u64::from(self.0)
    }
}

/// An owner whose kind is known.
pub trait Object: Sized + Into<Owned> {
    /// The kind.
    const KIND: Kind;

    /// The owner of a handle that is known to be of this kind. If it is not, the kernel refuses what is
    /// done with it.
    fn assume(owned: Owned) -> Self;

    /// The handle.
    fn owned(&self) -> &Owned;

    /// The owner of a handle that somebody else sent.
    ///
    /// # Errors
    /// [`Error::WrongKind`] if it is of another kind, [`Error::BadHandle`] if it is none.
    fn from_owned(owned: Owned) -> Result<Self, Error> {
        if owned.inspect()?.kind == Self::KIND {
            Ok(Self::assume(owned))
        } else {
            Err(Error::WrongKind)
        }
    }
}

macro_rules! object {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name($crate::object::Owned);

        impl $crate::object::Object for $name {
            const KIND: abi::handle::Kind = abi::handle::Kind::$name;

            fn assume(owned: $crate::object::Owned) -> Self {
                Self(owned)
            }

            fn owned(&self) -> &$crate::object::Owned {
                &self.0
            }
        }

        impl From<$name> for $crate::object::Owned {
            fn from(object: $name) -> Self {
                object.0
            }
        }

        impl $name {
            /// The handle, which stays owned by `self`.
            pub fn handle(&self) -> abi::handle::Handle {
                self.0.handle()
            }

            /// A new handle for the same, with `rights`, which are some of this one's.
            ///
            /// # Errors
            /// [`Owned::duplicate`](crate::object::Owned::duplicate).
            pub fn duplicate(&self, rights: abi::handle::Rights) -> Result<Self, $crate::Error> {
                self.0.duplicate(rights, 0).map(Self)
            }

            /// An owner of nothing, as long as there is nothing to own.
            #[allow(dead_code)]
            pub(crate) const fn none() -> Self {
                Self($crate::object::Owned::new(abi::handle::Handle::NONE))
            }

            #[allow(dead_code)]
            pub(crate) fn word(&self) -> u64 {
                $crate::object::IntoWord::into_word(self.0.handle())
            }
        }
    };
}
use object;

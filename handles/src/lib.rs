#![cfg_attr(target_os = "none", no_std)]
//! Tables of handles.
//!
//! A process names what it may use by numbers, and each system call begins with one: so a look-up
//! takes no lock and a dozen instructions, in any context that is not switched out. What a table
//! holds changes under one lock for all tables of the machine, since a handle's descendants may be in
//! any of them. Whoever found an entry just before it was removed may finish with it: an entry is
//! *retired*, not freed, until every CPU has passed a quiescent point (`cpu::epoch`).
//!
//! # Derivation
//!
//! A duplicate is derived from what it was made of, and *revoke* takes back all that was derived
//! from a handle, directly or not, in whatever table it is by now. Who is derived from whom is kept
//! as brackets ([`span`]): one doubly linked list in which each entry has an opening and a closing
//! bracket, and what lies between them is what was derived from it. To remove an entry is to take
//! out its two brackets, which leaves its descendants with its parent; to revoke is to remove what
//! follows the opening bracket until that is the closing one. Both are a handful of stores whatever
//! the tree looks like: nothing recurses, nothing walks, and interrupts are held for one entry at a
//! time.
//!
//! # Where things are
//!
//! | module | holds |
//! |---|---|
//! | [`table`] | [`Table`]: what the kernel calls |
//! | `entry` | [`Entry`]: what one handle names, and what it permits |
//! | `slots` | which numbers are free, and where each leads |
//! | [`span`] | who was derived from whom |
//! | [`retired`] | what is freed when nobody can see it any more |
//!
//! What the kernel supplies, the objects and who pays for memory, is [`Kernel`]: so all of this runs
//! on the host, too, against a simple model and with threads.

extern crate alloc;

mod entry;
mod memory;
pub mod retired;
mod slots;
pub mod span;
pub mod table;

pub use entry::Entry;
pub use retired::Retirable;
pub use table::Table;

use abi::error::Error;
use abi::handle::Rights;

/// What tables need of the kernel around them.
pub trait Kernel: Sized + 'static {
    /// What a handle names.
    type Object: Object;
    /// Who is charged for a table's memory.
    type Payer: Send + Sync;
    /// Memory that is charged to somebody as long as this lives.
    type Charge: Send + 'static;

    /// Charges `bytes` to `payer`.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    fn charge(payer: &Self::Payer, bytes: u64) -> Result<Self::Charge, Error>;

    /// Charges `bytes` more to whom `charge` is charged.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    fn charge_more(charge: &mut Self::Charge, bytes: u64) -> Result<(), Error>;

    /// Something was retired when nothing else was: has [`retired::collect`] called soon, by a thread.
    /// `Process` or `NoIrq`.
    fn reclaim_soon();
}

/// What a handle names: a counted reference.
pub trait Object: Clone + Send + Sync + 'static {
    /// A handle with `rights` came to be. Called under the lock of all tables: counts, and does nothing
    /// else. As long as an object has a handle, it is never told that all have gone.
    fn added(&self, rights: Rights);
    /// A handle with `rights` is one no longer. Called at once, without a lock, by whoever removed it;
    /// others may still be at work with what they looked up before.
    fn removed(&self, rights: Rights);
}

//! Entries: what one handle names, and what it permits; where it is in memory and in the list of brackets.

use crate::retired::{Retirable, retire_node};
use crate::span::Span;
use crate::table::Inner;
use crate::{Kernel, Object};
use abi::handle::{Handle, Rights};
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What one handle names, and what it permits. Never changes for those who look at it.
pub struct Entry<K: Kernel> {
    pub(crate) object: K::Object,
    pub(crate) badge: u64,
    pub(crate) rights: Rights,
    /// What it is called. Changes when it is given away, for those who looked it up before.
    pub(crate) handle: AtomicU32,
    pub(crate) kept: UnsafeCell<Kept<K>>,
}

/// The part of an entry that belongs to whoever has the lock, or, after its removal, to who removed it.
#[repr(C)]
pub(crate) struct Kept<K: Kernel> {
    // The first field: `span` and `last_child` go from one to the other.
    pub(crate) span: Span,
    /// Where it is; null when it is in no table any more.
    pub(crate) table: *const Inner<K>,
    pub(crate) charge: K::Charge,
    /// The next of those that were removed together.
    pub(crate) next: *mut Node<K>,
}

/// An entry as it lies in memory.
pub(crate) type Node<K> = Retirable<Entry<K>>;

// SAFETY: readers see what does not change; `kept` has one owner at a time.
unsafe impl<K: Kernel> Send for Entry<K> {}
// SAFETY: as above.
unsafe impl<K: Kernel> Sync for Entry<K> {}

impl<K: Kernel> Entry<K> {
    /// What it names.
    #[inline(always)]
    pub fn object(&self) -> &K::Object {
        &self.object
    }

    /// What it permits.
    #[inline(always)]
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// Its badge; 0: none.
    #[inline(always)]
    pub fn badge(&self) -> u64 {
        self.badge
    }

    /// What it is called, in the table it is in now.
    #[inline(always)]
    pub fn handle(&self) -> Handle {
        Handle(self.handle.load(Relaxed))
    }
}

/// Where the span of `node` is.
pub(crate) fn span<K: Kernel>(node: NonNull<Node<K>>) -> *mut Span {
    // SAFETY: stays inside the node; no reference is made.
    let kept = unsafe { &raw const (*node.as_ptr()).value.kept };
    UnsafeCell::raw_get(kept).cast()
}

/// What was derived from `node` last. It is in a table, and the lock is held.
pub(crate) fn last_child<K: Kernel>(node: NonNull<Node<K>>) -> Option<NonNull<Node<K>>> {
    // SAFETY: as above; what is in a table is in the list.
    let child = unsafe { Span::first(span(node)) };
    if child.is_null() {
        return None;
    }
    let offset = offset_of!(Node<K>, value) + offset_of!(Entry<K>, kept);
    // SAFETY: the reverse of `span`.
    NonNull::new(unsafe { child.byte_sub(offset) }.cast())
}

/// Entries that were just removed.
#[must_use = "they are to be retired"]
pub(crate) struct Removed<K: Kernel>(pub(crate) *mut Node<K>);

impl<K: Kernel> Removed<K> {
    pub(crate) const fn none() -> Self {
        Self(null_mut())
    }

    /// Tells their objects, and retires them. Without the lock.
    pub(crate) fn finish(self) {
        let mut at = self.0;
        while let Some(node) = NonNull::new(at) {
            // SAFETY: it was removed, so that it is ours; others at most read what does not change.
            let was_first = unsafe {
                let entry = node.as_ref();
                at = (*entry.kept.get()).next;
                entry.object.removed(entry.rights);
                retire_node(node)
            };
            if was_first {
                K::reclaim_soon();
            }
        }
    }
}

//! Shared ownership that can fail to be made: what `alloc::sync::Arc` is, without its end at the first
//! shortage of memory.

use crate::mm::heap::{OutOfMemory, try_box};
use alloc::boxed::Box;
use core::mem::offset_of;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

/// One of the owners of a `T`; the last one drops it.
pub(crate) struct Ref<T>(NonNull<Inner<T>>);

// SAFETY: as for `Arc`: it gives out `&T`, and the last owner, wherever it is, drops the `T`.
unsafe impl<T: Send + Sync> Send for Ref<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Ref<T> {}

impl<T> Ref<T> {
    /// Puts `value` on the heap. `Process` or `NoIrq`.
    ///
    /// # Errors
    /// [`OutOfMemory`]; `value` is dropped.
    pub(crate) fn try_new(value: T) -> Result<Self, OutOfMemory> {
        let inner = try_box(Inner {
            owners: AtomicUsize::new(1),
            value,
        })?;
        Ok(Self(NonNull::from(Box::leak(inner))))
    }

    /// Whether both own the same `T`.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Gives up the ownership, and gives where the `T` is, for [`Ref::from_raw`].
    pub(crate) fn into_raw(self) -> NonNull<T> {
        // SAFETY: stays inside what it owns.
        let value = unsafe { NonNull::new_unchecked(&raw mut (*self.0.as_ptr()).value) };
        core::mem::forget(self);
        value
    }

    /// Takes back the ownership that [`Ref::into_raw`] gave up.
    ///
    /// # Safety
    /// `value` comes from there, and is taken back once.
    pub(crate) unsafe fn from_raw(value: NonNull<T>) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { value.byte_sub(offset_of!(Inner<T>, value)) }.cast())
    }

    /// Another ownership of a `T` that may be just being dropped: then none.
    ///
    /// # Safety
    /// `value` is inside a `Ref`'s, and what drops it waits for the caller before the memory is freed.
    pub(crate) unsafe fn try_share(value: NonNull<T>) -> Option<Self> {
        // SAFETY: the caller's promise. Only the number of owners is looked at before one is added.
        let shared = core::mem::ManuallyDrop::new(unsafe { Self::from_raw(value) });
        let one_more = |owners: usize| (owners != 0).then(|| owners + 1);
        let owners = &shared.inner().owners;
        owners.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(core::mem::ManuallyDrop::into_inner(shared))
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: it lives as long as an owner does.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Ref<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.inner().owners.fetch_add(1, Relaxed);
        Self(self.0)
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Ref<T> {
    #[inline]
    fn drop(&mut self) {
        if self.inner().owners.fetch_sub(1, Release) == 1 {
            // What the other owners did with the value comes before its end.
            fence(Acquire);
            // SAFETY: `try_new` leaked it, and this was the last owner.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

//! Memory that can fail to be there.

use abi::error::Error;
use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::mem::MaybeUninit;

/// What the kernel's heap really gives for a `T`: it deals in powers of two.
pub(crate) const fn bytes_of<T>() -> u64 {
    size_of::<T>().next_power_of_two() as u64
}

/// Room for a `T` on the heap.
///
/// # Errors
/// [`Error::NoMemory`].
pub(crate) fn room<T>() -> Result<Box<MaybeUninit<T>>, Error> {
    const { assert!(size_of::<T>() != 0) };
    // SAFETY: the layout is not of size 0.
    let place = unsafe { alloc(Layout::new::<T>()) }.cast::<MaybeUninit<T>>();
    if place.is_null() {
        return Err(Error::NoMemory);
    }
    // SAFETY: it is new, ours, and right for a `T` that is not there yet.
    Ok(unsafe { Box::from_raw(place) })
}

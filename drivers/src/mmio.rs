//! One device register, and how it is touched.
//!
//! On AArch64 an access is one load or store with a plain base register. The compiler could turn a
//! volatile access into a form with write-back, for which the hardware reports no syndrome when a
//! hypervisor has to emulate the access; `asm!` rules that out. Without `nomem` it also keeps every
//! other memory access on the side of it where the source has it.
//!
//! Register blocks of the GIC are described by `arm-gic`; its pointer type demands exclusive access
//! for a write, which an interrupt handler cannot prove and, for the registers it uses, does not
//! need. [`Register`] is for those: `Copy`, written through a shared handle, and only safe because
//! `new` is not.
//!
//! In tests every write is entered in a journal, so that a test can check the *order* of a set-up
//! sequence and not only where it ended; bits of a register can be frozen to play hardware that
//! refuses them.

use core::ptr::NonNull;

/// A register of a device, of the width `T`.
pub(crate) struct Register<T>(NonNull<T>);

impl<T> Clone for Register<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Register<T> {}

impl<T: Width> Register<T> {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// For as long as the value and its copies are used: `address` is that of a device register
    /// mapped as Device memory (or, on the host, of memory that plays one), aligned, and such that
    /// any read, and any write that the driver makes, are harmless to memory safety from any CPU
    /// at any time.
    pub(crate) const unsafe fn new(address: NonNull<T>) -> Self {
        Self(address)
    }

    /// Reads the register once.
    #[inline(always)]
    pub(crate) fn read(self) -> T {
        // SAFETY: `new` was promised that the address is a register that may be read.
        unsafe { T::load(self.0.as_ptr()) }
    }

    /// Writes the register once.
    #[inline(always)]
    pub(crate) fn write(self, value: T) {
        #[cfg(test)]
        let value = journal::written(self.0.as_ptr().addr(), self.read(), value);
        // SAFETY: `new` was promised that the address is a register that may be written.
        unsafe { T::store(self.0.as_ptr(), value) }
    }
}

/// The widths of which a register can be.
pub(crate) trait Width: Copy + Into<u64> + TryFrom<u64> {
    /// One load of exactly this width.
    ///
    /// # Safety
    ///
    /// As for a volatile read of `address`.
    unsafe fn load(address: *const Self) -> Self;

    /// One store of exactly this width.
    ///
    /// # Safety
    ///
    /// As for a volatile write of `address`.
    unsafe fn store(address: *mut Self, value: Self);
}

macro_rules! width {
    ($type:ty, $load:literal, $store:literal) => {
        impl Width for $type {
            #[inline(always)]
            unsafe fn load(address: *const Self) -> Self {
                #[cfg(target_arch = "aarch64")]
                {
                    let value: Self;
                    // SAFETY: passed on to the caller.
                    unsafe {
                        core::arch::asm!(
                            $load,
                            value = out(reg) value,
                            address = in(reg) address,
                            options(nostack, preserves_flags)
                        );
                    }
                    value
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: passed on to the caller.
                unsafe {
                    address.read_volatile()
                }
            }

            #[inline(always)]
            unsafe fn store(address: *mut Self, value: Self) {
                #[cfg(target_arch = "aarch64")]
                // SAFETY: passed on to the caller.
                unsafe {
                    core::arch::asm!(
                        $store,
                        value = in(reg) value,
                        address = in(reg) address,
                        options(nostack, preserves_flags)
                    );
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: passed on to the caller.
                unsafe {
                    address.write_volatile(value);
                }
            }
        }
    };
}

width!(
    u8,
    "ldrb {value:w}, [{address}]",
    "strb {value:w}, [{address}]"
);
width!(
    u32,
    "ldr {value:w}, [{address}]",
    "str {value:w}, [{address}]"
);
width!(
    u64,
    "ldr {value:x}, [{address}]",
    "str {value:x}, [{address}]"
);

/// What the tests of this crate know about register writes on their own thread.
#[cfg(test)]
pub(crate) mod journal {
    use super::Width;
    use std::{cell::RefCell, collections::BTreeMap, vec::Vec};

    std::thread_local! {
        static WRITES: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
        static FROZEN: RefCell<BTreeMap<usize, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// Notes a write and returns what the register takes of it.
    pub(super) fn written<T: Width>(address: usize, old: T, new: T) -> T {
        let (old, new): (u64, u64) = (old.into(), new.into());
        WRITES.with_borrow_mut(|writes| writes.push((address, new)));
        let frozen = FROZEN.with_borrow(|map| map.get(&address).copied().unwrap_or(0));
        let taken = (new & !frozen) | (old & frozen);
        T::try_from(taken)
            .ok()
            .expect("both operands had the width")
    }

    /// From now on the register at `address` ignores writes to `bits`.
    pub(crate) fn freeze(address: usize, bits: u64) {
        FROZEN.with_borrow_mut(|map| map.insert(address, bits));
    }

    /// All writes of this thread since the last call: address and value, in order.
    pub(crate) fn take() -> Vec<(usize, u64)> {
        WRITES.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_write_leaves_its_neighbours() {
        let mut word = 0x1122_3344_u32;
        // SAFETY: the second byte of a local that nothing else touches meanwhile.
        let second = unsafe { Register::new(NonNull::from(&mut word).cast::<u8>().add(1)) };
        second.write(0xee);
        assert_eq!(second.read(), 0xee);
        assert_eq!(word.to_le_bytes(), [0x44, 0xee, 0x22, 0x11]);
    }
}

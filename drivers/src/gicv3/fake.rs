//! A GIC made of memory, for the tests of this folder.
//!
//! The frames are memory laid out like the device's: a write stays where it was made, and no write
//! has an effect elsewhere. That is enough to check what set-up writes, where, and (by the journal
//! of [`crate::mmio`]) in which order; how a GIC *behaves* is for QEMU to show. The system registers
//! are played with the bits that QEMU implements, and single bits can be made to stick.

use super::{
    Gic, GicError, Region,
    icc::{Icc, IccRegisters},
};
use std::{cell::RefCell, collections::BTreeMap, ptr::NonNull, vec, vec::Vec};

/// 64 KiB, the grain of the GIC's memory map.
pub(super) const PAGE: usize = 0x1_0000;

/// Memory that plays device registers.
pub(super) struct Memory(Vec<u64>);

impl Memory {
    pub(super) fn pages(count: usize) -> Self {
        Self(vec![0; count * PAGE / 8])
    }

    pub(super) fn base(&mut self) -> NonNull<u8> {
        NonNull::new(self.0.as_mut_ptr())
            .expect("a Vec is not null")
            .cast()
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.0.len() * 8
    }

    pub(super) fn set32(&mut self, offset: usize, value: u32) {
        // SAFETY: `word` checks the offset.
        unsafe { self.word(offset).write_volatile(value) };
    }

    pub(super) fn get32(&mut self, offset: usize) -> u32 {
        // SAFETY: `word` checks the offset.
        unsafe { self.word(offset).read_volatile() }
    }

    pub(super) fn get64(&mut self, offset: usize) -> u64 {
        assert_eq!(offset % 8, 0);
        u64::from(self.get32(offset)) | u64::from(self.get32(offset + 4)) << 32
    }

    pub(super) fn address(&mut self, offset: usize) -> usize {
        self.word(offset).addr()
    }

    fn word(&mut self, offset: usize) -> *mut u32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.len_bytes());
        self.base().as_ptr().wrapping_add(offset).cast()
    }
}

const PIDR2: usize = 0xffe8;
const GICR_TYPER: usize = 0x8;
pub(super) const GICR_WAKER: usize = 0x14;
const TYPER_LAST: u32 = 1 << 4;
pub(super) const TYPER_VLPIS: u32 = 1 << 1;

/// A distributor frame with `spis` SPIs, as a GIC with one security state shows itself.
pub(super) fn distributor(spis: u32) -> Memory {
    let mut memory = Memory::pages(1);
    memory.set32(0x0, 1 << 6);
    memory.set32(0x4, spis / 32);
    memory.set32(PIDR2, 0x3b);
    memory
}

/// A region with the redistributors of `cpus`, each `pages` long and with `flags` in its TYPER.
pub(super) fn redistributors(cpus: &[u64], pages: usize, flags: u32) -> Memory {
    let mut memory = Memory::pages(cpus.len() * pages);
    for (index, mpidr) in cpus.iter().enumerate() {
        let frame = index * pages * PAGE;
        let last = if index + 1 == cpus.len() {
            TYPER_LAST
        } else {
            0
        };
        memory.set32(frame + GICR_TYPER, flags | last);
        let affinity = (mpidr >> 8 & 0xff00_0000) as u32 | (mpidr & 0xff_ffff) as u32;
        memory.set32(frame + GICR_TYPER + 4, affinity);
        memory.set32(frame + GICR_WAKER, 0b010);
        memory.set32(frame + PIDR2, 0x3b);
    }
    memory
}

/// The whole of `memory` as a region.
pub(super) fn region(memory: &mut Memory) -> Region {
    Region {
        base: memory.base(),
        len_bytes: memory.len_bytes(),
        stride_bytes: None,
    }
}

/// A `Gic` on fake memory, which must outlive it.
pub(super) fn gic(distributor: &mut Memory, regions: &[Region]) -> Result<Gic, GicError> {
    // SAFETY: the tests keep the memory alive and leave it alone while the `Gic` works.
    unsafe { Gic::new(distributor.base(), regions) }
}

/// System registers that remember, with the bits of QEMU's `virt`.
#[derive(Debug)]
pub(super) struct FakeIcc {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<Icc, u64>,
    /// Register → bits that no write changes, and what they read.
    stuck: BTreeMap<Icc, (u64, u64)>,
    writes: Vec<(Icc, u64)>,
    reads: Vec<Icc>,
}

impl FakeIcc {
    /// Five priority bits; binary points no finer than those; SRE wired on.
    pub(super) fn like_qemu() -> Self {
        let fake = Self {
            state: RefCell::default(),
        };
        fake.set(Icc::Sre, 0b111);
        fake.set(Icc::Bpr0, 2);
        fake.set(Icc::Bpr1, 3);
        fake.set(Icc::Ap1r0, 1 << 4); // left active by firmware
        fake.stick(Icc::Ctlr, 0xffff_ff40, 4 << 8 | 1 << 15);
        fake.stick(Icc::Pmr, 0x07, 0);
        fake.stick(Icc::Bpr0, 0b111, 2);
        fake.stick(Icc::Bpr1, 0b111, 3);
        fake
    }

    /// From now on `bits` of the register read as in `value`, whatever is written.
    pub(super) fn stick(&self, register: Icc, bits: u64, value: u64) {
        let mut state = self.state.borrow_mut();
        let (old_bits, old_value) = state.stuck.get(&register).copied().unwrap_or_default();
        let stuck = (old_bits | bits, (old_value & !bits) | (value & bits));
        state.stuck.insert(register, stuck);
    }

    /// What hardware does to a register.
    pub(super) fn set(&self, register: Icc, value: u64) {
        self.state.borrow_mut().values.insert(register, value);
    }

    pub(super) fn writes(&self) -> Vec<(Icc, u64)> {
        self.state.borrow().writes.clone()
    }

    /// Every register that was read or written.
    pub(super) fn touched(&self) -> Vec<Icc> {
        let state = self.state.borrow();
        let written = state.writes.iter().map(|(register, _)| *register);
        state.reads.iter().copied().chain(written).collect()
    }
}

impl IccRegisters for FakeIcc {
    fn read(&self, register: Icc) -> u64 {
        let mut state = self.state.borrow_mut();
        state.reads.push(register);
        let value = state.values.get(&register).copied().unwrap_or(0);
        let (bits, stuck) = state.stuck.get(&register).copied().unwrap_or_default();
        (value & !bits) | stuck
    }

    unsafe fn write(&self, register: Icc, value: u64) {
        let mut state = self.state.borrow_mut();
        state.writes.push((register, value));
        state.values.insert(register, value);
    }

    fn synchronize(&self) {}
}

impl IccRegisters for &FakeIcc {
    fn read(&self, register: Icc) -> u64 {
        (**self).read(register)
    }

    unsafe fn write(&self, register: Icc, value: u64) {
        // SAFETY: passed on to the caller.
        unsafe { (**self).write(register, value) }
    }

    fn synchronize(&self) {}
}

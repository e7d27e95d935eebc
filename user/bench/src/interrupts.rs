//! A device's interrupt, and the program that handles it.
//!
//! The device is the machine's clock, a PL031 (ARM DDI 0224): its match register, set to what its counter
//! has, asserts its interrupt, and its mask lets that out. So one store raises a real line, level
//! triggered, and another ends it.

use super::child::refused;
use super::stretch::{Reading, Samples, TIMES, begin, end};
use super::threads::call_then_end;
use alloc::string::String;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use rt::object::Trigger;
use rt::syscall::Call;
use rt::thread::{Builder, default_priority};
use rt::{Irq, Machine, Mapping, Notification, Rights};

/// Where QEMU's `virt` has the clock, and its INTID.
const BASE: u64 = 0x901_0000;
const INTID: u32 = 32 + 2;

/// Its registers.
const DATA: usize = 0x00;
const MATCH: usize = 0x04;
const MASK: usize = 0x10;
const RAW: usize = 0x14;
const CLEAR: usize = 0x1c;

/// The registers, for the thread that raises the interrupt.
static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

struct Clock {
    registers: Mapping,
    irq: Irq,
    bell: Notification,
}

impl Clock {
    fn new() -> Result<Self, String> {
        let machine = rt::start::borrow::<Machine>("machine");
        let machine = machine.ok_or("this program was not given the machine")?;
        let memory = machine
            .device_memory(BASE, 4096)
            .map_err(refused("clock"))?;
        let registers = memory
            .map(Rights::READ.with(Rights::WRITE))
            .map_err(refused("clock"))?;
        let irq = machine
            .irq(INTID, Trigger::Level)
            .map_err(refused("clock's interrupt"))?;
        let bell = Notification::create().map_err(refused("notification"))?;
        let clock = Self {
            registers,
            irq,
            bell,
        };
        clock.write(MASK, 0);
        clock.write(CLEAR, 1);
        REGISTERS.store(clock.registers.pointer(), Relaxed);
        clock.irq.bind(&clock.bell, 1).map_err(refused("bind"))?;
        Ok(clock)
    }

    fn write(&self, register: usize, value: u32) {
        write(self.registers.pointer(), register, value);
    }
}

#[inline(always)]
fn write(registers: *mut u8, register: usize, value: u32) {
    // SAFETY: the register is mapped.
    unsafe { registers.add(register).cast::<u32>().write_volatile(value) }
}

fn read(registers: *mut u8, register: usize) -> u32 {
    // SAFETY: the register is mapped.
    unsafe { registers.add(register).cast::<u32>().read_volatile() }
}

/// Asserts the interrupt, masked: it comes as soon as the mask register is written.
fn prepare(registers: *mut u8) {
    write(registers, MASK, 0);
    while read(registers, RAW) & 1 == 0 {
        write(registers, MATCH, read(registers, DATA));
    }
}

/// From the store that raises the line (1 instruction) to the first instruction of the thread that
/// handles it, which is more urgent.
pub(crate) fn to_handler() -> Result<Samples, String> {
    static BEGAN: Reading = Reading::new();
    let clock = Clock::new()?;
    let raises = || {
        let registers = REGISTERS.load(Relaxed);
        for _ in 0..TIMES {
            prepare(registers);
            let start = begin::<6>();
            write(registers, MASK, 1);
            BEGAN.put(start);
        }
    };
    let low = Builder::new()
        .priority(default_priority() - 1)
        .spawn(raises)
        .map_err(refused("thread"))?;
    let mut before = 0;
    let mut differences = alloc::vec::Vec::with_capacity(TIMES);
    for round in 0..=TIMES {
        let ended = if round < TIMES {
            let handle = u64::from(clock.bell.handle().0);
            let ended = call_then_end::<6>(Call::Wait, handle, u64::MAX).0;
            clock.write(CLEAR, 1);
            clock.irq.acknowledge().map_err(refused("acknowledge"))?;
            ended
        } else {
            low.thread().wait().map_err(refused("join"))?;
            0
        };
        // What began the one before is told by now.
        if round > 0 {
            differences.push(u64::wrapping_sub(before, BEGAN.take()));
        }
        before = ended;
    }
    Samples::of_differences(differences, super::stretch::OVERHEAD)
}

/// From the same store to the instruction after it: the handler has run, ended the interrupt at the
/// device, acknowledged it and waits again.
pub(crate) fn episode() -> Result<Samples, String> {
    let clock = Clock::new()?;
    let raises = || {
        let registers = REGISTERS.load(Relaxed);
        Samples::of(|| {
            prepare(registers);
            let start = begin::<7>();
            write(registers, MASK, 1);
            Ok([start, end::<7>()])
        })
    };
    let low = Builder::new()
        .priority(default_priority() - 1)
        .spawn(raises)
        .map_err(refused("thread"))?;
    let handle = u64::from(clock.bell.handle().0);
    for _ in 0..TIMES {
        let _ = call_then_end::<6>(Call::Wait, handle, u64::MAX);
        clock.write(CLEAR, 1);
        clock.irq.acknowledge().map_err(refused("acknowledge"))?;
    }
    low.join()
        .map_err(refused("join"))?
        .ok_or("it was killed")?
}

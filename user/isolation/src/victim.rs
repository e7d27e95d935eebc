//! A process that executes what it is given, one instruction at a time, and faults after each.
//!
//! Its code is slots of two words: the instruction, and one that is undefined. So each slot ends in
//! exactly one fault, and where that is tells whether the instruction was executed.

use abi::message::{Fault, FaultKind, RESUME};
use alloc::boxed::Box;
use alloc::vec::Vec;
use rt::object::{MemoryKind, PAGE};
use rt::object::{Registers, ThreadStart, USES_FP};
use rt::time::Deadline;
use rt::{Endpoint, Error, Incoming, Mapping, Memory, Message, Process, Rights, Thread, abi};

/// Where its code is mapped.
pub(crate) const CODE: usize = 0x400_0000;
/// Where it has a page to read and write.
pub(crate) const DATA: usize = 0x800_0000;
/// Where it has a page to read.
pub(crate) const READ_ONLY: usize = 0x900_0000;
/// What the page to read begins with.
pub(crate) const READ_ONLY_WORD: u64 = 0x0123_4567_89ab_cdef;

/// `udf #0x15`.
const MARK: u32 = 0x15;
const SLOT_BYTES: usize = 8;
/// What it may cost; its memory is this process's.
const QUOTA_BYTES: usize = 256 << 10;

pub(crate) const READ: Rights = Rights::READ;
pub(crate) const READ_WRITE: Rights = Rights::READ.with(Rights::WRITE);
pub(crate) const READ_EXECUTE: Rights = Rights::READ.with(Rights::EXECUTE);

/// Whether its thread has FP and SIMD registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fp {
    /// It has.
    Used,
    /// Using one is a fault.
    None,
}

/// What became of an instruction.
pub(crate) enum Outcome {
    /// It was executed, and left these registers.
    Executed(Box<Registers>),
    /// It faulted.
    Refused(Fault),
}

/// The process. It ends with this.
pub(crate) struct Victim {
    process: Process,
    thread: Thread,
    faults: Endpoint,
    /// Its page to read and write, as it is mapped here.
    pub(crate) data: Mapping,
    /// The registers that its thread began with.
    pub(crate) first: Registers,
}

impl Victim {
    /// With those instructions, each in a slot of its own. Its thread is stopped.
    pub(crate) fn new(instructions: &[u32], fp: Fp) -> Result<Self, Error> {
        let process = Process::create("victim", QUOTA_BYTES)?;
        // The last slot is where the thread begins, and stops.
        let mut code = Vec::with_capacity((instructions.len() + 1) * SLOT_BYTES);
        for instruction in instructions.iter().chain([&MARK]) {
            code.extend_from_slice(&instruction.to_le_bytes());
            code.extend_from_slice(&MARK.to_le_bytes());
        }
        let entry = CODE + instructions.len() * SLOT_BYTES;
        give(&process, &code, CODE, READ_EXECUTE)?;
        give(&process, &READ_ONLY_WORD.to_le_bytes(), READ_ONLY, READ)?;
        let data = give(&process, &[0], DATA, READ_WRITE)?.map(READ_WRITE)?;
        let start = ThreadStart {
            entry: entry as u64,
            stack: (DATA + PAGE as usize) as u64,
            argument: 0,
            tls: 0,
            priority: rt::thread::default_priority(),
            flags: if fp == Fp::Used { USES_FP } else { 0 },
            cpus: [0; 2],
        };
        // SAFETY: it is another process.
        let thread = unsafe { Thread::create(&process, &start) }?;
        let faults = Endpoint::create()?;
        thread.set_fault_endpoint(Some(&faults))?;
        thread.resume()?;
        let mut victim = Self {
            process,
            thread,
            faults,
            data,
            first: Registers::default(),
        };
        let stopped = victim.faults.receive(Deadline::FOREVER)?;
        let fault = victim.fault(stopped)?;
        if fault.pc != entry as u64 {
            return Err(Error::WrongState);
        }
        victim.first = victim.thread.registers()?;
        Ok(victim)
    }

    /// Has it execute the instruction in that slot, with those registers; its PC and SP are set here.
    pub(crate) fn execute(&mut self, slot: usize, registers: &Registers) -> Result<Outcome, Error> {
        let pc = (CODE + slot * SLOT_BYTES) as u64;
        let registers = Registers {
            pc,
            sp: self.first.sp,
            ..*registers
        };
        // SAFETY: it is another process.
        unsafe { self.thread.set_registers(&registers) }?;
        let stopped = self
            .faults
            .reply_receive(Message::new(RESUME), Deadline::FOREVER)?;
        let fault = self.fault(stopped)?;
        let marked = fault.kind == FaultKind::Undefined as u64;
        if marked && fault.pc == pc + 4 {
            let registers = self.thread.registers()?;
            return Ok(Outcome::Executed(Box::new(registers)));
        }
        Ok(Outcome::Refused(fault))
    }

    /// Maps `memory` in it.
    pub(crate) fn map(&self, memory: &Memory, address: usize, rights: Rights) -> Result<(), Error> {
        // SAFETY: it is another process.
        unsafe { memory.map_into(&self.process, rights, address, 0, memory.bytes()?) }.map(drop)
    }

    /// Takes a range away from it.
    pub(crate) fn unmap(&self, address: usize, bytes: usize) -> Result<(), Error> {
        // SAFETY: it is another process.
        unsafe { rt::object::unmap(&self.process, address, bytes) }
    }

    fn fault(&self, incoming: Incoming) -> Result<Fault, Error> {
        match incoming {
            Incoming::Fault(fault, _) => Ok(fault),
            _ => Err(Error::WrongState),
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have ended. What it had is free again when the wait is over.
        let _ = self.process.kill(0);
        let _ = self.process.wait();
    }
}

/// Memory that begins with `content`, mapped in `process`.
pub(crate) fn give(
    process: &Process,
    content: &[u8],
    address: usize,
    rights: Rights,
) -> Result<Memory, Error> {
    let memory = Memory::create(content.len(), MemoryKind::Normal)?;
    let mapping = memory.map(READ_WRITE)?;
    mapping.write(0, content);
    drop(mapping);
    // SAFETY: it is another process.
    unsafe { memory.map_into(process, rights, address, 0, memory.bytes()?) }?;
    Ok(memory)
}

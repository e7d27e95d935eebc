//! A thread that executes a few instructions and stops.
//!
//! It is stopped by an undefined instruction behind them, whose fault comes here; so it is known exactly how
//! far it came and what its registers were. It can be a thread of this process or of another one.

use alloc::vec::Vec;
use core::cell::RefCell;

use rt::abi::message::{Fault, FaultKind, RESUME};
use rt::object::{MemoryKind, PAGE, Registers, ThreadStart, USES_FP};
use rt::time::Deadline;
use rt::{Endpoint, Error, Incoming, Mapping, Memory, Message, Process, Reply, Rights, Thread};

use crate::case::{Outcome, Wrong, equal, hold};

/// `udf #0x51`: where it stops.
pub(crate) const MARK: u32 = 0x51;
/// `svc #0`.
pub(crate) const SVC: u32 = 0xd400_0001;
/// `ldr x1, [x0]`.
pub(crate) const LOAD: u32 = 0xf940_0001;
/// `str x1, [x0]`.
pub(crate) const STORE: u32 = 0xf900_0001;
/// `br x0`.
pub(crate) const BRANCH: u32 = 0xd61f_0000;

pub(crate) const READ_WRITE: Rights = Rights::READ.with(Rights::WRITE);
const READ_EXECUTE: Rights = Rights::READ.with(Rights::EXECUTE);
const QUOTA_BYTES: usize = 128 << 10;

/// Whose thread it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// This process's.
    Here,
    /// Another process's, which is made for it.
    Elsewhere,
}

/// How a probe stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// What the message said.
    pub(crate) fault: Fault,
    /// The registers.
    pub(crate) registers: Registers,
}

/// The thread; it ends with this.
pub(crate) struct Probe {
    process: Option<Process>,
    /// The thread itself.
    pub(crate) thread: Thread,
    faults: Endpoint,
    /// With what it is told to go on.
    reply: RefCell<Option<Reply>>,
    /// Where its instructions are, for it.
    pub(crate) code: u64,
    code_bytes: u64,
    /// Where it has a page to read and write, for it.
    pub(crate) data: u64,
    /// The same page, here.
    pub(crate) page: Mapping,
}

/// The badge of its faults.
const BADGE: u64 = 0x9e7e;

impl Probe {
    /// With those instructions and no FP registers.
    pub(crate) fn new(place: Place, instructions: &[u32]) -> Result<Self, Wrong> {
        Self::with_flags(place, instructions, 0)
    }

    /// With FP registers.
    pub(crate) fn with_fp(place: Place, instructions: &[u32]) -> Result<Self, Wrong> {
        Self::with_flags(place, instructions, USES_FP)
    }

    fn with_flags(place: Place, instructions: &[u32], flags: u32) -> Result<Self, Wrong> {
        let process = match place {
            Place::Here => None,
            Place::Elsewhere => Some(Process::create("probe", QUOTA_BYTES)?),
        };
        let target = process.as_ref().unwrap_or(Process::own());
        let words = instructions.iter().chain([&MARK]);
        let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        let text = Memory::create(bytes.len(), MemoryKind::Normal)?;
        text.map(READ_WRITE)?.write(0, &bytes);
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        let page = memory.map(READ_WRITE)?;
        // SAFETY: the kernel chooses addresses that nothing is mapped at.
        let code = unsafe { text.map_into(target, READ_EXECUTE, 0, 0, text.bytes()?) }? as u64;
        // SAFETY: as above.
        let data = unsafe { memory.map_into(target, READ_WRITE, 0, 0, PAGE as usize) }? as u64;
        let code_bytes = bytes.len() as u64;
        let start = ThreadStart {
            entry: code + code_bytes - 4,
            stack: data + PAGE,
            priority: rt::thread::default_priority(),
            flags,
            ..ThreadStart::default()
        };
        // SAFETY: it executes what the case says, and touches what it was given; it stops before that.
        let thread = unsafe { Thread::create(target, &start) }?;
        let faults = Endpoint::create()?;
        thread.set_fault_endpoint(Some(&faults.sender(BADGE)?))?;
        thread.resume()?;
        let probe = Self {
            process,
            thread,
            faults,
            reply: RefCell::new(None),
            code,
            code_bytes,
            data,
            page,
        };
        let first = probe.stopped(probe.faults.receive(Deadline::FOREVER)?)?;
        equal!(first.fault.pc, probe.mark(), "where a new probe stops");
        Ok(probe)
    }

    /// Where it stops when all went well.
    pub(crate) fn mark(&self) -> u64 {
        self.code + self.code_bytes - 4
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().unwrap_or(Process::own())
    }

    /// Has it execute its instructions, with those registers; `pc` and `sp` are set here.
    pub(crate) fn run(&self, registers: Registers) -> Result<Stop, Wrong> {
        let sp = self.data + PAGE;
        self.run_exactly(Registers {
            pc: self.code,
            sp,
            ..registers
        })
    }

    /// Has it go on with exactly those registers.
    pub(crate) fn run_exactly(&self, registers: Registers) -> Result<Stop, Wrong> {
        // SAFETY: as for its first instruction.
        unsafe { self.thread.set_registers(&registers) }?;
        self.go_on()
    }

    /// Has it begin with its instructions, and does not wait until it stops.
    pub(crate) fn starts(&self, registers: Registers) -> Result<(), Wrong> {
        let registers = Registers {
            pc: self.code,
            sp: self.data + PAGE,
            ..registers
        };
        // SAFETY: as for its first instruction.
        unsafe { self.thread.set_registers(&registers) }?;
        self.answer(RESUME)
    }

    /// Has it go on where it stopped.
    pub(crate) fn go_on(&self) -> Result<Stop, Wrong> {
        self.answer(RESUME)?;
        self.stopped(self.faults.receive(Deadline::FOREVER)?)
    }

    /// The same; it must come to the end of its instructions.
    pub(crate) fn completes(&self, registers: Registers) -> Result<Registers, Wrong> {
        let stop = self.run(registers)?;
        equal!(
            (stop.fault.kind, stop.fault.pc),
            (FaultKind::Undefined as u64, self.mark()),
            "kind and place of the fault at its end"
        );
        Ok(stop.registers)
    }

    /// What its end looks like to who replies that it is not to go on.
    pub(crate) fn refuse(&self) -> Result<(), Wrong> {
        self.answer(u32::MAX)
    }

    fn answer(&self, label: u32) -> Result<(), Wrong> {
        let reply = self.reply.take().ok_or(Error::NoCaller)?;
        Ok(reply.reply(Message::new(label))?)
    }

    fn stopped(&self, incoming: Incoming) -> Result<Stop, Wrong> {
        let Incoming::Fault(fault, badge) = incoming else {
            return Err(Wrong(alloc::format!(
                "expected a fault, found {incoming:?}"
            )));
        };
        equal!(badge, BADGE, "the badge of a fault");
        *self.reply.borrow_mut() = Some(Reply::save()?);
        let registers = self.thread.registers()?;
        equal!(registers.pc, fault.pc, "the PC that the registers say");
        Ok(Stop { fault, registers })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        match &self.process {
            Some(process) => {
                let _ = process.kill(0);
                let _ = process.wait();
            }
            None => {
                let _ = self.thread.kill(0);
                let _ = self.thread.wait();
                for (address, bytes) in [(self.code, PAGE), (self.data, PAGE)] {
                    // SAFETY: the thread was the only one that used it, and has ended.
                    let _ = unsafe {
                        rt::object::unmap(Process::own(), address as usize, bytes as usize)
                    };
                }
            }
        }
    }
}

/// That a fault is as expected: its kind, what the instruction did there, where, and at which instruction.
pub(crate) fn is_fault(
    stop: &Stop,
    kind: FaultKind,
    access: rt::abi::message::Access,
    address: u64,
    pc: u64,
) -> Outcome {
    let found = (
        FaultKind::from_number(stop.fault.kind),
        rt::abi::message::Access::from_number(stop.fault.access),
        stop.fault.address,
        stop.fault.pc,
    );
    let expected = (Some(kind), Some(access), address, pc);
    hold!(
        found == expected,
        "the fault (kind, access, address, PC): expected {expected:x?}, found {found:x?}"
    );
    Ok(())
}

//! A process whose pages are there only when it looks: its faults come here, and it goes on.

use alloc::vec::Vec;

use rt::abi::message::{Fault, FaultKind, RESUME};
use rt::object::{MemoryKind, PAGE, Registers, ThreadStart, unmap};
use rt::time::Deadline;
use rt::{Endpoint, Incoming, Memory, Message, Process, Rights, Thread};

use crate::assembly::{PAGED_BYTES, petrel_storm_paged};
use crate::board::Post;
use crate::{Wrong, ensure};

/// Where its code is.
const CODE: usize = 0x400_0000;
/// Where its pages are to be.
const WINDOW: usize = 0x800_0000;
/// How many.
const PAGES: usize = 16;
/// Where in the code it says that all was right: the word before the last two.
const DONE: u64 = (CODE + PAGED_BYTES - 12) as u64;

const BOTH: Rights = Rights::READ.with(Rights::WRITE);

/// The process that is paged.
struct Paged {
    process: Process,
    thread: Thread,
    faults: Endpoint,
    pages: Vec<(usize, Memory)>,
}

/// The role.
pub(crate) fn run(post: &Post) -> Result<(), Wrong> {
    let mut paged = Paged::new()?;
    let first = paged.faults.receive(Deadline::FOREVER)?;
    let mut fault = of(first)?;
    let worked = post.work(|| {
        let key = post.random.number();
        paged.begin(key)?;
        fault = paged.resume()?;
        while fault.kind == FaultKind::NotMapped as u64 {
            paged.map(fault.address as usize, key)?;
            post.events(1);
            fault = paged.resume()?;
        }
        ensure!(
            fault.kind == FaultKind::Undefined as u64 && fault.pc == DONE,
            "the paged process stopped at {:#x}, fault {}, address {:#x}",
            fault.pc,
            fault.kind,
            fault.address
        );
        paged.finish(key)
    });
    paged.process.kill(0)?;
    paged.process.wait()?;
    worked
}

fn of(incoming: Incoming) -> Result<Fault, Wrong> {
    match incoming {
        Incoming::Fault(fault, _) => Ok(fault),
        _ => Err(Wrong::from("what arrived is no fault")),
    }
}

impl Paged {
    /// It waits in its first fault: nothing is mapped where it begins.
    fn new() -> Result<Self, Wrong> {
        let process = Process::create("paged", 256 << 10)?;
        let code = Memory::create(PAGED_BYTES, MemoryKind::Normal)?;
        // SAFETY: it is not written.
        code.map(BOTH)?.write(0, unsafe { &petrel_storm_paged });
        let rights = Rights::READ.with(Rights::EXECUTE);
        // SAFETY: it is another process.
        unsafe { code.map_into(&process, rights, CODE, 0, PAGE as usize) }?;
        let start = ThreadStart {
            entry: CODE as u64,
            stack: WINDOW as u64,
            priority: rt::thread::default_priority(),
            ..ThreadStart::default()
        };
        // SAFETY: it is another process.
        let thread = unsafe { Thread::create(&process, &start) }?;
        let faults = Endpoint::create()?;
        thread.set_fault_endpoint(Some(&faults))?;
        thread.resume()?;
        Ok(Self {
            process,
            thread,
            faults,
            pages: Vec::new(),
        })
    }

    /// Sends it to the beginning.
    fn begin(&self, key: u64) -> Result<(), Wrong> {
        let mut registers = Registers {
            pc: CODE as u64,
            sp: WINDOW as u64,
            ..Registers::default()
        };
        registers.x[..3].copy_from_slice(&[WINDOW as u64, PAGES as u64, key]);
        // SAFETY: it is another process.
        Ok(unsafe { self.thread.set_registers(&registers) }?)
    }

    /// Lets it go on; its next fault.
    fn resume(&self) -> Result<Fault, Wrong> {
        of(self
            .faults
            .reply_receive(Message::new(RESUME), Deadline::FOREVER)?)
    }

    /// Maps the page it wants.
    fn map(&mut self, address: usize, key: u64) -> Result<(), Wrong> {
        let page = address & !(PAGE as usize - 1);
        let expected = WINDOW + self.pages.len() * PAGE as usize;
        ensure!(page == expected, "it wants {address:#x}, not {expected:#x}");
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        memory
            .map(BOTH)?
            .write(0, &(page as u64 ^ key).to_le_bytes());
        // SAFETY: it is another process.
        unsafe { memory.map_into(&self.process, BOTH, page, 0, PAGE as usize) }?;
        self.pages.push((page, memory));
        Ok(())
    }

    /// It has seen all of them: what it wrote is there. Takes them away.
    fn finish(&mut self, key: u64) -> Result<(), Wrong> {
        ensure!(self.pages.len() == PAGES, "it saw {}", self.pages.len());
        for (page, memory) in self.pages.drain(..) {
            let mut word = [0; 8];
            memory.map(Rights::READ)?.read(8, &mut word);
            let (found, expected) = (u64::from_le_bytes(word), page as u64 ^ key);
            ensure!(
                found == expected,
                "in its page is {found:#x}, not {expected:#x}"
            );
        }
        // SAFETY: it is another process.
        Ok(unsafe { unmap(&self.process, WINDOW, PAGES * PAGE as usize) }?)
    }
}

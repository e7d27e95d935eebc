//! Arguments that are almost right.
//!
//! Each call gets what it asks for: a handle from the pool, an address where the process has memory, a
//! length that fits. Then, now and then, one argument becomes something else. So most calls get past
//! the first check, and many past all.

use rt::abi::handle::Kind;
use rt::abi::memory::{PAGE, USER_END, USER_START};
use rt::abi::message::Info;
use rt::abi::syscall::{Call, FOREVER};

use crate::pool::Pool;
use crate::random::Random;
use crate::verify::Registers;

/// Where the first thread has memory for calls to read and write. Behind each thread's is nothing.
pub const SCRATCH: u64 = 0x30_0000_0000;
/// Bytes of it.
pub const SCRATCH_BYTES: u64 = 4 * PAGE;
/// From one thread's to the next one's.
pub const SCRATCH_STRIDE: u64 = 16 * PAGE;
/// Where calls map and unmap.
pub const PLAYGROUND: u64 = 0x31_0000_0000;
/// Pages of it.
pub const PLAYGROUND_PAGES: u64 = 64;

/// What a thread draws its arguments from.
#[derive(Debug)]
pub struct Source<'a> {
    /// Its own numbers.
    pub random: Random,
    /// Handles that all threads know.
    pub pool: &'a Pool,
    /// The thread's own memory.
    pub scratch: u64,
    /// The time, in ticks.
    pub now: fn() -> u64,
    /// Where threads may begin that do no harm.
    pub harmless: u64,
    /// The process's own handle.
    pub itself: u64,
}

impl Source<'_> {
    /// The registers of the next call, and what is to lie in the scratch memory at `x1`, if something
    /// is: a structure, as words.
    pub fn draw(&mut self) -> (Registers, Option<[u64; 8]>) {
        let call = self.call();
        let mut x = [0; 14];
        for register in &mut x {
            *register = self.random.number();
        }
        x[8] = call.map_or_else(|| self.random.below(100), |call| call as u64);
        let structure = match call {
            Some(call) if call.carries_message() => {
                self.message(call, &mut x);
                None
            }
            Some(call) => self.plain(call, &mut x),
            None => None,
        };
        if self.random.once_in(12) {
            let register = self.random.below(4) as usize;
            x[register] = self.word();
        }
        (x, structure)
    }

    /// Which call; `None`: perhaps none.
    fn call(&mut self) -> Option<Call> {
        let call = self.random.of(Call::ALL);
        let seldom = match call {
            // After these there is not much left to try.
            Call::ProcessExit => 2000,
            Call::ThreadExit => 800,
            Call::ProcessKill => 8,
            Call::ThreadBindNotification => 4,
            // They print.
            Call::DebugWrite => 20,
            _ => 1,
        };
        match self.random.once_in(seldom) && !self.random.once_in(60) {
            true => Some(call),
            false if seldom > 1 => Some(Call::WhoAmI),
            false => None,
        }
    }

    fn handle(&mut self, kind: Kind) -> u64 {
        self.pool.pick(kind, &mut self.random)
    }

    /// Of any kind.
    fn any(&mut self) -> u64 {
        let kind = self.random.of(&Kind::ALL);
        self.handle(kind)
    }

    /// Two handles in a register.
    fn handles(&mut self) -> u64 {
        self.any() & 0xffff_ffff | self.any() << 32
    }

    /// What a call's first argument names, if it is an object.
    fn first(&mut self, call: Call) -> u64 {
        let kind = match call {
            // What is in one's own process others find again.
            Call::ThreadCreate | Call::MemoryMap | Call::MemoryUnmap if !self.random.once_in(3) => {
                return self.itself;
            }
            Call::HandleGive
            | Call::ProcessKill
            | Call::ProcessReport
            | Call::ThreadCreate
            | Call::MemoryMap
            | Call::MemoryUnmap => Kind::Process,
            Call::Watch => self.random.of(&[Kind::Process, Kind::Thread]),
            Call::ThreadResume
            | Call::ThreadSuspend
            | Call::ThreadKill
            | Call::ThreadSetPriority
            | Call::ThreadSetCpus
            | Call::ThreadSetFaultEndpoint
            | Call::ThreadReadRegisters
            | Call::ThreadWriteRegisters => Kind::Thread,
            Call::MemoryInspect => Kind::Memory,
            Call::ThreadBindNotification | Call::Signal | Call::Wait | Call::TimerSet => {
                Kind::Notification
            }
            Call::IrqBind | Call::IrqAcknowledge => Kind::Irq,
            Call::MachineIrq
            | Call::MachineDeviceMemory
            | Call::MachineQuery
            | Call::ConsoleTake
            | Call::ConsoleRead
            | Call::MachineWorkload
            | Call::MachineOff => Kind::Machine,
            _ => return self.any(),
        };
        self.handle(kind)
    }

    /// An address with so much memory behind it; or one near an edge.
    fn address(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.min(SCRATCH_BYTES);
        let end = self.scratch + SCRATCH_BYTES;
        match self.random.below(16) {
            0 => end - self.random.below(bytes + 8),
            1 => self.random.of(&[
                0,
                1,
                USER_START - 8,
                USER_START,
                USER_END - 8,
                USER_END,
                0xffff_ffc0_0000_0000,
                0xffff_8000_0000_0000,
                u64::MAX - 7,
                1 << 55,
                0xff00_0000_0000_0000 | self.scratch,
            ]),
            2 => self.playground(),
            3 => self.scratch + self.random.below(SCRATCH_BYTES - bytes + 1),
            _ => self.scratch + self.random.below((SCRATCH_BYTES - bytes) / 8 + 1) * 8,
        }
    }

    /// A page's address where calls map, most often one of few.
    fn playground(&mut self) -> u64 {
        let page = match self.random.below(4) {
            0 => self.random.below(PLAYGROUND_PAGES),
            _ => self.random.below(PLAYGROUND_PAGES / 8) * 8,
        };
        PLAYGROUND + page * PAGE
    }

    /// How many bytes.
    fn length(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.of(&[
                0,
                1,
                15,
                16,
                17,
                200,
                201,
                PAGE - 1,
                PAGE,
                PAGE + 1,
                1 << 20,
                1 << 32,
                USER_END,
                1 << 63,
                u64::MAX,
            ]),
            _ => self.random.below(256),
        }
    }

    /// Whole pages.
    fn pages(&mut self) -> u64 {
        match self.random.below(16) {
            0 => self.length(),
            1 => (1 + self.random.below(1 << 20)) * PAGE,
            2..5 => (1 + self.random.below(6)) * PAGE,
            _ => (1 + self.random.below(2)) * PAGE,
        }
    }

    /// When to stop waiting: mostly soon, because who waits tries nothing.
    fn deadline(&mut self) -> u64 {
        match self.random.below(1000) {
            0 => FOREVER,
            1..20 => (self.now)() + self.random.below(1 << 17),
            20..250 => (self.now)() + self.random.below(1 << 12),
            _ => self.random.below(2),
        }
    }

    fn rights(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.number(),
            1 => self.random.below(1 << 13),
            _ => (1 << 13) - 1,
        }
    }

    fn bits(&mut self) -> u64 {
        match self.random.below(3) {
            0 => self.random.number(),
            _ => 1 << self.random.below(64),
        }
    }

    /// Anything.
    fn word(&mut self) -> u64 {
        match self.random.below(8) {
            0 => self.random.number(),
            1 => self.any(),
            2 => self.address(64),
            3 => self.length(),
            4 => self.random.below(64),
            5 => !self.random.below(64),
            6 => self.bits(),
            _ => 0,
        }
    }

    fn message(&mut self, call: Call, x: &mut Registers) {
        x[9] = match call {
            Call::Reply if !self.random.once_in(3) => 0,
            Call::Reply => self.handle(Kind::Reply),
            _ => self.handle(Kind::Endpoint),
        };
        let words = self.random.below(9) as usize;
        let handles = self.random.of(&[0, 0, 0, 1, 2, 4]);
        let label = self.random.below(3) as u32;
        x[10] = Info::new(label, words).with_handles(handles).0;
        if self.random.once_in(10) {
            x[10] = self.random.number();
        }
        x[11] = self.deadline();
        (x[12], x[13]) = (self.handles(), self.handles());
    }

    fn plain(&mut self, call: Call, x: &mut Registers) -> Option<[u64; 8]> {
        x[0] = self.first(call);
        match call {
            Call::Null
            | Call::SaveReply
            | Call::Yield
            | Call::WhoAmI
            | Call::HandleClose
            | Call::HandleRevoke
            | Call::HandleInspect
            | Call::ThreadResume
            | Call::ThreadSuspend
            | Call::ThreadBindNotification
            | Call::EndpointCreate
            | Call::NotificationCreate
            | Call::IrqAcknowledge => {}
            Call::ThreadExit | Call::ProcessExit => x[0] = self.word(),
            Call::Sleep => x[0] = self.deadline(),
            Call::DebugWrite => {
                x[1] = self.length();
                x[0] = self.address(x[1]);
            }
            Call::HandleDuplicate => {
                x[1] = self.rights();
                x[2] = if self.random.once_in(2) {
                    0
                } else {
                    self.bits()
                };
            }
            Call::HandleGive => x[1] = self.any(),
            Call::ThreadSetFaultEndpoint => x[1] = self.handle(Kind::Endpoint),
            Call::ProcessCreate => {
                x[1] = self.random.below(18);
                x[0] = self.address(x[1]);
                x[2] = self.pages().wrapping_mul(8);
            }
            Call::ProcessReport => x[1] = self.address(128),
            Call::ThreadReadRegisters => x[1] = self.address(280),
            Call::ThreadWriteRegisters => x[1] = self.address(280),
            Call::Watch | Call::IrqBind | Call::ConsoleTake => {
                (x[1], x[2]) = (self.handle(Kind::Notification), self.bits());
            }
            Call::ProcessKill => {
                // Its own end comes soon enough.
                if x[0] == self.itself && !self.random.once_in(60) {
                    x[0] = 0;
                }
                x[1] = self.word();
            }
            Call::ThreadKill => x[1] = self.word(),
            Call::ThreadCreate => {
                x[1] = self.address(56);
                return Some(self.thread_start());
            }
            Call::ThreadSetPriority => x[1] = self.random.below(34),
            Call::ThreadSetCpus => (x[1], x[2]) = (self.random.below(32), self.random.below(2)),
            Call::MemoryCreate => {
                x[0] = self.pages();
                x[1] = u64::from(self.random.once_in(6));
            }
            Call::MemoryMap => {
                x[1] = self.address(32);
                return Some(self.mapping());
            }
            Call::MemoryUnmap => {
                x[1] = self.playground();
                x[2] = self.pages();
                if self.random.once_in(300) {
                    x[1] = self.address(PAGE) & !(PAGE - 1);
                }
            }
            Call::MemoryInspect => x[1] = self.random.below(8) * PAGE,
            Call::Signal => x[1] = self.bits(),
            Call::Wait => x[1] = self.deadline(),
            Call::TimerSet => (x[1], x[2]) = (self.deadline(), self.bits()),
            Call::MachineIrq => (x[1], x[2]) = (self.random.below(1024), self.random.below(3)),
            Call::MachineDeviceMemory => {
                x[1] = self.random.below(1 << 20) * PAGE;
                x[2] = self.pages();
            }
            Call::MachineQuery => {
                x[1] = self.random.below(8);
                x[3] = self.random.below(SCRATCH_BYTES);
                x[2] = self.address(x[3]);
                x[4] = self.random.of(&[0, 0, 1, 5, u64::MAX]);
            }
            Call::ConsoleRead | Call::MachineWorkload => {
                x[2] = self.length();
                x[1] = self.address(x[2]);
            }
            Call::MachineOff => {
                x[3] = self.length();
                x[2] = self.address(x[3]);
            }
            // They are messages, and were not brought here.
            Call::MessageCall | Call::ReplyReceive | Call::Receive | Call::Send | Call::Reply => {}
        }
        None
    }

    /// A `ThreadStart`.
    fn thread_start(&mut self) -> [u64; 8] {
        let entry = match self.random.below(60) {
            0 => self.word(),
            _ => self.harmless,
        };
        let priority = self.random.below(34);
        let flags = self.random.of(&[0, 1, 1, 1, 3]);
        let stack = (self.scratch + SCRATCH_BYTES) & !(self.random.below(40) / 30);
        let cpus = self.random.of(&[0, 0, 1, 3, 0xf, u64::MAX]);
        let argument = self.random.number();
        [
            entry,
            stack,
            argument,
            0,
            flags << 32 | priority,
            cpus,
            0,
            0,
        ]
    }

    /// A `Mapping`.
    fn mapping(&mut self) -> [u64; 8] {
        let memory = self.handle(Kind::Memory) & 0xffff_ffff;
        let rights = match self.random.below(6) {
            0 => self.random.number() & 0xffff_ffff,
            1 => 1 << 5 | 1 << 7,
            2 => 1 << 5,
            _ => 1 << 5 | 1 << 6,
        };
        let address = match self.random.below(12) {
            0 => 0,
            1 => self.address(PAGE) & !(PAGE - 1),
            2 => self.word(),
            _ => self.playground(),
        };
        let offset = self.random.of(&[0, 0, 0, PAGE, 8, u64::MAX - PAGE + 1]);
        [
            memory | rights << 32,
            address,
            offset,
            self.pages(),
            0,
            0,
            0,
            0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_call_comes_and_so_do_numbers_that_are_none() {
        let pool = Pool::new();
        let mut source = Source {
            random: Random::new(3),
            pool: &pool,
            scratch: SCRATCH,
            now: || 1000,
            harmless: 0x40_0000,
            itself: 1,
        };
        let mut counts = BTreeMap::new();
        for _ in 0..200_000 {
            let (x, structure) = source.draw();
            *counts.entry(x[8]).or_insert(0_u32) += 1;
            let call = Call::from_number(x[8]);
            let has = matches!(call, Some(Call::ThreadCreate | Call::MemoryMap));
            assert!(has || structure.is_none());
        }
        for call in Call::ALL {
            assert!(counts.contains_key(&(*call as u64)), "{call:?} never comes");
        }
        assert!(counts.contains_key(&7), "no number that is none");
    }
}

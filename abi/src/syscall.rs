//! System calls: numbers, and which registers carry what.
//!
//! A program puts the number into `x8` and executes `svc #0`. There are two shapes.
//!
//! **Plain calls**: arguments in `x0` to `x6`. Back come `x0` = status ([`Error`](crate::error::Error)
//! as a number, 0 when all went well) and `x1`, `x2`, `x3` = values. Every other register comes back as
//! it was.
//!
//! **Messages** ([`Call::carries_message`]): the eight words of the message are `x0` to `x7`, so that
//! they arrive in registers, where the sender had them:
//!
//! | register | in | out |
//! |---|---|---|
//! | `x0`-`x7` | words of the message | words of the message |
//! | `x9` | handle of an endpoint, or of a reply | status |
//! | `x10` | [`Info`](crate::message::Info) | `Info` of what arrived |
//! | `x11` | deadline, in ticks of `CNTVCT_EL0`: [`FOREVER`], [`AT_ONCE`], or a time | badge of what arrived |
//! | `x12`, `x13` | handles to give away, two in each | handles that arrived, two in each |
//!
//! `x9` and `x10` are written in any case; the others only when a message arrived.

/// A deadline that never comes.
pub const FOREVER: u64 = u64::MAX;
/// A deadline that has passed: do not wait.
pub const AT_ONCE: u64 = 0;

macro_rules! calls {
    ($( $(#[$about:meta])* $name:ident = $number:literal, )+) => {
        /// What is called.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Call { $( $(#[$about])* $name = $number, )+ }

        impl Call {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What that number calls.
            #[inline(always)]
            pub const fn from_number(number: u64) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$name), )+
                    _ => None,
                }
            }
        }
    };
}

calls! {
    /// Nothing. What a way in and out costs.
    Null = 0,

    /// Messages. `x9` = endpoint: sends, and waits for the reply, which arrives in the same registers.
    /// Rights: `SEND` and `CALL`.
    MessageCall = 1,
    /// `x9` = endpoint: replies to the caller this thread received from last, if it has not replied
    /// yet, and waits for the next message. Right: `RECEIVE`.
    ReplyReceive = 2,
    /// `x9` = endpoint: waits for a message, or for the thread's bound notification. Right: `RECEIVE`.
    Receive = 3,
    /// `x9` = endpoint: waits until somebody has received the message. Right: `SEND`.
    Send = 4,
    /// `x9` = a Reply handle, which is used up; or 0: the caller this thread received from last.
    Reply = 5,
    /// Turns the caller this thread received from last into a Reply handle. `x1` = the handle.
    SaveReply = 6,

    /// Lets others of this priority run first.
    Yield = 8,
    /// `x0` = deadline. Sleeps until then.
    Sleep = 9,
    /// `x0` = status. Ends the calling thread; the last one's status is the process's.
    ThreadExit = 10,
    /// `x0` = status. Ends the calling process.
    ProcessExit = 11,
    /// `x0` = address, `x1` = bytes (at most 200). Writes a line into the kernel's log.
    DebugWrite = 12,
    /// `x1` = the calling thread's number, `x2` = the process's, `x3` = the CPU's.
    WhoAmI = 13,

    /// `x0` = handle, `x1` = rights to keep, `x2` = badge: 0 keeps the badge there is; another needs
    /// a handle without one. `x1` = a new handle, derived from it. Right: `DUPLICATE`.
    HandleDuplicate = 16,
    /// `x0` = handle. It is one no longer.
    HandleClose = 17,
    /// `x0` = handle. All that was derived from it, wherever it is, is one no longer. Right: `REVOKE`.
    HandleRevoke = 18,
    /// `x0` = process, `x1` = handle. Moves the handle into the process's table. `x1` = what it is
    /// called there. Right on the process: `MANAGE`; on the handle: `TRANSFER`.
    HandleGive = 19,
    /// `x0` = handle. `x1` = [`Kind`](crate::handle::Kind), `x2` = rights, `x3` = badge.
    HandleInspect = 20,

    /// `x0` = address of the name, `x1` = its bytes (at most 16), `x2` = quota in bytes, taken from
    /// the caller's. `x1` = a process without threads. It ends when the caller's process does.
    ProcessCreate = 24,
    /// `x0` = process, `x1` = status. It ends, wherever its threads are. Right: `MANAGE`.
    ProcessKill = 25,
    /// `x0` = process, `x1` = address of a [`ProcessReport`](crate::report::ProcessReport). Right: `INSPECT`.
    ProcessReport = 26,
    /// `x0` = process or thread, `x1` = notification, `x2` = bits to signal when it has ended (0:
    /// nobody any more); those of the badge if the handle has one. Rights: `INSPECT`; `SIGNAL` on the notification.
    Watch = 27,

    /// `x0` = process, `x1` = address of a [`ThreadStart`](crate::thread::ThreadStart). `x1` = a thread
    /// that does not run yet. Right: `MANAGE`.
    ThreadCreate = 32,
    /// `x0` = thread. It runs for the first time, or goes on after [`Call::ThreadSuspend`]. Right: `MANAGE`.
    ThreadResume = 33,
    /// `x0` = thread. It stops before its next instruction at EL0. Waits until it has. Right: `MANAGE`.
    ThreadSuspend = 34,
    /// `x0` = thread, `x1` = status. Right: `MANAGE`.
    ThreadKill = 35,
    /// `x0` = thread, `x1` = priority (0 to 31, at most the caller's own). Right: `MANAGE`.
    ThreadSetPriority = 36,
    /// `x0` = thread, `x1` = bits 0 to 63 of the set of CPUs, `x2` = bits 64 to 127. Right: `MANAGE`.
    ThreadSetCpus = 37,
    /// `x0` = thread, `x1` = endpoint, or 0 for none. Its faults are calls to that endpoint. Rights:
    /// `MANAGE`; `SEND` on the endpoint.
    ThreadSetFaultEndpoint = 38,
    /// `x0` = thread that is suspended or waits for the reply to its fault, `x1` = address of
    /// [`Registers`](crate::thread::Registers), to be filled. Right: `INSPECT`.
    ThreadReadRegisters = 39,
    /// As [`Call::ThreadReadRegisters`], the other way. Right: `MANAGE`.
    ThreadWriteRegisters = 40,
    /// `x0` = notification, or 0. While the calling thread waits for a message it waits for the
    /// notification's bits as well. Right: `WAIT`.
    ThreadBindNotification = 41,

    /// `x0` = bytes (whole pages), `x1` = [`MemoryKind`](crate::memory::MemoryKind). `x1` = memory,
    /// zeroed, charged to the caller.
    MemoryCreate = 48,
    /// `x0` = process, `x1` = address of a [`Mapping`](crate::memory::Mapping). Rights: `MANAGE`; on the
    /// memory those that the mapping gives.
    MemoryMap = 49,
    /// `x0` = process, `x1` = address, `x2` = bytes. Right: `MANAGE`.
    MemoryUnmap = 50,
    /// `x0` = memory, `x1` = offset. `x1` = physical address (only of DMA memory; else 0), `x2` = bytes
    /// of the whole memory. Right: `INSPECT`.
    MemoryInspect = 51,

    /// `x1` = an endpoint, with all rights.
    EndpointCreate = 56,
    /// `x1` = a notification, with all rights.
    NotificationCreate = 57,
    /// `x0` = notification, `x1` = bits; those of the badge if the handle has one, here and wherever else a
    /// handle is given for bits to be signalled. Right: `SIGNAL`.
    Signal = 58,
    /// `x0` = notification, `x1` = deadline. `x1` = the bits, which are taken. Right: `WAIT`.
    Wait = 59,
    /// `x0` = notification, `x1` = deadline ([`FOREVER`]: never, which cancels), `x2` = bits to signal
    /// then. A notification has one timer. Right: `WAIT`.
    TimerSet = 60,

    /// `x0` = Irq, `x1` = notification, `x2` = bits; those of the badge if the handle has one. It is delivered from now on. Right: `MANAGE`.
    IrqBind = 64,
    /// `x0` = Irq. It has been handled, and may come again. Right: `MANAGE`.
    IrqAcknowledge = 65,

    /// `x0` = machine, `x1` = INTID of an SPI, `x2` = 0 level, 1 edge. `x1` = an Irq. Right: `MANAGE`.
    MachineIrq = 72,
    /// `x0` = machine, `x1` = physical address, `x2` = bytes; whole pages, no RAM, nothing the kernel
    /// uses itself. `x1` = memory. Right: `MANAGE`.
    MachineDeviceMemory = 73,
    /// `x0` = machine, `x1` = [`Query`](crate::report::Query), `x2` = address, `x3` = bytes, `x4` =
    /// index to begin at. `x1` = bytes written. Right: `INSPECT`.
    MachineQuery = 74,
    /// `x0` = machine, `x1` = notification, `x2` = bits to signal when there is output; those of the
    /// badge if the handle has one. From now on
    /// the kernel's lines wait for [`Call::ConsoleRead`], and it no longer drives the UART. Its
    /// pages are unmapped. Right: `MANAGE`.
    ConsoleTake = 75,
    /// `x0` = machine, `x1` = address, `x2` = bytes. `x1` = bytes of the kernel's lines. Right: `MANAGE`.
    ConsoleRead = 76,
    /// `x0` = machine, `x1` = address, `x2` = bytes of a workload as in `run=`. Runs it, waits for its
    /// end. `x1` = 0 passed, 1 failed. What it says goes to the log. Right: `MANAGE`.
    MachineWorkload = 77,
    /// `x0` = machine, `x1` = status, `x2` = address, `x3` = bytes: the verdict. Switches off. Right: `MANAGE`.
    MachineOff = 78,
}

impl Call {
    /// Whether its registers are those of a message.
    pub const fn carries_message(self) -> bool {
        matches!(
            self,
            Self::MessageCall | Self::ReplyReceive | Self::Receive | Self::Send | Self::Reply
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for call in Call::ALL {
            assert_eq!(Call::from_number(*call as u64), Some(*call));
        }
        assert_eq!(Call::from_number(7), None);
        assert_eq!(Call::from_number(u64::MAX), None);
    }
}

//! What the kernel tells about processes and about the machine.

/// Which list [`crate::syscall::Call::MachineQuery`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Query {
    /// [`ProcessReport`]s, of all processes that were not yet reclaimed.
    Processes = 1,
    /// [`ThreadReport`]s, of all threads, the kernel's included.
    Threads = 2,
    /// [`CpuReport`]s.
    Cpus = 3,
    /// One [`MemoryReport`].
    Memory = 4,
    /// [`IrqReport`]s, of the interrupts that are bound.
    Irqs = 5,
    /// One [`Devices`].
    Devices = 6,
}

impl Query {
    /// The query with that number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Processes,
            2 => Self::Threads,
            3 => Self::Cpus,
            4 => Self::Memory,
            5 => Self::Irqs,
            6 => Self::Devices,
            _ => return None,
        })
    }
}

/// A name of at most 16 bytes, padded with zeroes.
pub type Name = [u8; 16];

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProcessState {
    /// It runs, or has no thread yet.
    Alive = 0,
    /// Its last thread has ended with a status.
    Exited = 1,
    /// Somebody killed it.
    Killed = 2,
    /// It faulted, and nobody resumed it.
    Faulted = 3,
}

impl ProcessState {
    /// The state with that number.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Alive,
            1 => Self::Exited,
            2 => Self::Killed,
            3 => Self::Faulted,
            _ => return None,
        })
    }
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ProcessReport {
    /// Its number.
    pub number: u32,
    /// [`ProcessState`].
    pub state: u32,
    /// Its name.
    pub name: Name,
    /// What it ended with.
    pub status: u64,
    /// Its threads that live.
    pub threads: u32,
    /// Its handles.
    pub handles: u32,
    /// Bytes charged to it.
    pub used: u64,
    /// Bytes it may be charged.
    pub quota: u64,
    /// How long its threads that live have run, in ticks.
    pub ran_ticks: u64,
    /// If it faulted: [`crate::message::Fault`] as there.
    pub fault: [u64; 8],
}

/// What is known of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ThreadReport {
    /// Its number.
    pub number: u32,
    /// Its process's number; 0: the kernel's.
    pub process: u32,
    /// Its name, if it has one.
    pub name: Name,
    /// 0 to 31.
    pub priority: u32,
    /// The CPU it runs on, or ran on last.
    pub cpu: u32,
    /// [`ThreadState`].
    pub state: u32,
    /// 0.
    pub reserved: u32,
    /// How long it has run, in ticks.
    pub ran_ticks: u64,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ThreadState {
    /// It runs.
    Running = 0,
    /// It could.
    Ready = 1,
    /// It waits.
    Waiting = 2,
    /// It waits, until a deadline at the latest.
    Sleeping = 3,
    /// It is suspended, or was never resumed.
    Suspended = 4,
}

impl ThreadState {
    /// The state with that number.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Running,
            1 => Self::Ready,
            2 => Self::Waiting,
            3 => Self::Sleeping,
            4 => Self::Suspended,
            _ => return None,
        })
    }
}

/// What is known of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct CpuReport {
    /// Its number.
    pub number: u32,
    /// Threads that want to run there.
    pub load: u32,
    /// How long it has been idle, in ticks.
    pub idle_ticks: u64,
    /// Interrupts acknowledged, NMIs included.
    pub interrupts: u64,
    /// NMIs.
    pub nmis: u64,
    /// Switches of thread.
    pub switches: u64,
    /// Preemptions.
    pub preemptions: u64,
}

/// What is known of the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct MemoryReport {
    /// Bytes of RAM that the kernel manages.
    pub total: u64,
    /// Bytes of it that are free.
    pub free: u64,
    /// Bytes of the kernel's heap.
    pub heap: u64,
    /// Bytes of it that are given out.
    pub heap_used: u64,
    /// Bytes of kernel stacks, used or kept for the next thread.
    pub stacks: u64,
}

/// What is known of an interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct IrqReport {
    /// Its INTID.
    pub intid: u32,
    /// Whether it waits to be acknowledged.
    pub pending: u32,
    /// How often it came.
    pub count: u64,
}

/// Where devices are, from the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Devices {
    /// The PL011.
    pub uart: Device,
    /// How many of `virtio` mean something.
    pub virtio_count: u64,
    /// virtio-mmio slots, by rising address.
    pub virtio: [Device; 32],
}

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Device {
    /// The physical address of its registers.
    pub base: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its INTID.
    pub intid: u32,
    /// 0: level; 1: edge.
    pub edge: u32,
}

const _: () = {
    assert!(size_of::<ProcessReport>() == 128);
    assert!(size_of::<ThreadReport>() == 48);
    assert!(size_of::<CpuReport>() == 48);
    assert!(size_of::<MemoryReport>() == 40);
    assert!(size_of::<IrqReport>() == 16);
    assert!(size_of::<Devices>() == 24 + 8 + 32 * 24);
};

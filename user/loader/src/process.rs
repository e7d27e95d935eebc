//! Processes, made from the outside.
//!
//! Memory of the segments, stack and start page is charged to who loads, since the kernel charges who
//! makes it; what the program asks for later is charged to its own quota. It is freed when the process
//! has ended, because its mappings are all that keeps it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use abi::handle::Rights;
use abi::memory::{MemoryKind, PAGE};
use abi::start::{STACK_TOP, START_PAGE, name};
use abi::thread::{ThreadStart, USES_FP};
use rt::object::{Memory, Object, Owned, Process, Thread};
use rt::start::compose;

use crate::image::{Defect, Image};

/// The stack of the first thread, if nobody says otherwise.
pub const STACK_BYTES: usize = 256 << 10;

/// A handle for the new process.
#[derive(Debug)]
pub struct Grant {
    /// What it is for.
    pub name: String,
    /// The handle; it needs [`Rights::TRANSFER`].
    pub handle: Owned,
    /// What goes with it.
    pub detail: u32,
}

impl Grant {
    /// A handle under a name.
    pub fn new(name: &str, handle: impl Into<Owned>) -> Self {
        Self {
            name: String::from(name),
            handle: handle.into(),
            detail: 0,
        }
    }
}

/// What is to be made.
#[derive(Debug)]
pub struct Spec<'a> {
    /// The file's path, for errors.
    pub path: &'a str,
    /// The file. Nobody writes to it meanwhile.
    pub file: &'a [u8],
    /// The arguments, the program's name first: the process is called so.
    pub arguments: &'a [&'a str],
    /// The handles it is given, besides `process` and `thread`, which every process has.
    pub grants: Vec<Grant>,
    /// What it may be charged.
    pub quota_bytes: usize,
    /// Of the first thread; at most the caller's own.
    pub priority: u32,
    /// Of the first thread; whole pages.
    pub stack_bytes: usize,
}

/// A process whose first thread does not run yet. Dropped, the handles are closed, and nothing else.
#[derive(Debug)]
pub struct Loaded {
    /// The process.
    pub process: Process,
    /// Its first thread, to be resumed.
    pub thread: Thread,
}

/// Why a process was not made: one sentence that names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file.
    File(Defect),
    /// The kernel refused something: what for.
    Kernel(&'static str, rt::Error),
    /// Grants and arguments do not fit on the start page.
    StartPage,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.why {
            Why::File(defect) => write!(f, "{path}: {defect}"),
            Why::Kernel(what, error) => write!(f, "{path}: no {what}: {error}"),
            Why::StartPage => write!(f, "{path}: too many arguments"),
        }
    }
}

impl core::error::Error for LoadError {}

/// Makes a process of an ELF file.
///
/// # Errors
/// One sentence that names the file. What was made of the process is gone then.
pub fn load(spec: Spec<'_>) -> Result<Loaded, LoadError> {
    let path = spec.path.to_string();
    make(spec).map_err(|why| LoadError { path, why })
}

fn make(spec: Spec<'_>) -> Result<Loaded, Why> {
    let image = Image::parse(spec.file).map_err(Why::File)?;
    let called = spec.arguments.first().copied().unwrap_or(spec.path);
    let process =
        Process::create(called, spec.quota_bytes).map_err(|error| Why::Kernel("process", error))?;
    match fill(&process, &image, spec) {
        Ok(thread) => Ok(Loaded { process, thread }),
        Err(why) => {
            let _ = process.kill(0);
            Err(why)
        }
    }
}

/// Gives the process what it needs to run.
fn fill(process: &Process, image: &Image<'_>, spec: Spec<'_>) -> Result<Thread, Why> {
    for segment in &image.segments {
        let pieces = [(segment.offset as usize, segment.content)];
        let bytes = segment.bytes as usize;
        map(process, segment.address, bytes, &pieces, segment.rights)
            .map_err(|error| Why::Kernel("memory for its segments", error))?;
    }
    let both = Rights::READ.with(Rights::WRITE);
    let stack = STACK_TOP - spec.stack_bytes as u64;
    map(process, stack, spec.stack_bytes, &[], both)
        .map_err(|error| Why::Kernel("memory for its stack", error))?;
    let start = ThreadStart {
        entry: image.entry,
        stack: STACK_TOP,
        argument: START_PAGE,
        tls: 0,
        priority: spec.priority,
        flags: USES_FP,
        cpus: [0; 2],
    };
    // SAFETY: it is a thread of another process.
    let thread =
        unsafe { Thread::create(process, &start) }.map_err(|error| Why::Kernel("thread", error))?;
    let grants = give(process, &thread, spec.grants, spec.priority)
        .map_err(|error| Why::Kernel("handles for it", error))?;
    let page = compose(&grants, spec.arguments).ok_or(Why::StartPage)?;
    map(
        process,
        START_PAGE,
        PAGE as usize,
        &[(0, &page)],
        Rights::READ,
    )
    .map_err(|error| Why::Kernel("memory for its start page", error))?;
    Ok(thread)
}

/// Moves the handles into the process. What they are called there.
fn give(
    process: &Process,
    thread: &Thread,
    grants: Vec<Grant>,
    priority: u32,
) -> Result<Vec<abi::start::Grant>, rt::Error> {
    let itself = Grant::new("process", process.owned().duplicate(Rights::ALL, 0)?);
    let first = Grant {
        detail: priority,
        ..Grant::new("thread", thread.owned().duplicate(Rights::ALL, 0)?)
    };
    let mut given = Vec::new();
    for grant in [itself, first].into_iter().chain(grants) {
        given.push(abi::start::Grant {
            name: name(&grant.name),
            handle: grant.handle.give(process)?.0,
            detail: grant.detail,
        });
    }
    Ok(given)
}

/// Maps new memory with something in it.
fn map(
    process: &Process,
    address: u64,
    bytes: usize,
    pieces: &[(usize, &[u8])],
    rights: Rights,
) -> Result<(), rt::Error> {
    let memory = Memory::create(bytes, MemoryKind::Normal)?;
    if pieces.iter().any(|(_, piece)| !piece.is_empty()) {
        let here = memory.map(Rights::READ.with(Rights::WRITE))?;
        for (offset, piece) in pieces {
            here.write(*offset, piece);
        }
    }
    // SAFETY: it is another process.
    unsafe { memory.map_into(process, rights, address as usize, 0, bytes) }.map(drop)
}

//! User space as the kernel sees it: one program that is started from the init image, and nothing more.
//!
//! The first process gets all memory that is free as its quota, and handles of itself, its thread, the
//! machine and the image. What becomes of them is its affair; when it ends, the run has failed.

mod image;

use crate::mm::{PAGE, frames};
use crate::object::memory::Memory;
use crate::object::{Object, Process, Ref, ThreadObject};
use crate::start;
use crate::verdict;
use abi::error::Error;
use abi::handle::{Handle, Rights};
use abi::memory::MemoryKind;
use abi::report::ProcessReport;
use abi::start::{Grant, MAGIC, STACK_TOP, START_PAGE, StartHeader, name};
use abi::thread::{ThreadStart, USES_FP};
use alloc::vec::Vec;
use image::First;
use initrd::flat::Access;
use sched::Level;

/// Bytes of the first thread's stack.
const STACK_BYTES: u64 = 256 << 10;
/// Its priority: what it starts runs below or beside.
const PRIORITY: u32 = 20;
/// What the kernel keeps for itself of the memory that is free.
const KEPT_BYTES: u64 = 8 << 20;

/// Starts the first program. By the main thread, when the kernel's own workloads are done.
pub(crate) fn start() {
    match image::find() {
        Ok(first) => {
            if let Err(error) = run(&first) {
                verdict::fail(format_args!("init image: {}: {error}", image::NAME));
            }
        }
        Err(error) => verdict::fail(format_args!("{error}")),
    }
}

/// The first process has ended, which it must not.
pub(crate) fn first_ended(report: &ProcessReport) -> ! {
    verdict::fail(format_args!(
        "{} has ended: {}, status {}",
        image::NAME,
        match report.state {
            1 => "it exited",
            2 => "it was killed",
            _ => "it faulted",
        },
        report.status
    ))
}

fn run(first: &First) -> Result<(), Error> {
    let quota = frames::usage().0.saturating_sub(KEPT_BYTES);
    let process = Process::create(name(image::NAME), quota, None)?;
    for segment in first.program.segments() {
        let memory = Memory::create(
            MemoryKind::Normal,
            whole(segment.memory_bytes),
            &process.quota,
        )?;
        memory.write(0, segment.bytes)?;
        let rights = match segment.access {
            Access::ReadExecute => Rights::READ.with(Rights::EXECUTE),
            Access::Read => Rights::READ,
            Access::ReadWrite => Rights::READ.with(Rights::WRITE),
        };
        map(&process, memory, segment.address, rights)?;
    }
    let stack = Memory::create(MemoryKind::Normal, STACK_BYTES, &process.quota)?;
    let writable = Rights::READ.with(Rights::WRITE);
    map(&process, stack, STACK_TOP - STACK_BYTES, writable)?;

    let description = ThreadStart {
        entry: first.program.entry,
        stack: STACK_TOP,
        argument: START_PAGE,
        priority: PRIORITY,
        flags: USES_FP,
        ..ThreadStart::default()
    };
    let thread = ThreadObject::create(&process, &description, Level::HIGHEST)?;
    let pages = first.pages;
    let archive = Memory::fixed(pages.base(), pages.size())?;
    let readable = Rights::ALL.without(Rights::WRITE).without(Rights::EXECUTE);
    let handles = &process.handles;
    let grants = [
        grant(
            "process",
            handles.insert(Object::Process(process.clone()), Rights::ALL, 0, None)?,
            0,
        ),
        grant(
            "thread",
            handles.insert(Object::Thread(thread.clone()), Rights::ALL, 0, None)?,
            0,
        ),
        grant(
            "machine",
            handles.insert(Object::Machine, Rights::ALL, 0, None)?,
            0,
        ),
        grant(
            "initrd",
            handles.insert(Object::Memory(archive), readable, 0, None)?,
            pages.size() as u32,
        ),
    ];
    let page = start_page(&grants, &[image::NAME, start::info().bootargs])?;
    let memory = Memory::create(MemoryKind::Normal, whole(page.len() as u64), &process.quota)?;
    memory.write(0, &page)?;
    map(&process, memory, START_PAGE, Rights::READ)?;
    thread.resume()
}

fn grant(what: &str, handle: Handle, detail: u32) -> Grant {
    Grant {
        name: name(what),
        handle: handle.0,
        detail,
    }
}

fn whole(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

fn map(process: &Process, memory: Ref<Memory>, at: u64, rights: Rights) -> Result<(), Error> {
    let bytes = memory.bytes();
    process
        .space()?
        .map(memory, 0, bytes, at, rights)
        .map(|_| ())
}

/// The bytes of a start page ([`abi::start`]).
fn start_page(grants: &[Grant], arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let argument_bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    let mut page = Vec::new();
    let bytes = size_of::<StartHeader>() + size_of_val(grants) + argument_bytes;
    page.try_reserve_exact(bytes).map_err(|_| Error::NoMemory)?;
    page.extend_from_slice(&MAGIC.to_le_bytes());
    for word in [grants.len(), arguments.len(), argument_bytes, 0] {
        page.extend_from_slice(&(word as u32).to_le_bytes());
    }
    for grant in grants {
        page.extend_from_slice(&grant.name);
        page.extend_from_slice(&grant.handle.to_le_bytes());
        page.extend_from_slice(&grant.detail.to_le_bytes());
    }
    for argument in arguments {
        page.extend_from_slice(argument.as_bytes());
        page.push(0);
    }
    Ok(page)
}

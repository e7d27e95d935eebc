//! Bounds: of what is lent, of what names something, and of what points somewhere.

use rt::abi::handle::Handle;
use rt::abi::memory::USER_END;
use rt::object::{Object, Owned, PAGE, reply_to_caller, unmap};
use rt::syscall::{Call, plain};
use rt::time::Deadline;
use rt::{Endpoint, Error, Memory, Message, Process, Rights, Thread, start};

use crate::assistant::{self, Assistant, GREETING};
use crate::case::{Case, Outcome, World, Wrong, equal, message};
use crate::probe::READ_WRITE;

pub(crate) const CASES: &[Case] = &[
    ("hubris test_borrow_info", test_borrow_info),
    ("hubris test_borrow_read", test_borrow_read),
    ("hubris test_borrow_write", test_borrow_write),
    ("hubris test_fault_maxstatus", test_fault_maxstatus),
    ("hubris test_fault_badstatus", test_fault_badstatus),
    ("hubris test_fault_maxrestart", test_fault_maxrestart),
    ("hubris test_fault_badrestart", test_fault_badrestart),
    (
        "hubris test_fault_superinjection",
        test_fault_superinjection,
    ),
    ("hubris test_fault_selfinjection", test_fault_selfinjection),
    ("sel4test FRAMEDIPC0001", framedipc0001),
    ("sel4test FRAMEDIPC0002", framedipc0002),
];

/// What a client lends: memory to write and memory to read. It waits for the reply meanwhile.
fn borrowed(world: &World, look: impl FnOnce(&Memory, &Memory) -> Outcome) -> Outcome {
    let assistant = Assistant::start(world)?;
    let endpoint = Endpoint::create()?;
    let request = Message::new(assistant::LEND).give(endpoint.sender(0)?);
    assistant.requests.call(request)?;
    let (mut loan, _) = message(endpoint.receive(Deadline::FOREVER)?)?;
    let mut next = |at| loan.take(at).ok_or(Error::BadHandle);
    let to_write = Memory::from_owned(next(0)?)?;
    let to_read = Memory::from_owned(next(1)?)?;
    look(&to_write, &to_read)?;
    reply_to_caller(Message::new(0))?;
    Ok(())
}

/// Of what is lent it can be asked how much it is, and what is permitted with it.
fn test_borrow_info(world: &World) -> Outcome {
    borrowed(world, |to_write, to_read| {
        let look = Rights::INSPECT.with(Rights::TRANSFER).with(Rights::READ);
        for (memory, rights, bytes) in [
            (to_write, look.with(Rights::WRITE), PAGE as usize),
            (to_read, look, 2 * PAGE as usize),
        ] {
            equal!(memory.owned().inspect()?.rights, rights, "the rights");
            equal!(memory.bytes()?, bytes, "the bytes");
        }
        Ok(())
    })
}

/// What is lent to read can be read, all and in part, and not beyond its end; it cannot be written.
fn test_borrow_read(world: &World) -> Outcome {
    borrowed(world, |_, memory| {
        let mapping = memory.map(Rights::READ)?;
        let mut bytes = [0; GREETING.len()];
        mapping.read(0, &mut bytes);
        equal!(bytes, GREETING, "all of it");
        mapping.read(2, &mut bytes[..3]);
        equal!(bytes[..3], GREETING[2..], "a part of it");
        equal!(
            memory.map(READ_WRITE).err(),
            Some(Error::NoRight),
            "mapped to write"
        );
        let executable = Rights::READ.with(Rights::EXECUTE);
        equal!(
            memory.map(executable).err(),
            Some(Error::NoRight),
            "mapped to execute"
        );
        let size = memory.bytes()?;
        for (offset, bytes) in [
            (0, size + PAGE as usize),
            (size, PAGE as usize),
            (PAGE as usize, size),
            (usize::MAX - PAGE as usize + 1, 2 * PAGE as usize),
            (8, PAGE as usize),
            (0, 0),
        ] {
            // SAFETY: the kernel chooses the address.
            let mapped = unsafe { memory.map_into(Process::own(), Rights::READ, 0, offset, bytes) };
            equal!(
                mapped.err(),
                Some(Error::BadArgument),
                "{bytes} bytes from {offset:#x} on"
            );
        }
        Ok(())
    })
}

/// What is lent to write holds what was written, all and in part, to everybody who has it.
fn test_borrow_write(world: &World) -> Outcome {
    borrowed(world, |memory, _| {
        let (mapping, again) = (memory.map(READ_WRITE)?, memory.map(Rights::READ)?);
        let mut found = [0; 16];
        mapping.write(0, b"hello, world(s)!");
        again.read(0, &mut found);
        equal!(&found, b"hello, world(s)!", "all of it");
        mapping.write(7, b"llama");
        again.read(0, &mut found);
        equal!(&found, b"hello, llama(s)!", "after a part was written");
        Ok(())
    })
}

/// A process, under a handle that may be anything. It is not closed.
fn process(handle: Handle) -> core::mem::ManuallyDrop<Process> {
    core::mem::ManuallyDrop::new(Process::assume(Owned::new(handle)))
}

/// Handles that name nothing: none, the largest, ones that were closed.
fn nothing() -> Result<[Handle; 4], Wrong> {
    let closed = Process::own().duplicate(Rights::ALL)?.handle();
    let other = Endpoint::create()?.handle();
    Ok([Handle::NONE, Handle(u32::MAX), closed, other])
}

/// The state of what no handle can name is not told.
fn test_fault_maxstatus(_: &World) -> Outcome {
    let found = process(Handle(u32::MAX)).report().map(|_| ());
    equal!(found, Err(Error::BadHandle), "the report");
    Ok(())
}

/// The state of what a handle named once, or of what is no process, is not told.
fn test_fault_badstatus(_: &World) -> Outcome {
    for handle in nothing()? {
        let found = process(handle).report().map(|_| ());
        equal!(found, Err(Error::BadHandle), "the report of {handle:?}");
    }
    let endpoint = Endpoint::create()?;
    let found = process(endpoint.handle()).report().map(|_| ());
    equal!(found, Err(Error::WrongKind), "the report of an endpoint");
    Ok(())
}

/// What no handle can name cannot be ended, suspended, or resumed.
fn test_fault_maxrestart(_: &World) -> Outcome {
    let handle = Handle(u32::MAX);
    equal!(process(handle).kill(0), Err(Error::BadHandle), "the kill");
    let thread = core::mem::ManuallyDrop::new(Thread::assume(Owned::new(handle)));
    for (what, found) in [
        ("kill", thread.kill(0)),
        ("suspend", thread.suspend()),
        ("resume", thread.resume()),
    ] {
        equal!(found, Err(Error::BadHandle), "the {what} of a thread");
    }
    Ok(())
}

/// What a handle named once cannot be ended by it, nor what is of another kind.
fn test_fault_badrestart(_: &World) -> Outcome {
    for handle in nothing()? {
        equal!(
            process(handle).kill(0),
            Err(Error::BadHandle),
            "the kill of {handle:?}"
        );
    }
    let thread = process(start::first_thread().handle()).kill(0);
    equal!(thread, Err(Error::WrongKind), "a thread ended as a process");
    Ok(())
}

/// Who may only look at a process can neither end it nor give it anything.
fn test_fault_superinjection(world: &World) -> Outcome {
    let assistant = Assistant::start(world)?;
    let look = assistant.process.duplicate(Rights::INSPECT)?;
    equal!(look.kill(0), Err(Error::NoRight), "the kill");
    let gift = Owned::from(Endpoint::create()?).give(&look);
    equal!(gift, Err(Error::NoRight), "a handle given to it");
    let more = look.duplicate(Rights::ALL).err();
    equal!(more, Some(Error::NoRight), "more rights");
    equal!(
        assistant.ask(assistant::ECHO, 1)?,
        !1,
        "what it says afterwards"
    );
    Ok(())
}

/// A program cannot take rights to itself that it was not given: a weaker handle stays weaker.
fn test_fault_selfinjection(_: &World) -> Outcome {
    let look = Process::own().duplicate(Rights::INSPECT.with(Rights::DUPLICATE))?;
    let same = look.duplicate(Rights::INSPECT)?;
    for handle in [&look, &same] {
        equal!(handle.kill(0), Err(Error::NoRight), "the end of itself");
        // SAFETY: refused, or the page of the program's that begins there is taken, which no case survives.
        let taken = unsafe { unmap(handle, 0x40_0000, PAGE as usize) };
        equal!(taken, Err(Error::NoRight), "its own memory taken away");
    }
    Ok(())
}

/// Where a call is to write a report, memory that is the kernel's, nobody's, or read-only is refused.
fn framedipc0001(_: &World) -> Outcome {
    let own = u64::from(Process::own().handle().0);
    for address in [
        0,
        8,
        USER_END - 8,
        USER_END,
        0xffff_ff80_4000_0000,
        0xffff_ffc0_0000_0000,
        u64::MAX - 4,
        // Its own instructions.
        framedipc0001 as *const () as u64,
    ] {
        // SAFETY: refused, or it writes over this program, which no case survives.
        let found = unsafe { plain(Call::ProcessReport, [own, address]) }.err();
        equal!(
            found,
            Some(Error::BadAddress),
            "a report written to {address:#x}"
        );
    }
    Ok(())
}

/// A structure that a call reads or writes, half of which is mapped, is refused as a whole.
fn framedipc0002(_: &World) -> Outcome {
    let memory = Memory::create(PAGE as usize, rt::object::MemoryKind::Normal)?;
    const ALONE: usize = 0x32_0000_0000;
    // SAFETY: nobody else uses that address.
    unsafe { memory.map_into(Process::own(), READ_WRITE, ALONE, 0, PAGE as usize) }?;
    let end = ALONE as u64 + PAGE;
    let own = u64::from(Process::own().handle().0);
    for inside in [1, 8, 100] {
        // SAFETY: the page is this case's.
        let report = unsafe { plain(Call::ProcessReport, [own, end - inside]) }.err();
        equal!(
            report,
            Some(Error::BadAddress),
            "a report with {inside} bytes mapped"
        );
        // SAFETY: as above.
        let mapping = unsafe { plain(Call::MemoryMap, [own, end - inside.min(24)]) }.err();
        equal!(
            mapping,
            Some(Error::BadAddress),
            "a mapping with {inside} bytes mapped"
        );
    }
    // SAFETY: as above.
    unsafe { unmap(Process::own(), ALONE, PAGE as usize) }?;
    Ok(())
}

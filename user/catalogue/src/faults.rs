//! Faults: what is told of them, and that who is told can repair them.

use rt::abi::message::{Access, FaultKind};
use rt::object::{MemoryKind, PAGE, ProcessState, Registers, unmap};
use rt::{Error, Mapping, Memory, Rights};

use crate::case::{Case, Outcome, World, Wrong, equal, hold};
use crate::probe::{BRANCH, LOAD, MARK, Place, Probe, READ_WRITE, STORE, SVC, is_fault};

pub(crate) const CASES: &[Case] = &[
    ("sel4test PAGEFAULT0001", |_| read(Place::Here)),
    ("sel4test PAGEFAULT0002", |_| write(Place::Here)),
    ("sel4test PAGEFAULT0003", |_| execute(Place::Here)),
    ("sel4test PAGEFAULT0004", |_| unknown_call(Place::Here)),
    ("sel4test PAGEFAULT0005", |_| undefined(Place::Here)),
    ("sel4test PAGEFAULT1001", |_| read(Place::Elsewhere)),
    ("sel4test PAGEFAULT1002", |_| write(Place::Elsewhere)),
    ("sel4test PAGEFAULT1003", |_| execute(Place::Elsewhere)),
    ("sel4test PAGEFAULT1004", |_| unknown_call(Place::Elsewhere)),
    ("sel4test PAGEFAULT1005", |_| undefined(Place::Elsewhere)),
    ("sel4test BREAK_REQUEST_001", break_request_001),
    ("hubris test_fault_badmem", test_fault_badmem),
    ("hubris test_fault_stackoverflow", test_fault_stackoverflow),
    ("hubris test_fault_execdata", test_fault_execdata),
    ("hubris test_fault_illop", test_fault_illop),
    ("hubris test_fault_nullexec", test_fault_nullexec),
    ("hubris test_fault_textoob", test_fault_textoob),
    ("hubris test_fault_stackoob", test_fault_stackoob),
    ("hubris test_fault_buserror", test_fault_buserror),
    ("hubris test_fault_illinst", test_fault_illinst),
    ("hubris test_fault_divzero", test_fault_divzero),
    ("hubris test_recv_reply_fault", test_recv_reply_fault),
];

/// Where nothing is mapped before a case does it.
const NOWHERE: u64 = 0x30_0000_0000;
/// What is found there then.
const VALUE: u64 = 0x1234_5678_9abc;

/// A page at [`NOWHERE`] of a probe's process, until this is dropped.
struct Page<'a> {
    probe: &'a Probe,
    here: Mapping,
}

impl<'a> Page<'a> {
    fn map(probe: &'a Probe, content: &[u8], rights: Rights) -> Result<Self, Error> {
        let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
        let here = memory.map(READ_WRITE)?;
        here.write(0, content);
        // SAFETY: nobody but the probe uses that address.
        unsafe { memory.map_into(probe.process(), rights, NOWHERE as usize, 0, PAGE as usize) }?;
        Ok(Self { probe, here })
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // SAFETY: as for `map`.
        let _ = unsafe { unmap(self.probe.process(), NOWHERE as usize, PAGE as usize) };
    }
}

fn at(address: u64) -> Registers {
    let mut registers = Registers::default();
    registers.x[0] = address;
    registers.x[1] = VALUE;
    registers
}

/// That a probe whose fault was repaired comes to its end.
fn goes_on(probe: &Probe) -> Result<Registers, Wrong> {
    let stop = probe.go_on()?;
    equal!(
        stop.fault.pc,
        probe.mark(),
        "where it stops when it was resumed"
    );
    Ok(stop.registers)
}

/// A read where nothing is mapped is told with its address; when a page was mapped there, it reads that.
fn read(place: Place) -> Outcome {
    let probe = Probe::new(place, &[LOAD])?;
    let stop = probe.run(Registers {
        x: at(NOWHERE + 8).x,
        ..Registers::default()
    })?;
    is_fault(
        &stop,
        FaultKind::NotMapped,
        Access::Read,
        NOWHERE + 8,
        probe.code,
    )?;
    let mut content = [0; 16];
    content[8..].copy_from_slice(&7_u64.to_le_bytes());
    let _page = Page::map(&probe, &content, Rights::READ)?;
    equal!(goes_on(&probe)?.x[1], 7, "what was read");
    Ok(())
}

/// A write where nothing is mapped, or where only reading is permitted; when it is, it is done once.
fn write(place: Place) -> Outcome {
    let probe = Probe::new(place, &[STORE])?;
    let stop = probe.run(at(NOWHERE))?;
    is_fault(
        &stop,
        FaultKind::NotMapped,
        Access::Write,
        NOWHERE,
        probe.code,
    )?;
    {
        let page = Page::map(&probe, &[1], Rights::READ)?;
        let stop = probe.go_on()?;
        is_fault(
            &stop,
            FaultKind::NotPermitted,
            Access::Write,
            NOWHERE,
            probe.code,
        )?;
        let mut byte = [0];
        page.here.read(0, &mut byte);
        equal!(byte, [1], "a page that may only be read");
    }
    let page = Page::map(&probe, &[0], READ_WRITE)?;
    goes_on(&probe)?;
    let mut word = [0; 8];
    page.here.read(0, &mut word);
    equal!(u64::from_le_bytes(word), VALUE, "what was written");
    Ok(())
}

/// A jump to where nothing is mapped is told with the target as PC; when code was mapped there, it runs.
fn execute(place: Place) -> Outcome {
    let probe = Probe::new(place, &[BRANCH])?;
    let stop = probe.run(at(NOWHERE))?;
    is_fault(
        &stop,
        FaultKind::NotMapped,
        Access::Execute,
        NOWHERE,
        NOWHERE,
    )?;
    // `mov x1, #5`, and the mark.
    let code = [0xd280_00a1_u32.to_le_bytes(), MARK.to_le_bytes()].concat();
    let _page = Page::map(&probe, &code, Rights::READ.with(Rights::EXECUTE))?;
    let stop = probe.go_on()?;
    is_fault(&stop, FaultKind::Undefined, Access::None, 0, NOWHERE + 4)?;
    equal!(stop.registers.x[1], 5, "what the code there did");
    Ok(())
}

/// A system call that there is not is no fault: the caller is told so and goes on.
fn unknown_call(place: Place) -> Outcome {
    let probe = Probe::new(place, &[SVC])?;
    let mut registers = Registers::default();
    registers.x[8] = 0x1234;
    equal!(
        probe.completes(registers)?.x[0],
        Error::NoSuchCall as u64,
        "the status"
    );
    Ok(())
}

/// An undefined instruction is told with its PC; the handler can go on behind it.
fn undefined(place: Place) -> Outcome {
    // `udf #7`, `mov x1, #5`.
    let probe = Probe::new(place, &[7, 0xd280_00a1])?;
    let stop = probe.run(Registers::default())?;
    is_fault(&stop, FaultKind::Undefined, Access::None, 0, probe.code)?;
    let mut behind = stop.registers;
    behind.pc += 4;
    let stop = probe.run_exactly(behind)?;
    equal!(
        (stop.fault.pc, stop.registers.x[1]),
        (probe.mark(), 5),
        "PC and x1 after it"
    );
    Ok(())
}

/// A breakpoint instruction is told as one, where it is; the handler can go on behind it.
fn break_request_001(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[0xd420_0000])?;
    let stop = probe.run(Registers::default())?;
    is_fault(&stop, FaultKind::Debug, Access::None, 0, probe.code)?;
    let mut behind = stop.registers;
    behind.pc += 4;
    equal!(
        probe.run_exactly(behind)?.fault.pc,
        probe.mark(),
        "where it stops next"
    );
    Ok(())
}

/// An access to an address near 0 is told with exactly that address.
fn test_fault_badmem(_: &World) -> Outcome {
    for address in [0, 5, 0xfff8] {
        for (instruction, access) in [(LOAD, Access::Read), (STORE, Access::Write)] {
            let probe = Probe::new(Place::Elsewhere, &[instruction])?;
            let stop = probe.run(at(address))?;
            is_fault(&stop, FaultKind::NotMapped, access, address, probe.code)?;
        }
    }
    Ok(())
}

/// A stack that overflows faults at the first word below it, and writes nothing there.
fn test_fault_stackoverflow(_: &World) -> Outcome {
    // `str x1, [sp, #-16]!`, `b` back to it.
    let probe = Probe::new(Place::Elsewhere, &[0xf81f_0fe1, 0x17ff_ffff])?;
    let page = Page::map(&probe, &[0], READ_WRITE)?;
    let stop = probe.run_exactly(Registers {
        sp: NOWHERE + PAGE,
        pc: probe.code,
        ..at(0)
    })?;
    is_fault(
        &stop,
        FaultKind::NotMapped,
        Access::Write,
        NOWHERE - 16,
        probe.code,
    )?;
    equal!(stop.fault.sp, NOWHERE, "the SP that is told");
    for slot in 0..PAGE as usize / 16 {
        let mut word = [0; 8];
        page.here.read(slot * 16, &mut word);
        equal!(u64::from_le_bytes(word), VALUE, "word {slot} of the stack");
    }
    Ok(())
}

/// Data cannot be executed.
fn test_fault_execdata(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[BRANCH])?;
    let stop = probe.run(at(probe.data))?;
    is_fault(
        &stop,
        FaultKind::NotPermitted,
        Access::Execute,
        probe.data,
        probe.data,
    )
}

/// What only the kernel may execute is undefined to a program.
fn test_fault_illop(_: &World) -> Outcome {
    // `msr daifset, #2`, `mrs x1, sctlr_el1`, `eret`, `hvc #0`, `tlbi vmalle1`.
    for instruction in [
        0xd503_42df,
        0xd538_1001,
        0xd69f_03e0,
        0xd400_0002,
        0xd508_871f,
    ] {
        let probe = Probe::new(Place::Elsewhere, &[instruction])?;
        let stop = probe.run(Registers::default())?;
        is_fault(&stop, FaultKind::Undefined, Access::None, 0, probe.code)?;
    }
    Ok(())
}

/// A jump to address 0 faults there; one to an odd address is misaligned.
fn test_fault_nullexec(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[BRANCH])?;
    let stop = probe.run(at(0))?;
    is_fault(&stop, FaultKind::NotMapped, Access::Execute, 0, 0)?;
    let odd = probe.code + 1;
    let stop = probe.run(at(odd))?;
    is_fault(&stop, FaultKind::Misaligned, Access::Execute, odd, odd)
}

/// A jump behind the end of its code faults at the first instruction that is not there.
fn test_fault_textoob(_: &World) -> Outcome {
    // `nop`.
    let page = [0xd503_201f_u32.to_le_bytes(); PAGE as usize / 4].concat();
    let probe = Probe::new(Place::Elsewhere, &[BRANCH])?;
    let _page = Page::map(&probe, &page, Rights::READ.with(Rights::EXECUTE))?;
    let stop = probe.run(at(NOWHERE + PAGE - 64))?;
    let end = NOWHERE + PAGE;
    is_fault(&stop, FaultKind::NotMapped, Access::Execute, end, end)
}

/// A stack pointer that leads outside faults when it is used, and not before.
fn test_fault_stackoob(_: &World) -> Outcome {
    // `ldr x1, [sp]`.
    let probe = Probe::new(Place::Elsewhere, &[0xf940_03e1])?;
    let stop = probe.run_exactly(Registers {
        sp: NOWHERE,
        pc: probe.code,
        ..Registers::default()
    })?;
    is_fault(
        &stop,
        FaultKind::NotMapped,
        Access::Read,
        NOWHERE,
        probe.code,
    )
}

/// An access that memory cannot make, an exclusive one at an odd address, is told as misaligned.
fn test_fault_buserror(_: &World) -> Outcome {
    // `ldxr x1, [x0]`.
    let probe = Probe::new(Place::Elsewhere, &[0xc85f_7c01])?;
    let odd = probe.data + 1;
    let stop = probe.run(at(odd))?;
    is_fault(&stop, FaultKind::Misaligned, Access::Read, odd, probe.code)
}

/// Words that no instruction has are undefined.
fn test_fault_illinst(_: &World) -> Outcome {
    for word in [0, 0xffff_ffff, 0x0000_ffff] {
        let probe = Probe::new(Place::Elsewhere, &[word])?;
        let stop = probe.run(Registers::default())?;
        is_fault(&stop, FaultKind::Undefined, Access::None, 0, probe.code)?;
    }
    Ok(())
}

/// A division by 0 gives 0, as the architecture has it, and no fault.
fn test_fault_divzero(_: &World) -> Outcome {
    // `udiv x1, x2, x3`, `sdiv x4, x2, x3`.
    let probe = Probe::new(Place::Elsewhere, &[0x9ac3_0841, 0x9ac3_0c44])?;
    let mut registers = at(0);
    registers.x[2] = 99;
    registers.x[4] = 98;
    let after = probe.completes(registers)?;
    equal!((after.x[1], after.x[4]), (0, 0), "the quotients");
    Ok(())
}

/// Who handles a fault may refuse to go on: then the process ends, and its record says what it did.
fn test_recv_reply_fault(_: &World) -> Outcome {
    let probe = Probe::new(Place::Elsewhere, &[LOAD])?;
    let stop = probe.run(at(NOWHERE))?;
    probe.refuse()?;
    let report = probe.process().wait()?;
    equal!(report.state, ProcessState::Faulted as u32, "how it ended");
    equal!(
        (report.fault[0], report.fault[2], report.fault[3]),
        (stop.fault.kind, NOWHERE, probe.code),
        "kind, address and PC on record"
    );
    hold!(
        probe.thread.registers().is_err(),
        "the thread is still there"
    );
    Ok(())
}

//! Interrupts as bits: delivered once, held until they are acknowledged, and owned by one process.
//!
//! The interrupt is that of the machine's clock (PL031, DDI 0224), which asserts its level when the time is
//! that of its match register, and does so at once when the time of now is written there.

use rt::abi::report::IrqReport;
use rt::object::{Irq, Mapping, Trigger};
use rt::time::Deadline;
use rt::{Error, Notification};

use crate::case::{Case, Outcome, World, Wrong, equal, hold, joined};
use crate::probe::READ_WRITE;
use crate::stage::Stage;

pub(crate) const CASES: &[Case] = &[
    ("sel4test INTERRUPT0002", interrupt0002),
    ("sel4test INTERRUPT0003", interrupt0003),
    ("sel4test INTERRUPT0004", interrupt0004),
    ("sel4test INTERRUPT0006", interrupt0006),
    ("hubris test_irq_notif", test_irq_notif),
    ("hubris test_irq_status", test_irq_status),
];

/// Where QEMU's `virt` machine has the clock, and its interrupt.
const REGISTERS: u64 = 0x901_0000;
const INTID: u32 = 34;

/// Registers of the PL031 (DDI 0224, 3.1).
#[derive(Clone, Copy)]
enum Register {
    Data = 0x0,
    Match = 0x4,
    Mask = 0x10,
    Raw = 0x14,
    Clear = 0x1c,
}

/// The clock. Its interrupt is silent when this ends.
struct Clock {
    registers: Mapping,
    irq: Irq,
}

impl Clock {
    fn new(world: &World) -> Result<Self, Error> {
        let memory = world.machine.device_memory(REGISTERS, 0x1000)?;
        let clock = Self {
            registers: memory.map(READ_WRITE)?,
            irq: world.machine.irq(INTID, Trigger::Level)?,
        };
        clock.quiet();
        clock.write(Register::Mask, 1);
        Ok(clock)
    }

    fn read(&self, register: Register) -> u32 {
        let address = self.registers.pointer().wrapping_add(register as usize);
        // SAFETY: the registers are mapped, and reading these has no effect.
        unsafe { address.cast::<u32>().read_volatile() }
    }

    fn write(&self, register: Register, value: u32) {
        let address = self.registers.pointer().wrapping_add(register as usize);
        // SAFETY: the registers are mapped; the clock touches no memory.
        unsafe { address.cast::<u32>().write_volatile(value) };
    }

    /// Has it assert its level.
    fn ring(&self) {
        while self.read(Register::Raw) == 0 {
            // If the second ends in between, it is another time.
            self.write(Register::Match, self.read(Register::Data));
        }
    }

    /// Has it release it.
    fn quiet(&self) {
        self.write(Register::Clear, 1);
    }

    /// What the kernel says of the interrupt.
    fn report(&self, world: &World) -> Result<IrqReport, Wrong> {
        let all = world.machine.list::<IrqReport>()?;
        let found = all.into_iter().find(|report| report.intid == INTID);
        found.ok_or_else(|| Wrong(alloc::format!("no report of interrupt {INTID}")))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.write(Register::Mask, 0);
        self.quiet();
    }
}

/// An interrupt wakes the thread that waits for its notification, each time.
fn interrupt0002(world: &World) -> Outcome {
    let clock = Clock::new(world)?;
    let notification = Notification::create()?;
    clock.irq.bind(&notification, 4)?;
    for _ in 0..10 {
        clock.ring();
        equal!(notification.wait(Deadline::FOREVER)?, 4, "the bits");
        clock.quiet();
        clock.irq.acknowledge()?;
    }
    equal!(
        clock.report(world)?.count,
        10,
        "how often the kernel says it came"
    );
    Ok(())
}

/// Of two threads that wait for the same notification, each interrupt wakes one, in the order they came.
fn interrupt0003(world: &World) -> Outcome {
    let stage = Stage::new()?;
    let clock = Clock::new(world)?;
    let notification = alloc::sync::Arc::new(Notification::create()?);
    clock.irq.bind(&notification, 2)?;
    let waiter = || {
        let waited = notification.clone();
        stage.actor(Stage::middle(), move || waited.wait(Deadline::FOREVER))
    };
    let (first, second) = (waiter()?, waiter()?);
    stage.settle()?;
    for waiter in [first, second] {
        clock.ring();
        equal!(joined(waiter)??, 2, "the bits");
        clock.quiet();
        clock.irq.acknowledge()?;
    }
    equal!(notification.poll()?, 0, "the bits that are left");
    Ok(())
}

/// An interrupt that nobody waits for is kept as bits, until somebody looks.
fn interrupt0004(world: &World) -> Outcome {
    let clock = Clock::new(world)?;
    let notification = Notification::create()?;
    clock.irq.bind(&notification, 1)?;
    clock.ring();
    while clock.report(world)?.count == 0 {
        rt::thread::yield_now();
    }
    // Counted, and then signalled: with this CPU's interrupts let in, or another CPU's.
    equal!(notification.wait(Deadline::FOREVER)?, 1, "the bits");
    clock.quiet();
    clock.irq.acknowledge()?;
    equal!(notification.poll()?, 0, "the bits that are left");
    Ok(())
}

/// When the notification of an interrupt is gone, the interrupt disturbs nobody; bound anew, it comes again.
fn interrupt0006(world: &World) -> Outcome {
    let clock = Clock::new(world)?;
    clock.irq.bind(&Notification::create()?, 1)?;
    clock.ring();
    while clock.report(world)?.count == 0 {
        rt::thread::yield_now();
    }
    let notification = Notification::create()?;
    clock.irq.bind(&notification, 2)?;
    equal!(notification.wait(Deadline::FOREVER)?, 2, "the bits");
    clock.quiet();
    clock.irq.acknowledge()?;
    Ok(())
}

/// An interrupt that was not acknowledged does not come again; one still asserted comes at the acknowledge.
fn test_irq_notif(world: &World) -> Outcome {
    let clock = Clock::new(world)?;
    let notification = Notification::create()?;
    clock.irq.bind(&notification, 1)?;
    clock.ring();
    equal!(notification.wait(Deadline::FOREVER)?, 1, "the bits");
    for _ in 0..100 {
        rt::thread::yield_now();
    }
    equal!(notification.poll()?, 0, "the bits before the acknowledge");
    equal!(clock.report(world)?.count, 1, "how often it came");
    clock.irq.acknowledge()?;
    equal!(
        notification.wait(Deadline::FOREVER)?,
        1,
        "the bits of a level still there"
    );
    clock.quiet();
    clock.irq.acknowledge()?;
    Ok(())
}

/// Whether it waits for its acknowledge can be asked; and an interrupt has one owner, until it is given up.
fn test_irq_status(world: &World) -> Outcome {
    let clock = Clock::new(world)?;
    let notification = Notification::create()?;
    clock.irq.bind(&notification, 1)?;
    equal!(clock.report(world)?.pending, 0, "pending before it came");
    clock.ring();
    notification.wait(Deadline::FOREVER)?;
    equal!(clock.report(world)?.pending, 1, "pending when it came");
    clock.quiet();
    clock.irq.acknowledge()?;
    equal!(
        clock.report(world)?.pending,
        0,
        "pending after its acknowledge"
    );
    let second = world.machine.irq(INTID, Trigger::Level).err();
    equal!(second, Some(Error::Busy), "a second owner");
    drop(clock);
    hold!(
        Clock::new(world).is_ok(),
        "an interrupt that was given up cannot be had"
    );
    Ok(())
}

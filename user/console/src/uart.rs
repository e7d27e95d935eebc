//! The machine's UART: its registers mapped, its interrupt bound.

use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use core::ptr::NonNull;
use petrel_console::line::Line;
use rt::{
    Error, Irq, Machine, Notification, Rights,
    object::{PAGE, Trigger},
};

/// Takes the machine's UART. Its interrupt comes as `bits` to the notification, and has to be acknowledged
/// each time.
///
/// # Errors
/// What the kernel refused.
pub(crate) fn take(
    machine: &Machine,
    bell: &Notification,
    bits: u64,
) -> Result<(Line<'static>, Irq), Error> {
    let about = machine.devices()?.uart;
    let bytes = (about.bytes as usize).next_multiple_of(PAGE as usize);
    if bytes < size_of::<PL011Registers>() {
        return Err(Error::BadArgument);
    }
    let memory = machine.device_memory(about.base, bytes)?;
    let mapping = memory.map(Rights::READ.with(Rights::WRITE))?;
    let registers = NonNull::new(mapping.leak()).ok_or(Error::BadAddress)?;
    // SAFETY: they are a PL011's registers, a page in size, mapped for ever and here only. The kernel has
    // let go of the device, and the driver before this one has ended.
    let registers = unsafe { UniqueMmioPointer::new(registers.cast::<PL011Registers>()) };
    let trigger = match about.edge {
        0 => Trigger::Level,
        _ => Trigger::Edge,
    };
    let irq = machine.irq(about.intid, trigger)?;
    irq.bind(bell, bits)?;
    Ok((Line::new(Uart::new(registers)), irq))
}

//! Panic: stop all CPUs by NMI, say what each was doing, and end the machine.
//!
//! What is printed, for this CPU first: the message, the context (masks, thread, path), the backtrace
//! with names, and the last entries of the trace ring, which are the path that led here.

use crate::irq::{self, Interrupt, Sgi, To};
use crate::smp;
use crate::symbols::Symbol;
use crate::thread::{self, Thread};
use crate::{clock, console, fault, say, trace, verdict};
use abi::path;
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use cpu::hw::switch::masks;
use cpu::hw::sysreg;
use cpu::mask::MaskState;
use cpu::percpu::MAX_CPUS;
use entry::frame::Frame;
use entry::{Fatal, Syndrome};

/// How many frames a backtrace shows.
const DEPTH: usize = 24;
/// How many trace records are shown for each CPU.
const RECORDS: usize = 12;
/// How long the others get to stop.
const STOP: Duration = Duration::from_millis(100);

/// The CPU that reports; [`NOBODY`] as long as all is well.
static PANICKING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

/// Where a CPU was when it was told to stop.
struct Stopped {
    at: AtomicU64,
    frame_pointer: AtomicU64,
    masks: AtomicU64,
    answered: AtomicBool,
}

static STOPPED: [Stopped; MAX_CPUS] = [const {
    Stopped {
        at: AtomicU64::new(0),
        frame_pointer: AtomicU64::new(0),
        masks: AtomicU64::new(0),
        answered: AtomicBool::new(false),
    }
}; MAX_CPUS];

/// The handler of [`Sgi::Stop`]: says where this CPU was, and stays.
pub(crate) fn on_stop(interrupt: &Interrupt<'_>) {
    let stopped = &STOPPED[interrupt.cpu.index()];
    let frame = interrupt.frame;
    stopped.at.store(frame.elr, Ordering::Relaxed);
    stopped.frame_pointer.store(frame.x[29], Ordering::Relaxed);
    let masks = MaskState::new(frame.spsr as u32, frame.pmr as u8);
    stopped.masks.store(
        u64::from(masks.daif()) | u64::from(masks.pmr()) << 32,
        Ordering::Relaxed,
    );
    stopped.answered.store(true, Ordering::Release);
    verdict::stand_still()
}

/// What the interrupted, or the panicking code was doing.
struct Place {
    at: u64,
    frame_pointer: u64,
    masks: MaskState,
}

#[panic_handler]
fn on_panic(info: &PanicInfo<'_>) -> ! {
    let masks = masks();
    let frame_pointer: u64;
    // SAFETY: reads the frame pointer.
    unsafe { core::arch::asm!("mov {}, x29", out(reg) frame_pointer, options(nomem, nostack)) };
    let place = Place {
        at: on_panic as *const () as u64,
        frame_pointer,
        masks,
    };
    match info.location() {
        Some(location) => report(
            format_args!(
                "{} ({}:{})",
                info.message(),
                location.file(),
                location.line()
            ),
            &place,
            None,
        ),
        None => report(format_args!("{}", info.message()), &place, None),
    }
}

/// Panics about what an exception interrupted.
pub(crate) fn with_frame(frame: &Frame, why: fmt::Arguments<'_>) -> ! {
    let place = Place {
        at: frame.elr,
        frame_pointer: frame.x[29],
        masks: frame.masks(),
    };
    report(why, &place, Some(frame))
}

/// Panics about what the entry layer must not see.
pub(crate) fn fatal(frame: &Frame, why: Fatal) -> ! {
    let what = |syndrome: Syndrome| {
        (
            fault::class_name(syndrome.class()),
            syndrome.far,
            syndrome.esr,
        )
    };
    match why {
        Fatal::IllegalMasks => with_frame(
            frame,
            format_args!(
                "interrupted code had masks of no context: {}",
                frame.masks()
            ),
        ),
        Fatal::FaultWhileMasked(syndrome) => {
            let (class, far, esr) = what(syndrome);
            with_frame(
                frame,
                format_args!(
                    "{class} at address {far:#x} (ESR {esr:#x}) in a context that may not fault"
                ),
            )
        }
        Fatal::OrdinaryWhileHeld(intid) => with_frame(
            frame,
            format_args!("ordinary interrupt {intid} was acknowledged while they were held"),
        ),
        Fatal::NotForEl0(count) => with_frame(
            frame,
            format_args!(
                "a thread was to go on at EL0 with SPSR {:#x}, PMR {:#x}, preempt count {count:#x}",
                frame.spsr, frame.pmr
            ),
        ),
        Fatal::NotQuietAtEl0 => with_frame(
            frame,
            format_args!(
                "a program ran on a CPU that was not quiescent, with a preempt count, or while a \
                 switch was wanted"
            ),
        ),
        Fatal::UnexpectedVector(index, syndrome) => {
            const GROUPS: [&str; 4] = ["EL1 with SP0", "EL1", "EL0", "EL0 AArch32"];
            const KINDS: [&str; 4] = ["synchronous exception", "IRQ", "FIQ", "SError"];
            let index = usize::from(index) % 16;
            let (class, far, esr) = what(syndrome);
            with_frame(
                frame,
                format_args!(
                    "unexpected {} from {} (vector {index}): {class}, FAR {far:#x}, ESR {esr:#x}",
                    KINDS[index % 4],
                    GROUPS[index / 4]
                ),
            )
        }
        Fatal::StackOverflow(_) => with_frame(
            frame,
            format_args!("stack overflow of {}: SP {:#x}", Whose(frame.sp), frame.sp),
        ),
    }
}

/// Whose stack an address just below it belongs to.
struct Whose(u64);

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near =
            |bottom: u64| bottom.saturating_sub(entry::vectors::STACK_BYTES as u64)..bottom + 512;
        for thread in (0..thread::MAX_THREADS as u32).filter_map(|id| thread::TABLE.find(id)) {
            if near(thread.core.stack().start).contains(&self.0) {
                return write!(f, "thread {} ({})", thread.core.id(), thread.name());
            }
        }
        for cpu in smp::all() {
            let stacks = cpu.percpu().stacks();
            for (name, top) in [("IRQ", stacks.irq), ("NMI", stacks.nmi)] {
                if near(top - entry::vectors::STACK_BYTES as u64).contains(&self.0) {
                    return write!(f, "CPU {}'s {name} stack", cpu.index());
                }
            }
        }
        f.write_str("an unknown stack")
    }
}

fn report(why: fmt::Arguments<'_>, place: &Place, frame: Option<&Frame>) -> ! {
    // As it was: `stay` counts once more.
    let preempt = thread::current().core.preempt.peek();
    verdict::stay();
    let mine = smp::try_this().map_or(0, |cpu| cpu.index());
    if let Err(owner) = PANICKING.compare_exchange(NOBODY, mine, Ordering::SeqCst, Ordering::SeqCst)
    {
        if owner != mine {
            // Another CPU is at it, and will stop this one.
            verdict::stand_still();
        }
        say!("panic while panicking: {why}");
        verdict::fail(format_args!("panic while panicking"));
    }
    console::seize();
    stop_others();
    console::drain_after_stop();

    say!("panic on CPU {mine}: {why}");
    show(place, thread::current(), preempt);
    if let Some(frame) = frame {
        registers(frame);
    }
    console::drain_after_stop();
    if let Some(cpu) = smp::get(mine) {
        trace::show_last(cpu.percpu(), RECORDS);
        console::drain_after_stop();
    }
    for cpu in smp::all().filter(|cpu| cpu.index() != mine) {
        let stopped = &STOPPED[cpu.index()];
        if !stopped.answered.load(Ordering::Acquire) {
            say!("CPU {} did not answer the stop", cpu.index());
            continue;
        }
        say!("CPU {} was", cpu.index());
        let masks = stopped.masks.load(Ordering::Relaxed);
        let place = Place {
            at: stopped.at.load(Ordering::Relaxed),
            frame_pointer: stopped.frame_pointer.load(Ordering::Relaxed),
            masks: MaskState::new(masks as u32, (masks >> 32) as u8),
        };
        let previous = cpu.queue.try_lock().and_then(|queue| queue.current());
        let thread = previous.map_or(cpu.idle, |id| thread::TABLE.get(id));
        // With the handler that stopped it, which is also the innermost path.
        show(&place, thread, thread.core.preempt.peek());
        console::drain_after_stop();
    }
    verdict::fail(format_args!("panic on CPU {mine}: {why}"))
}

/// Whether this kernel is reporting a panic.
pub(crate) fn is_panicking() -> bool {
    PANICKING.load(Ordering::SeqCst) != NOBODY
}

/// Has all other CPUs stop, and waits a little for them. In `Critical`.
pub(crate) fn stop_others() {
    let mine = smp::try_this().map_or(0, |cpu| cpu.index());
    if smp::all().count() < 2 {
        return;
    }
    irq::send(Sgi::Stop, To::Others);
    let deadline = sysreg::counter() + clock::ticks(STOP);
    for cpu in smp::all().filter(|cpu| cpu.index() != mine) {
        while !STOPPED[cpu.index()].answered.load(Ordering::Acquire) && sysreg::counter() < deadline
        {
            smp::spin();
        }
    }
}

/// Prints context and backtrace.
fn show(place: &Place, thread: &Thread, (count, need_resched): (u32, bool)) {
    say!(
        "  thread {} ({}), {}, preempt count {count:#x}{}",
        thread.core.id(),
        thread.name(),
        place.masks,
        if need_resched { ", need_resched" } else { "" }
    );
    let mut names = heapless::String::<96>::new();
    for path in path::unwind(thread.core.path.peek()) {
        // Fits: eight short names.
        let _ = fmt::Write::write_fmt(&mut names, format_args!(" {}", path.name()));
    }
    if !names.is_empty() {
        say!("  inside paths (innermost first):{names}");
    }
    say!("  at {}", Symbol(place.at));
    let mut pointer = place.frame_pointer;
    for _ in 0..DEPTH {
        if !is_stack(pointer) || !pointer.is_multiple_of(8) {
            break;
        }
        let record = pointer as *const u64;
        // SAFETY: the address lies in a mapped stack, as far as one can tell.
        let (next, link) = unsafe { (record.read(), record.add(1).read()) };
        if !boot::arch::text().contains(&link) {
            break;
        }
        say!("     {}", Symbol(link.wrapping_sub(4)));
        pointer = next;
    }
}

/// Whether a frame record can lie there: on a kernel stack, not in its guard.
fn is_stack(address: u64) -> bool {
    let address = address.saturating_add(8);
    let stack = entry::vectors::STACK_BYTES as u64;
    boot::arch::boot_stack().contains(&address)
        || (crate::mm::stacks::area().contains(&address) && address & stack == 0)
}

fn registers(frame: &Frame) {
    for (row, values) in frame.x.chunks(4).enumerate() {
        let mut line = heapless::String::<128>::new();
        for (column, value) in values.iter().enumerate() {
            // Fits: four columns of 24 bytes.
            let _ = fmt::Write::write_fmt(
                &mut line,
                format_args!(" x{:<2} {value:016x}", row * 4 + column),
            );
        }
        say!(" {line}");
    }
    say!(
        "  elr {:016x} sp  {:016x} spsr {:x} pmr {:x}",
        frame.elr,
        frame.sp,
        frame.spsr,
        frame.pmr
    );
}

//! What the kernel tells of itself, as tables.

use crate::Refusal;
use alloc::{collections::BTreeMap, format, vec::Vec};
use petrel_shell::text::{Bytes, Count, Time, process_state, thread_state};
use rt::{
    Error, Machine,
    abi::{
        report::{Devices, IrqReport, ProcessReport, ProcessState, ThreadReport, ThreadState},
        start::text,
    },
    println,
    time::{Duration, Instant},
};

/// A refusal that says whose.
fn refused(command: &str) -> impl Fn(Error) -> Refusal {
    move |error| format!("{command}: {error}")
}

/// So many ticks as a time.
pub(crate) fn ticks(ticks: u64) -> Duration {
    Instant::from_ticks(ticks).since(Instant::from_ticks(0))
}

/// The command `ps`.
pub(crate) fn ps(machine: &Machine) -> Result<(), Refusal> {
    let processes = machine.list::<ProcessReport>().map_err(refused("ps"))?;
    let threads = machine.list::<ThreadReport>().map_err(refused("ps"))?;
    println!("number name             state   threads handles    memory   at most  CPU time");
    let mut kernel = of_process(&threads, 0);
    kernel.retain(|thread| !is_idle(thread));
    let ran = kernel.iter().map(|thread| thread.ran_ticks).sum();
    println!(
        "{:>6} {:16} {:7} {:>7} {:>7} {:>9} {:>9} {:>9}",
        "-",
        "(kernel)",
        state(&kernel),
        kernel.len(),
        "-",
        "-",
        "-",
        Time(ticks(ran))
    );
    for process in &processes {
        let state = match ProcessState::from_number(process.state) {
            Some(ProcessState::Alive) => state(&of_process(&threads, process.number)),
            _ => process_state(process),
        };
        println!(
            "{:>6} {:16} {:7} {:>7} {:>7} {:>9} {:>9} {:>9}",
            process.number,
            text(&process.name),
            state,
            process.threads,
            process.handles,
            Bytes(process.used),
            Bytes(process.quota),
            Time(ticks(process.ran_ticks))
        );
    }
    Ok(())
}

/// Whether it is a thread that only waits for work: what such a thread "runs" is nobody's time. The
/// kernel's first one has no name of its own.
pub(crate) fn is_idle(thread: &ThreadReport) -> bool {
    let name = text(&thread.name);
    thread.process == 0 && (name == "boot" || name.starts_with("idle/"))
}

fn of_process(threads: &[ThreadReport], process: u32) -> Vec<ThreadReport> {
    threads
        .iter()
        .filter(|thread| thread.process == process)
        .copied()
        .collect()
}

/// What the busiest of the threads does.
fn state(threads: &[ThreadReport]) -> &'static str {
    let order = [
        ThreadState::Running,
        ThreadState::Ready,
        ThreadState::Sleeping,
        ThreadState::Waiting,
        ThreadState::Suspended,
    ];
    let mut busiest = order.into_iter().map(|state| state as u32);
    let found = busiest.find(|state| threads.iter().any(|thread| thread.state == *state));
    found.map_or("empty", thread_state)
}

/// The command `mem`.
pub(crate) fn mem(machine: &Machine) -> Result<(), Refusal> {
    let memory = machine.memory().map_err(refused("mem"))?;
    let mut processes = machine.list::<ProcessReport>().map_err(refused("mem"))?;
    println!("memory        {:>9}, of which", Bytes(memory.total));
    println!("  free        {:>9}", Bytes(memory.free));
    println!(
        "  kernel heap {:>9}, in use {}",
        Bytes(memory.heap),
        Bytes(memory.heap_used)
    );
    println!(
        "  stacks      {:>9}, of threads in the kernel",
        Bytes(memory.stacks)
    );
    processes.sort_by_key(|process| core::cmp::Reverse(process.used));
    println!("process               used    at most");
    for process in &processes {
        println!(
            "  {:16} {:>9}  {:>9}",
            text(&process.name),
            Bytes(process.used),
            Bytes(process.quota)
        );
    }
    Ok(())
}

/// The command `irq`.
pub(crate) fn irq(machine: &Machine) -> Result<(), Refusal> {
    let irqs = machine.list::<IrqReport>().map_err(refused("irq"))?;
    let devices = machine.devices().map_err(refused("irq"))?;
    let names = names(&devices);
    if irqs.is_empty() {
        println!("no driver waits for an interrupt");
        return Ok(());
    }
    println!("INTID  device          state           times");
    for irq in &irqs {
        let device = names.get(&irq.intid).map_or("", |name| name.as_str());
        let state = if irq.pending == 0 {
            "waits"
        } else {
            "being handled"
        };
        println!(
            "{:>5}  {device:14}  {state:13}  {:>7}",
            irq.intid,
            Count(irq.count)
        );
    }
    Ok(())
}

/// Whose interrupt is whose.
fn names(devices: &Devices) -> BTreeMap<u32, alloc::string::String> {
    let mut names = BTreeMap::new();
    names.insert(devices.uart.intid, "PL011".into());
    let count = (devices.virtio_count as usize).min(devices.virtio.len());
    for (slot, device) in devices.virtio[..count].iter().enumerate() {
        names.insert(device.intid, format!("virtio slot {slot}"));
    }
    names
}

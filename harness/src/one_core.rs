//! A guest whose time is exact gets one core of the host.
//!
//! Under `-icount` QEMU counts instructions, but two of its threads still share the timers: the one that
//! runs the guest, and the main loop. On a very busy host with several cores, about one long run in
//! thirty came out a few instructions different (QEMU 7.2; never seen on one core). On one core the two
//! never run at the same time.

use std::io;

/// Does `work`, which starts a process, so that the process stays on one core: each call the next one.
/// Where a process cannot be bound to a core (it is Linux that can), it runs as it would.
pub fn with<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(target_os = "linux")]
    {
        linux::with(work)
    }
    #[cfg(not(target_os = "linux"))]
    {
        work()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    /// This thread, whose cores a child inherits.
    const SELF: Pid = Pid::from_raw(0);

    pub(super) fn with<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let before = sched_getaffinity(SELF)?;
        let cores: Vec<usize> = (0..CpuSet::count())
            .filter(|core| before.is_set(*core).unwrap_or(false))
            .collect();
        let mut one = CpuSet::new();
        one.set(cores[NEXT.fetch_add(1, Ordering::Relaxed) % cores.len()])?;
        sched_setaffinity(SELF, &one)?;
        let result = work();
        sched_setaffinity(SELF, &before)?;
        result
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::process::Command;

        #[test]
        fn a_child_has_one_core_and_the_parent_keeps_its_own() {
            let before = sched_getaffinity(SELF).unwrap();
            let child = with(|| Command::new("nproc").output()).unwrap();
            assert_eq!(String::from_utf8_lossy(&child.stdout).trim(), "1");
            assert_eq!(sched_getaffinity(SELF).unwrap(), before);
        }
    }
}

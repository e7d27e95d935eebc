//! A panic ends the process, with one line that says what and where.

/// What a process ends with that panicked.
pub const STATUS: u64 = 101;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    use core::sync::atomic::{AtomicBool, Ordering};

    // To the kernel's log and not through the console: the lock on the way there may be what panicked.
    static ONCE: AtomicBool = AtomicBool::new(false);
    if !ONCE.swap(true, Ordering::Relaxed) {
        let name = crate::start::name();
        match info.location() {
            Some(place) => crate::log!(
                "{name}: panic at {}:{}: {}",
                place.file(),
                place.line(),
                info.message()
            ),
            None => crate::log!("{name}: panic: {}", info.message()),
        }
    }
    crate::exit(STATUS)
}

//! The end of a program that cannot go on.

/// The status of a program that the library ended.
#[cfg(target_os = "none")]
const STATUS: u64 = 134;

/// Ends the program with a line in the kernel's log, which works whatever else does not.
pub(crate) fn give_up(why: &str) -> ! {
    #[cfg(not(target_os = "none"))]
    panic!("{why}");
    #[cfg(target_os = "none")]
    {
        crate::call::debug_write(why.as_bytes());
        crate::call::exit_process(STATUS)
    }
}

/// A mistake in the library.
#[cfg(target_os = "none")]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    give_up("libpetrel: a mistake of its own")
}

//! The start of a program, and what it was given: arguments and handles by name.
//!
//! Who makes a process writes a page ([`abi::start`]); its address is the first thread's `x0`. What is
//! on it was written by somebody else, so it is read by bytes and with every bound checked.

use core::cell::UnsafeCell;
use core::fmt::Display;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::handle::Handle;
use abi::memory::PAGE;
use abi::start::{Grant, MAGIC, StartHeader, text};

use crate::object::{Object, Owned, Process, Thread};
use crate::syscall::{Call, plain};

const HEADER_BYTES: usize = size_of::<StartHeader>();
const GRANT_BYTES: usize = size_of::<Grant>();
/// The most grants that a start page has: [`take`] keeps account of them in one word.
pub const MAX_GRANTS: usize = 64;

/// Names the function that is the program: `fn main()`, which returns nothing, a status (`u64`), or a
/// `Result` of one of them whose error is printed.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn petrel_main() -> u64 {
            $crate::start::Outcome::status($main())
        }
    };
}

/// What `main` may return.
pub trait Outcome {
    /// The process's exit status.
    fn status(self) -> u64;
}

impl Outcome for () {
    fn status(self) -> u64 {
        0
    }
}

impl Outcome for u64 {
    fn status(self) -> u64 {
        self
    }
}

impl Outcome for core::convert::Infallible {
    fn status(self) -> u64 {
        match self {}
    }
}

impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    fn status(self) -> u64 {
        match self {
            Ok(outcome) => outcome.status(),
            Err(error) => {
                crate::println!("{}: {error}", name());
                1
            }
        }
    }
}

/// A start page.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartPage<'a> {
    grants: &'a [u8],
    arguments: &'a [u8],
}

impl<'a> StartPage<'a> {
    /// Reads one; `None` if it is malformed.
    pub fn parse(page: &'a [u8]) -> Option<Self> {
        let header = page.get(..HEADER_BYTES)?;
        if u64_at(header, 0)? != MAGIC {
            return None;
        }
        let grants = usize::try_from(u32_at(header, 8)?).ok()?;
        let arguments = u32_at(header, 12)?;
        let argument_bytes = usize::try_from(u32_at(header, 16)?).ok()?;
        if grants > MAX_GRANTS {
            return None;
        }
        let rest = &page[HEADER_BYTES..];
        let (grants, rest) = rest.split_at_checked(grants * GRANT_BYTES)?;
        let text = rest.get(..argument_bytes)?;
        let whole = text.last().is_none_or(|last| *last == 0);
        let count = text.iter().filter(|byte| **byte == 0).count();
        if !whole || count != arguments as usize || core::str::from_utf8(text).is_err() {
            return None;
        }
        Some(Self {
            grants,
            arguments: text,
        })
    }

    /// The grants, in order.
    pub fn grants(&self) -> impl Iterator<Item = Grant> + use<'a> {
        self.grants.chunks_exact(GRANT_BYTES).map(|bytes| {
            let mut name = [0; 16];
            name.copy_from_slice(&bytes[..16]);
            Grant {
                name,
                handle: u32_at(bytes, 16).unwrap_or(0),
                detail: u32_at(bytes, 20).unwrap_or(0),
            }
        })
    }

    /// The grant of that name.
    pub fn grant(&self, name: &str) -> Option<Grant> {
        self.grants().find(|grant| text(&grant.name) == name)
    }

    /// The arguments; the first is the program's name.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.arguments
            .split_inclusive(|byte| *byte == 0)
            .filter_map(|bytes| core::str::from_utf8(&bytes[..bytes.len() - 1]).ok())
    }
}

/// Writes a start page; `None` if it does not fit, or an argument contains a zero byte.
pub fn compose(grants: &[Grant], arguments: &[&str]) -> Option<[u8; PAGE as usize]> {
    let mut page = [0; PAGE as usize];
    let argument_bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    let grant_bytes = grants.len() * GRANT_BYTES;
    let fits = HEADER_BYTES + grant_bytes + argument_bytes <= page.len();
    if !fits || grants.len() > MAX_GRANTS || arguments.iter().any(|a| a.contains('\0')) {
        return None;
    }
    page[..8].copy_from_slice(&MAGIC.to_le_bytes());
    page[8..12].copy_from_slice(&(grants.len() as u32).to_le_bytes());
    page[12..16].copy_from_slice(&(arguments.len() as u32).to_le_bytes());
    page[16..20].copy_from_slice(&(argument_bytes as u32).to_le_bytes());
    let (places, rest) = page[HEADER_BYTES..].split_at_mut(grant_bytes);
    for (place, grant) in places.chunks_exact_mut(GRANT_BYTES).zip(grants) {
        place[..16].copy_from_slice(&grant.name);
        place[16..20].copy_from_slice(&grant.handle.to_le_bytes());
        place[20..].copy_from_slice(&grant.detail.to_le_bytes());
    }
    let mut at = 0;
    for argument in arguments {
        rest[at..at + argument.len()].copy_from_slice(argument.as_bytes());
        at += argument.len() + 1;
    }
    Some(page)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// What this process started with. Written once, before `main` and any other thread.
struct Started {
    page: UnsafeCell<StartPage<'static>>,
    process: UnsafeCell<Process>,
    thread: UnsafeCell<Thread>,
    /// Which grants have an owner.
    taken: AtomicU64,
}

// SAFETY: the cells are written before there is a second thread, and only read afterwards.
unsafe impl Sync for Started {}

static STARTED: Started = Started {
    page: UnsafeCell::new(StartPage {
        grants: &[],
        arguments: &[],
    }),
    process: UnsafeCell::new(Process::none()),
    thread: UnsafeCell::new(Thread::none()),
    taken: AtomicU64::new(0),
};

/// What this process was given.
pub fn page() -> StartPage<'static> {
    // SAFETY: it is not written any more.
    unsafe { *STARTED.page.get() }
}

/// The arguments; the first is the program's name.
pub fn arguments() -> impl Iterator<Item = &'static str> {
    page().arguments()
}

/// The program's name.
pub fn name() -> &'static str {
    arguments().next().unwrap_or("?")
}

/// Takes the handle that was granted under that name; `None` if there is none or it was taken.
pub fn take<T: Object>(name: &str) -> Option<T> {
    take_with_detail(name).map(|(object, _)| object)
}

/// As [`take`], with what goes with it.
pub fn take_with_detail<T: Object>(name: &str) -> Option<(T, u32)> {
    let (index, grant) = page()
        .grants()
        .enumerate()
        .find(|(_, grant)| text(&grant.name) == name)?;
    let bit = 1 << index;
    if STARTED.taken.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
        return None;
    }
    Some((T::assume(Owned::new(Handle(grant.handle))), grant.detail))
}

/// The handle that was granted under that name, still owned by the start page: for what is used all
/// along.
pub fn borrow<T: Object>(name: &str) -> Option<ManuallyDrop<T>> {
    let grant = page().grant(name)?;
    let owned = Owned::new(Handle(grant.handle));
    Some(ManuallyDrop::new(T::assume(owned)))
}

/// This process.
pub fn own_process() -> &'static Process {
    // SAFETY: it is not written any more.
    unsafe { &*STARTED.process.get() }
}

/// The process's first thread.
pub fn first_thread() -> &'static Thread {
    // SAFETY: it is not written any more.
    unsafe { &*STARTED.thread.get() }
}

/// Ends this process.
pub fn exit(status: u64) -> ! {
    loop {
        // SAFETY: nothing of this process runs after it.
        let _ = unsafe { plain(Call::ProcessExit, [status]) };
    }
}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod begin {
    use super::{HEADER_BYTES, PAGE, STARTED, StartPage, exit, take};

    // x0 is the start page. A zero frame pointer and link register end every backtrace.
    core::arch::global_asm!(
        ".pushsection .text.start, \"ax\"",
        ".globl _start",
        "_start:",
        "mov x29, xzr",
        "mov x30, xzr",
        "bl {begin}",
        "brk #1",
        ".popsection",
        begin = sym begin,
    );

    unsafe extern "C" {
        fn petrel_main() -> u64;
    }

    /// What a program ends with whose start page is malformed.
    const MALFORMED: u64 = 102;

    extern "C" fn begin(page: *const u8) -> ! {
        const { assert!(HEADER_BYTES < PAGE as usize) };
        if page.is_null() {
            exit(MALFORMED);
        }
        // SAFETY: who made the process mapped a page there that nobody writes any more.
        let bytes = unsafe { core::slice::from_raw_parts(page, PAGE as usize) };
        let Some(page) = StartPage::parse(bytes) else {
            exit(MALFORMED)
        };
        // SAFETY: this is the only thread, and nobody has looked yet.
        unsafe { *STARTED.page.get() = page };
        if let Some(process) = take("process") {
            // SAFETY: as above.
            unsafe { *STARTED.process.get() = process };
        }
        if let Some(thread) = take("thread") {
            // SAFETY: as above.
            unsafe { *STARTED.thread.get() = thread };
        }
        // SAFETY: `entry!` defines it.
        exit(unsafe { petrel_main() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::start::name;
    use proptest::prelude::*;

    fn grant(text: &str, handle: u32, detail: u32) -> Grant {
        Grant {
            name: name(text),
            handle,
            detail,
        }
    }

    #[test]
    fn a_page_comes_back() {
        let grants = [grant("process", 5, 0), grant("initrd", 6, 0x1234)];
        let page = compose(&grants, &["init", "", "run=exec"]).expect("it fits");
        let read = StartPage::parse(&page).expect("it is well-formed");
        assert!(read.grants().eq(grants));
        assert_eq!(read.grant("initrd"), Some(grants[1]));
        assert_eq!(read.grant("init"), None);
        assert!(read.arguments().eq(["init", "", "run=exec"]));
    }

    #[test]
    fn a_page_without_anything() {
        let page = compose(&[], &[]).expect("it fits");
        let read = StartPage::parse(&page).expect("it is well-formed");
        assert_eq!((read.grants().count(), read.arguments().count()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(compose(&[], &["x".repeat(4096).as_str()]).is_none());
        assert!(compose(&[grant("x", 1, 1); MAX_GRANTS + 1], &[]).is_none());
        assert!(compose(&[], &["a\0b"]).is_none());
    }

    proptest! {
        #[test]
        fn a_broken_page_is_refused_or_read(mutations in prop::collection::vec((0_usize..128, any::<u8>()), 0..8), length in 0_usize..4096) {
            let mut page = compose(&[grant("process", 5, 0)], &["a", "b"]).expect("it fits");
            for (at, value) in mutations {
                page[at] = value;
            }
            if let Some(read) = StartPage::parse(&page[..length]) {
                let _ = (read.grants().count(), read.arguments().count());
            }
        }
    }
}

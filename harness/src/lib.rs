//! Host side: images, QEMU runs, scenarios as tests.
//!
//! The kernel cannot judge itself alone: a crash that powers the machine off looks like a success
//! to QEMU, and a kernel that hangs says nothing at all. So every run is judged from outside, by
//! the exit status *and* the last line *and* a bound in time, and the judge is tested as well
//! ([`judge`]), on tiny guests that end in each of the wrong ways.
//!
//! From the bottom up:
//!
//! | module | its one job |
//! |---|---|
//! | [`workspace`] | where things are |
//! | [`cargo`] | calling Cargo |
//! | [`image`] | the linked kernel becomes an Image, with its symbols in it |
//! | [`programs`], [`flat`] | the programs under `user/`, built, and in the form in which they are loaded |
//! | [`c`] | `libpetrel.a`, and programs in C |
//! | [`archive`], [`init_image`] | archives; what lies in the one that user space begins with |
//! | [`qemu`] | finding QEMU, and knowing what this version of it can do |
//! | [`machine`] | a machine described, and the command line that makes it |
//! | [`run`] | one run of QEMU: its output, its end, the bound |
//! | [`dialogue`], [`keyboard`] | who types: a script that waits for its cues, or somebody |
//! | [`verdict`] | what a run proved |
//! | [`disk`] | disk images, whole and damaged |
//! | [`dtb`], [`guest`], [`shim`] | device trees and tiny guests, made to order |
//! | [`lab`] | QEMU and freshly built kernels, ready for use |
//! | [`scenario`], [`scenarios`] | one run with what it must show; the table of all of them |
//! | [`check`], [`binary`] | checks that are no scenarios; the linked kernel's instructions |
//! | [`trace`] | the kernel's trace rings, read on the host |
//! | [`trials`], [`judge`] | the scenarios, and the judge's own tests, as tests |
//! | [`mod@bench`] | instruction counts beside goals and peers |
//! | [`suite`], [`junit`] | everything `petrel test` does, and its report for other programs |
//!
//! The program `petrel` is the hand on all this; `make` only calls it.

pub mod archive;
pub mod bench;
pub mod binary;
pub mod c;
pub mod cargo;
pub mod check;
pub mod dialogue;
pub mod disk;
pub mod dtb;
pub mod flat;
pub mod guest;
pub mod image;
pub mod init_image;
pub mod judge;
pub mod junit;
pub mod keyboard;
pub mod lab;
pub mod machine;
pub mod programs;
pub mod qemu;
pub mod run;
pub mod scenario;
pub mod scenarios;
pub mod shim;
pub mod suite;
pub mod trace;
pub mod trials;
pub mod verdict;
pub mod witness;
pub mod workspace;

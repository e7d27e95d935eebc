//! What is asked of everything that parses bytes from outside.
//!
//! Each target takes any bytes, has them read, does with the result all that its users do, and panics
//! when a promise is broken: whatever lies in the bytes, the answer is a value or an error, in bounded
//! time, and what was promised of a value holds. The same bodies run in two ways:
//!
//! - `fuzz/libfuzzer` gives them to libFuzzer, which looks for new ways through the code. By hand, with
//!   the nightly toolchain, as long as one likes.
//! - `tests/bounded.rs` gives them sound inputs with seeded damage. In `make test`, the same inputs each
//!   time.
//!
//! What libFuzzer found once lies in `found/`, and is read each time.

mod args;
mod cpio;
mod dt;
mod elf;
mod fat;
mod flat;
pub mod mutate;

/// Something that parses.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads the bytes, and panics when a promise is broken. Whether they were sound.
    pub body: fn(&[u8]) -> bool,
    /// Sound inputs, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "args",
        body: args::body,
        seeds: args::seeds,
    },
    Target {
        name: "cpio",
        body: cpio::body,
        seeds: cpio::seeds,
    },
    Target {
        name: "dt",
        body: dt::body,
        seeds: dt::seeds,
    },
    Target {
        name: "elf",
        body: elf::body,
        seeds: elf::seeds,
    },
    Target {
        name: "fat",
        body: fat::body,
        seeds: fat::seeds,
    },
    Target {
        name: "flat",
        body: flat::body,
        seeds: flat::seeds,
    },
];

/// The target of that name.
///
/// # Panics
/// There is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("no target is called {name}"))
}

//! The keyboard of whoever looks on, byte by byte to the guest.
//!
//! A shell wants every key when it is pressed, Ctrl-C among them, and does its own echo. So the terminal is
//! switched to raw input while the guest runs, and given back as it was: at the end, after an error, and
//! after a signal, because those only ask the run to end ([`stop_on_ctrl_c`](crate::run::stop_on_ctrl_c)). One
//! key is kept back, the way out of a guest that hangs: [`LEAVE`].

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};

/// Ctrl-]: what `telnet` is left with, and no key that a line editor knows.
pub const LEAVE: u8 = 0x1d;
/// Its name.
pub const LEAVE_NAME: &str = "Ctrl-]";

/// How often the forwarding looks whether it is to end, in milliseconds.
const TICK_MS: u16 = 50;

/// The terminal on standard input, in raw mode until this is dropped.
#[derive(Debug)]
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Switches it.
    ///
    /// # Errors
    /// When standard input is no terminal.
    pub fn enter() -> Result<Self> {
        let before = termios::tcgetattr(io::stdin()).context("standard input is no terminal")?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        // Only the input: what is printed, by us too, still gets its carriage returns.
        raw.output_flags |= before.output_flags & (OutputFlags::OPOST | OutputFlags::ONLCR);
        termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)
            .context("cannot switch the terminal to raw input")?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Where the terminal is gone, there is nothing to give back.
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Hands keys over to a guest, until this is dropped.
#[derive(Debug)]
pub struct Keys {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    left: AtomicBool,
}

impl Keys {
    /// Begins.
    pub fn forward(to: ChildStdin) -> Self {
        let shared = Arc::new(Shared::default());
        let keys = Self {
            shared: Arc::clone(&shared),
        };
        // Not waited for: it may stand in a read that only the next key ends.
        thread::spawn(move || forward(to, &shared));
        keys
    }

    /// Whether [`LEAVE`] was pressed.
    pub fn left(&self) -> bool {
        self.shared.left.load(Relaxed)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
    }
}

fn forward(mut to: ChildStdin, shared: &Shared) {
    let mut stdin = io::stdin();
    let mut buffer = [0; 256];
    while !shared.over.load(Relaxed) {
        let ready = {
            let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::from(TICK_MS))
        };
        match ready {
            Ok(0) => continue,
            Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let Ok(count @ 1..) = stdin.read(&mut buffer) else {
            return;
        };
        let keys = &buffer[..count];
        let leave = keys.iter().position(|key| *key == LEAVE);
        let kept = &keys[..leave.unwrap_or(count)];
        // A guest that has ended reads no more, and nobody has to know here.
        if to.write_all(kept).and_then(|()| to.flush()).is_err() {
            return;
        }
        if leave.is_some() {
            shared.left.store(true, Relaxed);
            return;
        }
    }
}

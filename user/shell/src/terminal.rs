//! The terminal, by way of the console service, which may die at any time and come back.

use crate::Refusal;
use alloc::{format, string::String};
use core::cell::RefCell;
use petrel_shell::{
    editor::{Editor, Outcome},
    key::Decoder,
    text::Printable,
};
use rt::{
    Error as KernelError, Notification, print, println,
    service::{
        Error,
        console::{self, Console},
        supervisor::Supervisor,
    },
    time::{Deadline, Duration, sleep},
};

/// Bits of [`Terminal::bell`]: something was typed; Control-C; a program ended.
pub(crate) const TYPED: u64 = 1 << 0;
pub(crate) const CONTROL_C: u64 = 1 << 1;
pub(crate) const ENDED: u64 = 1 << 2;

/// How often a console that does not answer is looked for.
const RETRY: Duration = Duration::from_millis(20);
/// How long a console that was given up stays so.
const GIVEN_UP_PAUSE: Duration = Duration::from_secs(1);
/// A console that died takes with it whom it had to tell: it is told again so often.
const REMIND: Duration = Duration::from_millis(500);

/// Where keys come from. What is shown goes the way of everybody's `print!`.
pub(crate) struct Terminal {
    console: RefCell<Console>,
    bell: Notification,
    input: RefCell<Input>,
}

struct Input {
    decoder: Decoder,
    /// Bytes that were read and not yet used.
    bytes: heapless::Deque<u8, 64>,
}

impl Terminal {
    pub(crate) fn open() -> Result<Self, Error> {
        Ok(Self {
            console: RefCell::new(connect()),
            bell: Notification::create()?,
            input: RefCell::new(Input {
                decoder: Decoder::new(),
                bytes: heapless::Deque::new(),
            }),
        })
    }

    /// What the bits above are signalled to.
    pub(crate) fn bell(&self) -> &Notification {
        &self.bell
    }

    /// Lets a person write a line.
    pub(crate) fn line(&self, editor: &mut Editor) -> Outcome {
        self.listen(0);
        // One that came before the prompt was for what went on then.
        let _ = self.bell.poll();
        let mut screen = String::new();
        let mut completions = crate::completion::Completions;
        editor.show(&mut screen);
        loop {
            // What one read brought is shown at once: a paste is a few messages, not hundreds.
            if !screen.is_empty() && self.input.borrow().bytes.is_empty() {
                print!("{screen}");
                screen.clear();
            }
            let Some(byte) = self.byte() else {
                // Another console shows another screen.
                editor.show(&mut screen);
                continue;
            };
            let Some(key) = self.input.borrow_mut().decoder.push(byte) else {
                continue;
            };
            match editor.press(key, &mut screen, &mut completions) {
                Outcome::Editing => {}
                outcome => {
                    print!("{screen}");
                    return outcome;
                }
            }
        }
    }

    /// From now on these of [`TYPED`] and [`CONTROL_C`] are signalled while nothing is read. Control-C always
    /// is: it may come just before somebody waits for it.
    pub(crate) fn listen(&self, bits: u64) {
        // A console that is gone is asked again at the next reminder or read.
        let console = self.console.borrow();
        let asked = console.notify(&self.bell, bits & TYPED, CONTROL_C);
        drop(console);
        if asked.is_err() {
            self.reconnect();
            let _ = self
                .console
                .borrow()
                .notify(&self.bell, bits & TYPED, CONTROL_C);
        }
    }

    /// Waits for any of `bits`, at most until the deadline; which there were, 0 for none.
    pub(crate) fn wait(&self, bits: u64, deadline: Deadline) -> u64 {
        loop {
            let soon = Deadline::after(REMIND);
            let first = if soon.ticks() < deadline.ticks() {
                soon
            } else {
                deadline
            };
            match self.bell.wait(first) {
                Ok(rung) if rung & bits != 0 => return rung & bits,
                Err(KernelError::TimedOut) if deadline.has_passed() => return 0,
                _ => self.listen(bits),
            }
        }
    }

    /// Whether Control-C was pressed since the line was entered.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.bell.poll().is_ok_and(|rung| rung & CONTROL_C != 0)
    }

    /// Takes what [`TYPED`] has told of, whatever it was.
    pub(crate) fn drop_input(&self) {
        self.input.borrow_mut().bytes.clear();
        let mut buffer = [0; 56];
        // It is there, so this does not wait; unless the console has died with it.
        let _ = self
            .console
            .borrow()
            .read(&mut buffer, Deadline::after(REMIND));
    }

    /// Prints the kernel's last lines.
    pub(crate) fn log(&self, lines: usize) -> Result<(), Refusal> {
        // Printing while the lines are read would move them on.
        let mut text = alloc::vec::Vec::new();
        let console = self.console.borrow();
        let read = console.log(lines, |bytes| text.extend_from_slice(bytes));
        read.map_err(|error| format!("log: the console: {error}"))?;
        match text.as_slice() {
            [] => println!("nothing yet, since the console's driver was started"),
            text => print!("{}", Printable(text)),
        }
        Ok(())
    }

    /// The next byte; `None` if the console was lost before there was one.
    fn byte(&self) -> Option<u8> {
        if let Some(byte) = self.input.borrow_mut().bytes.pop_front() {
            return Some(byte);
        }
        let mut buffer = [0; 56];
        let read = self.console.borrow().read(&mut buffer, Deadline::FOREVER);
        match read {
            Ok(count) => {
                let bytes = &mut self.input.borrow_mut().bytes;
                bytes.extend(buffer[..count].iter().copied());
                bytes.pop_front()
            }
            Err(_) => {
                self.reconnect();
                None
            }
        }
    }

    fn reconnect(&self) {
        *self.console.borrow_mut() = connect();
    }
}

/// Finds the console, however long that takes: without it there is nobody to tell.
fn connect() -> Console {
    loop {
        match Console::connect() {
            Ok(console) => return console,
            Err(Error::GivenUp) => start_again(),
            Err(_) => sleep(RETRY),
        }
    }
}

/// A console that died so often that the supervisor gave it up: by somebody's hand, or by a fault that
/// another attempt may not meet. Ending what was given up starts it.
fn start_again() {
    sleep(GIVEN_UP_PAUSE);
    if let Some(supervisor) = Supervisor::own() {
        // Whatever became of it, the next look tells.
        let _ = supervisor.kill(console::NAME);
    }
}

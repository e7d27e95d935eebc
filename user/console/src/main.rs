#![no_std]
#![no_main]
//! The console driver: the one process that has the UART.
//!
//! Everybody's output comes here, the kernel's too, and leaves as whole lines
//! ([`petrel_console::screen`]); what is typed goes to whoever asks for it first. It is one thread
//! that never waits for a client: it answers, or it keeps the right to answer for later. A client that
//! reads while nothing was typed, or writes while the line is slower, waits; nobody waits for that client.
//!
//! It may be killed at any moment. The kernel then keeps its lines, the UART keeps what is typed, and
//! the supervisor starts the next driver, which takes both over where this one stopped. Clients are told
//! that their console is gone, and look for the new one. Lost is what only this process knew: keys that it
//! had taken from the UART and nobody had read, half lines that it held, the log.

extern crate alloc;

mod uart;

use heapless::Deque;
use petrel_console::{
    line::{CONTROL_C, ControlC, Line, OUTPUT_BYTES},
    log::Log,
    screen::{Screen, Writer},
};
use rt::{
    Irq, Machine, Notification,
    message::INLINE_BYTES,
    object::{Answer, Reply},
    service::{Error, console, done, refused, take_endpoint},
};

rt::entry!(main);

/// Bits of this thread's notification: the UART's interrupt, lines of the kernel.
const INTERRUPT: u64 = 1 << 0;
const KERNEL_LINES: u64 = 1 << 1;

/// How many clients can wait for input, and how many for output.
const MOST_READERS: usize = 32;
const MOST_WRITERS: usize = 32;
/// How many clients can wait until all has left.
const MOST_FLUSHERS: usize = 8;
/// How much of the kernel's lines is taken at once.
const KERNEL_BYTES: usize = 512;

fn main() -> Result<(), Error> {
    let machine = rt::start::take::<Machine>("machine").ok_or(Error::NotPermitted)?;
    let endpoint = take_endpoint()?;
    let bell = Notification::create()?;
    bell.bind()?;
    // First the kernel lets go of the UART, then it is taken.
    machine.console_take(&bell, KERNEL_LINES)?;
    let (line, irq) = uart::take(&machine, &bell, INTERRUPT)?;
    let mut driver = Driver {
        machine,
        irq,
        line,
        screen: Screen::new(),
        log: Log::new(),
        readers: Deque::new(),
        writers: Deque::new(),
        flushers: heapless::Vec::new(),
        listener: None,
    };
    driver.kernel_lines();
    console::serve(&endpoint, &mut driver)?;
    Ok(())
}

/// The driver's state.
struct Driver {
    machine: Machine,
    irq: Irq,
    line: Line<'static>,
    screen: Screen,
    log: Log,
    readers: Deque<Reader, MOST_READERS>,
    writers: Deque<Held, MOST_WRITERS>,
    flushers: heapless::Vec<Reply, MOST_FLUSHERS>,
    listener: Option<Listener>,
}

/// Somebody who waits for input.
struct Reader {
    badge: u64,
    reply: Reply,
    most: usize,
}

/// Somebody who waits until there is room for what it wrote.
struct Held {
    reply: Reply,
    writer: u64,
    bytes: heapless::Vec<u8, INLINE_BYTES>,
}

/// Who is told of input and of Control-C.
struct Listener {
    badge: u64,
    bell: Notification,
    input: u64,
    control_c: u64,
    /// Control-C was signalled; if the next it does is read, it gets it as input after all.
    interrupted: bool,
}

impl Driver {
    /// Shows what the kernel has said, as far as there is room. It says nothing itself, so this ends.
    fn kernel_lines(&mut self) {
        while self.has_room(KERNEL_BYTES) {
            let mut buffer = [0; KERNEL_BYTES];
            let Ok(count @ 1..) = self.machine.console_read(&mut buffer) else {
                break;
            };
            let text = &buffer[..count];
            self.log.add(text);
            self.screen.write(Writer::Kernel, text, &mut self.line);
        }
        self.line.send();
    }

    /// Whether so much can be written now.
    fn has_room(&self, bytes: usize) -> bool {
        self.line.room() >= Screen::most(bytes)
    }

    /// Goes on with whoever waited for room: in the order in which they came, the kernel first.
    fn go_on_writing(&mut self) {
        self.kernel_lines();
        while self.has_room(INLINE_BYTES)
            && let Some(held) = self.writers.pop_front()
        {
            self.screen
                .write(Writer::Client(held.writer), &held.bytes, &mut self.line);
            self.line.send();
            // A writer that has ended meanwhile needs no answer; its line is shown.
            let _ = held.reply.reply(done());
        }
    }

    /// Whether nothing is left to be sent. What is held comes last, when there is room for all of it.
    fn is_all_out(&mut self) -> bool {
        if self.writers.is_empty() && self.line.is_all_sent() {
            self.screen.finish(&mut self.line);
            self.line.send();
        }
        self.writers.is_empty() && self.line.is_all_sent()
    }

    /// Answers who waited until nothing is left. The kernel's lines were taken just before.
    fn go_on_flushing(&mut self) {
        if !self.flushers.is_empty() && self.is_all_out() {
            for flusher in core::mem::take(&mut self.flushers) {
                // One that has ended needs no answer.
                let _ = flusher.reply(done());
            }
        }
    }

    /// Gives what was typed to who waited for it; if nobody does, says that it is there.
    fn go_on_reading(&mut self) {
        while !self.line.input().is_empty() {
            let Some(reader) = self.readers.pop_front() else {
                return self.tell(|listener| listener.input);
            };
            let (bytes, count) = self.first_input(reader.most);
            // One that has ended gets nothing, and the next one gets what it would have got.
            if reader.reply.reply(console::input(&bytes[..count])).is_ok() {
                self.input(|line| line.consume(count));
            }
        }
    }

    fn first_input(&self, most: usize) -> ([u8; INLINE_BYTES], usize) {
        let mut bytes = [0; INLINE_BYTES];
        let mut count = 0;
        for (place, byte) in bytes.iter_mut().zip(self.line.input().iter()).take(most) {
            *place = *byte;
            count += 1;
        }
        (bytes, count)
    }

    /// Takes what came, and finds out what it is. Control-C interrupts, unless the listener itself waits to
    /// read it.
    fn input(&mut self, take: impl FnOnce(&mut Line<'static>)) {
        self.line.set_control_c(match &self.listener {
            Some(listener) if listener.control_c != 0 && !self.is_reading(listener.badge) => {
                ControlC::Interrupts
            }
            _ => ControlC::IsInput,
        });
        take(&mut self.line);
        if self.line.take_interrupted()
            && let Some(listener) = &mut self.listener
        {
            listener.interrupted = true;
            self.tell(|listener| listener.control_c);
        }
    }

    fn is_reading(&self, badge: u64) -> bool {
        self.readers.iter().any(|reader| reader.badge == badge)
    }

    /// Whether that reader was interrupted since it said that it listens.
    fn take_interrupted(&mut self, badge: u64) -> bool {
        let listener = self
            .listener
            .as_mut()
            .filter(|listener| listener.badge == badge);
        listener.is_some_and(|listener| core::mem::take(&mut listener.interrupted))
    }

    /// Signals to the listener, if there is one. One that has ended hears nothing.
    fn tell(&self, bits: impl FnOnce(&Listener) -> u64) {
        if let Some(listener) = &self.listener {
            match bits(listener) {
                0 => {}
                bits => drop(listener.bell.signal(bits)),
            }
        }
    }
}

impl console::Server for Driver {
    fn write(&mut self, writer: u64, bytes: &[u8]) -> Answer {
        // What the kernel said before is shown before.
        self.kernel_lines();
        if self.writers.is_empty() && self.has_room(bytes.len()) {
            self.screen
                .write(Writer::Client(writer), bytes, &mut self.line);
            self.line.send();
            return Answer::Reply(done());
        }
        let Ok(bytes) = heapless::Vec::from_slice(bytes) else {
            return Answer::Reply(refused(Error::BadRequest));
        };
        if self.writers.is_full() {
            return Answer::Reply(refused(Error::Full));
        }
        match Reply::save() {
            Ok(reply) => {
                // It is not full.
                let _ = self.writers.push_back(Held {
                    reply,
                    writer,
                    bytes,
                });
                Answer::Later
            }
            Err(error) => Answer::Reply(refused(error.into())),
        }
    }

    fn read(&mut self, reader: u64, most: usize) -> Answer {
        if self.has_room(0) {
            self.screen.focus(Writer::Client(reader), &mut self.line);
            self.line.send();
        }
        if self.take_interrupted(reader) {
            return Answer::Reply(console::input(&[CONTROL_C]));
        }
        if self.readers.is_empty() && !self.line.input().is_empty() {
            let (bytes, count) = self.first_input(most);
            self.input(|line| line.consume(count));
            return Answer::Reply(console::input(&bytes[..count]));
        }
        if self.readers.is_full() {
            return Answer::Reply(refused(Error::Full));
        }
        match Reply::save() {
            Ok(reply) => {
                // It is not full.
                let _ = self.readers.push_back(Reader {
                    badge: reader,
                    reply,
                    most,
                });
                Answer::Later
            }
            Err(error) => Answer::Reply(refused(error.into())),
        }
    }

    fn notify(&mut self, listener: u64, bell: Notification, input: u64, control_c: u64) {
        self.listener = Some(Listener {
            badge: listener,
            bell,
            input,
            control_c,
            interrupted: false,
        });
        // Input that is there already is news for who has just come.
        self.go_on_reading();
    }

    fn last(&mut self, lines: usize) -> u64 {
        self.log.last(lines)
    }

    fn log(&mut self, at: u64, to: &mut [u8]) -> (u64, usize) {
        self.log.read(at, to)
    }

    fn flush(&mut self) -> Answer {
        self.go_on_writing();
        if self.is_all_out() {
            return Answer::Reply(done());
        }
        if self.flushers.is_full() {
            return Answer::Reply(refused(Error::Full));
        }
        match Reply::save() {
            Ok(reply) => {
                // It is not full.
                let _ = self.flushers.push(reply);
                Answer::Later
            }
            Err(error) => Answer::Reply(refused(error.into())),
        }
    }

    fn bits(&mut self, bits: u64) {
        if bits & INTERRUPT != 0 {
            self.input(Line::interrupt);
            // Nobody but this process could have given the Irq away.
            let _ = self.irq.acknowledge();
            self.go_on_reading();
        }
        // Whatever it was, there may be room or lines now.
        self.go_on_writing();
        self.go_on_flushing();
    }
}

// A `Line` is a `Sink` that never says no.
const _: () = assert!(
    OUTPUT_BYTES >= Screen::most(KERNEL_BYTES)
        && OUTPUT_BYTES >= Screen::most(INLINE_BYTES)
        && OUTPUT_BYTES >= Screen::MOST_HELD
);

//! One run of QEMU: its output, its end, the bound.
//!
//! Standard output and standard error go into one pipe, so that QEMU's own complaints stand where
//! they belong between the guest's lines. The bound is a last guard, in host time: a run that needs
//! it has failed. Only the process that was started here is ever ended, and with SIGTERM first, so
//! that QEMU gives a terminal back as it found it.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dialogue::{Dialogue, Typist, Unanswered};
use crate::keyboard::{Keys, RawTerminal};
use crate::machine::CommandLine;

/// The bound when nothing else is said. Boot to power-off takes a tenth of a second.
pub const DEFAULT_BOUND: Duration = Duration::from_secs(120);

/// A guest that prints more than this is stuck in a loop.
pub const DEFAULT_OUTPUT_LIMIT_BYTES: usize = 64 << 20;

/// How long QEMU may take to end when asked politely.
const GRACE: Duration = Duration::from_secs(2);

/// How often the waiting looks up.
const TICK: Duration = Duration::from_millis(50);

/// Set by the Ctrl-C handler: all runs end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on, Ctrl-C (or SIGTERM, SIGHUP) ends the running guests instead of this program, which
/// then still says what became of them.
///
/// # Errors
/// When the handler cannot be installed, or already is.
pub fn stop_on_ctrl_c() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed))
        .context("cannot install the Ctrl-C handler")
}

/// Whether Ctrl-C was pressed since [`stop_on_ctrl_c`].
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// What to do with the output while it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Only keep it.
    Quiet,
    /// Also print it at once.
    Live,
}

/// What the guest may read from its serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Nothing,
    /// What this program's own standard input gives.
    Inherited,
    /// Every key that is pressed on the terminal that standard input is.
    Keyboard,
    /// What this types.
    Typed(Dialogue),
}

/// How a run is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// After so long, QEMU is ended. `Duration::MAX`: never.
    pub bound: Duration,
    /// After so much output, too.
    pub output_limit_bytes: usize,
    /// What to do with the output.
    pub echo: Echo,
    /// What the guest may read.
    pub input: Input,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bound: DEFAULT_BOUND,
            output_limit_bytes: DEFAULT_OUTPUT_LIMIT_BYTES,
            echo: Echo::Quiet,
            input: Input::Nothing,
        }
    }
}

/// How QEMU ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit status.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// By us: the bound was reached.
    OverBound(Duration),
    /// By us: it printed more than so many bytes.
    OverOutput(usize),
    /// By us: Ctrl-C, or the key that leaves a guest.
    Interrupted,
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// Everything that was printed.
    pub output: Vec<u8>,
    /// How it ended.
    pub ended: Ended,
    /// How long it took, in host time.
    pub elapsed: Duration,
    /// What was still waited for, of what was to be typed.
    pub unanswered: Option<Unanswered>,
}

impl Run {
    /// The output as text. Bytes that are no UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).replace('\r', "")
    }

    /// The last `count` lines of the output.
    pub fn tail(&self, count: usize) -> String {
        tail(&self.text(), count)
    }
}

/// The last `count` lines of a text.
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Runs QEMU to its end and returns what it printed. `observer` sees every line when it is complete.
///
/// # Errors
/// When QEMU cannot be started or waited for. How a run that was started ended is never an error.
pub fn run(line: &CommandLine, options: Options, observer: &mut dyn FnMut(&str)) -> Result<Run> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut command = line.command();
    command
        .stdin(match &options.input {
            Input::Nothing => Stdio::null(),
            Input::Inherited => Stdio::inherit(),
            Input::Keyboard | Input::Typed(_) => Stdio::piped(),
        })
        .stdout(writer.try_clone().context("cannot make a pipe")?)
        .stderr(writer);
    let started = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // The command holds our copies of the pipe's writing end: it would never end.
    drop(command);

    let mut guest = Guest {
        child,
        status: None,
    };
    let stdin = guest.child.stdin.take();
    let mut record = Record::new(options.echo, observer);
    let mut hands = Hands::of(&options.input, stdin)?;
    let chunks = read_in_background(reader);
    let stopped = follow(
        &mut guest,
        &chunks,
        &mut record,
        &mut hands,
        started,
        &options,
    )?;
    if stopped.is_some() {
        guest.end()?;
        while let Ok(chunk) = chunks.recv_timeout(TICK) {
            record.add(&chunk);
        }
    }
    record.finish();
    let unanswered = hands.unanswered();
    // Gives the terminal back before anybody prints what became of the run.
    drop(hands);
    let ended = match (stopped, guest.status) {
        (Some(Stop::Bound), _) => Ended::OverBound(options.bound),
        (Some(Stop::Output), _) => Ended::OverOutput(options.output_limit_bytes),
        (Some(Stop::Interrupt), _) => Ended::Interrupted,
        (None, Some(status)) => match status.code() {
            Some(code) => Ended::Exited(code),
            None => Ended::Signalled(status.signal().unwrap_or(0)),
        },
        (None, None) => unreachable!("follow() returns None only when there is a status"),
    };
    Ok(Run {
        output: record.output,
        ended,
        elapsed: started.elapsed(),
        unanswered,
    })
}

/// Who is at the guest's keyboard.
enum Hands {
    Nobody,
    Somebody { keys: Keys, _terminal: RawTerminal },
    Typist(Typist),
}

impl Hands {
    /// `stdin` is the guest's, where it is a pipe of ours.
    fn of(input: &Input, stdin: Option<ChildStdin>) -> Result<Self> {
        Ok(match (input, stdin) {
            (Input::Keyboard, Some(stdin)) => Self::Somebody {
                _terminal: RawTerminal::enter()?,
                keys: Keys::forward(stdin),
            },
            (Input::Typed(dialogue), Some(stdin)) => {
                Self::Typist(Typist::new(dialogue.clone(), stdin))
            }
            _ => Self::Nobody,
        })
    }

    fn look(&mut self, output: &[u8]) {
        if let Self::Typist(typist) = self {
            typist.look(output);
        }
    }

    fn leave(&self) -> bool {
        matches!(self, Self::Somebody { keys, .. } if keys.left())
    }

    fn unanswered(&self) -> Option<Unanswered> {
        match self {
            Self::Typist(typist) => typist.unanswered(),
            _ => None,
        }
    }
}

/// Why a guest has to be ended.
enum Stop {
    Bound,
    Output,
    Interrupt,
}

/// Records the output until the guest has ended (`None`) or must be.
fn follow(
    guest: &mut Guest,
    chunks: &Receiver<Vec<u8>>,
    record: &mut Record<'_>,
    hands: &mut Hands,
    started: Instant,
    options: &Options,
) -> Result<Option<Stop>> {
    let mut open = true;
    while open || !guest.is_over()? {
        if interrupted() || hands.leave() {
            return Ok(Some(Stop::Interrupt));
        }
        let left = options.bound.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(Some(Stop::Bound));
        }
        if record.output.len() > options.output_limit_bytes {
            return Ok(Some(Stop::Output));
        }
        if !open {
            // The pipe is closed, the process not gone: this takes no time to speak of.
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        match chunks.recv_timeout(left.min(TICK)) {
            Ok(chunk) => {
                record.add(&chunk);
                hands.look(&record.output);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => open = false,
        }
    }
    Ok(None)
}

/// Hands over what the pipe gives, until its end.
fn read_in_background(mut reader: io::PipeReader) -> Receiver<Vec<u8>> {
    // Bounded, so that a guest that prints without end waits for us instead of filling memory.
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..bytes].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The QEMU process. Never outlives this.
struct Guest {
    child: Child,
    status: Option<ExitStatus>,
}

impl Guest {
    fn is_over(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait().context("cannot wait for QEMU")?;
        }
        Ok(self.status.is_some())
    }

    /// Asks it to end, then makes it.
    fn end(&mut self) -> Result<()> {
        if self.is_over()? {
            return Ok(());
        }
        // Not waited for yet, so the id is still this process's own. An error means it just ended.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if self.is_over()? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.child.kill().context("cannot end QEMU")?;
        self.status = Some(self.child.wait().context("cannot wait for QEMU")?);
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Only after an error or a panic is there anything to do; nobody is left to tell.
        let _ = self.end();
    }
}

/// The output so far, and who else wants it.
struct Record<'a> {
    output: Vec<u8>,
    /// Start of the line that is not complete yet.
    line_start: usize,
    echo: Echo,
    observer: &'a mut dyn FnMut(&str),
}

impl<'a> Record<'a> {
    fn new(echo: Echo, observer: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            output: Vec::new(),
            line_start: 0,
            echo,
            observer,
        }
    }

    fn add(&mut self, chunk: &[u8]) {
        if self.echo == Echo::Live {
            // A closed standard output is no reason to lose the run.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(chunk).and_then(|()| stdout.flush());
        }
        let mut from = self.output.len();
        self.output.extend_from_slice(chunk);
        while let Some(length) = self.output[from..].iter().position(|&byte| byte == b'\n') {
            from += length + 1;
            self.show_line(from - 1);
            self.line_start = from;
        }
    }

    /// The last line need not end with a newline.
    fn finish(&mut self) {
        if self.line_start < self.output.len() {
            self.show_line(self.output.len());
        }
    }

    fn show_line(&mut self, end: usize) {
        let line = String::from_utf8_lossy(&self.output[self.line_start..end]);
        (self.observer)(line.trim_end_matches('\r'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_seen_whole_however_the_bytes_come() {
        let mut seen = Vec::new();
        let mut observer = |line: &str| seen.push(line.to_owned());
        let mut record = Record::new(Echo::Quiet, &mut observer);
        for chunk in [&b"on"[..], b"e\r\ntwo\n\nth", b"ree"] {
            record.add(chunk);
        }
        record.finish();
        assert_eq!(record.output, b"one\r\ntwo\n\nthree");
        assert_eq!(seen, ["one", "two", "", "three"]);
    }

    fn held(dialogue: Dialogue) -> Run {
        let take = "dd bs=1 count=4 2>&-";
        let script = format!("printf 'name? '; {take}; printf ' more? '; {take}; exit 3");
        let options = Options {
            bound: Duration::from_secs(20),
            input: Input::Typed(dialogue),
            ..Options::default()
        };
        let line = CommandLine::of("sh", &["-c", &script]);
        run(&line, options, &mut |_| {}).expect("sh starts")
    }

    #[test]
    fn a_dialogue_is_held() {
        let dialogue = Dialogue::new().then("name? ", "Ada\n");
        let run = held(dialogue.then("more? ", "no.\n"));
        assert_eq!(run.output, b"name? Ada\r more? no.\r");
        assert_eq!(run.ended, Ended::Exited(3));
        assert_eq!(run.unanswered, None);
    }

    #[test]
    fn what_was_never_asked_is_told() {
        let dialogue = Dialogue::new().then("name? ", "Ada\nno.\n");
        let run = held(dialogue.then("again? ", "never\n"));
        assert_eq!(run.ended, Ended::Exited(3));
        let unanswered = run.unanswered.expect("the second step");
        assert_eq!(
            (unanswered.step, unanswered.awaits.as_str()),
            (2, "again? ")
        );
    }

    #[test]
    fn the_tail_is_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 40), "a");
        assert_eq!(tail("", 40), "");
    }
}

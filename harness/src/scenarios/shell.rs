//! A person at the shell: what is typed, and what must be seen then.
//!
//! Each step waits for something printed behind what the step before it waited for. A prompt may be
//! printed again (the console puts other people's lines above it), so a step that must not come too
//! early waits for what only its forerunner prints.

use crate::disk::Disk;
use crate::machine::Machine;
use crate::scenario::{Expect, Scenario};

const PROMPT: &str = "petrel> ";

/// The shell is what a boot comes to that has nothing else to do.
pub(super) fn all() -> Vec<Scenario> {
    [
        vec![
            commands(),
            errors(),
            programs(),
            control_c(),
            keys(),
            noise(),
            disk_restarts(),
            console_restarts(),
            storm(),
            after_the_runs(),
            busy(),
        ],
        session().everywhere(),
    ]
    .concat()
}

/// A shell, into which these lines are typed; each line waits for a prompt, and then for its answers.
fn shell(name: &str, lines: &[(&str, &[&str])]) -> Scenario {
    let mut scenario = Scenario::passes(format!("shell/{name}"), "on_done=shell")
        .disk(|path| Disk::Files.write(path))
        .bound_seconds(120);
    for (line, answers) in lines {
        scenario = scenario.types(PROMPT, &format!("{line}\n"));
        for answer in *answers {
            scenario = scenario.sees(answer);
        }
    }
    scenario
}

fn left(scenario: Scenario) -> Scenario {
    scenario
        .types(PROMPT, "exit\n")
        .needs("petrel: PASS the shell was left with 'exit'")
}

fn commands() -> Scenario {
    let scenario = shell(
        "commands",
        &[
            ("help", &["ls [path]", "switch the machine off", "Keys:"]),
            (
                "help kill",
                &["kill number | name", "Example: kill console"],
            ),
            ("ls", &["bin/", "disk/", "etc/", " init"]),
            ("ls /bin", &["console", "shell"]),
            ("ls /disk", &["hello.txt", "256 KiB  numbers.bin"]),
            ("ls /disk/hello.txt", &["21 B  /disk/hello.txt"]),
            (
                "cat /disk/hello.txt /disk/docs/readme.txt",
                &["Hello from", "What you write here stays."],
            ),
            ("cat /etc/start", &["service console"]),
            ("ps", &["(kernel)", "init", "console", "files", "shell"]),
            ("mem", &["kernel heap", "console"]),
            ("irq", &["PL011", "virtio slot"]),
            ("run crash", &["ends: nothing is mapped there"]),
            ("log 9", &["ends: nothing is mapped there"]),
            ("storm seconds=1", &["storm on 4 CPUs", "done: storm"]),
            ("top", &["CPU   busy", "(kernel)"]),
        ],
    );
    // Any key leaves `top`; the second page shows that it goes on until then.
    left(scenario.types("CPU   busy", "q"))
}

fn errors() -> Scenario {
    let scenario = shell(
        "errors",
        &[
            (
                "hlep",
                &["there is no command 'hlep'; did you mean 'help'?"],
            ),
            ("run", &["usage: run program [argument ...] [&]"]),
            ("run nothing", &["nothing: not in the init image"]),
            ("run /disk/nothing", &["/disk/nothing: not found"]),
            ("run /etc/start", &["/etc/start: not an ELF file"]),
            ("run /disk/hello.txt", &["/disk/hello.txt: not an ELF file"]),
            ("cat /disk", &["/disk: is a directory"]),
            ("ls /disk/nothing", &["/disk/nothing: not found"]),
            ("ls ..", &["..: a bad name"]),
            ("kill nobody", &["there is no process 'nobody'"]),
            ("kill 4000000000", &["there is no process 4000000000"]),
            (
                "kill 1",
                &["process 1 (init) is not the supervisor's to end"],
            ),
            ("storm wind=7", &["storm:wind=7"]),
            ("log many", &["'many' is not a number from 0"]),
            ("run \"hello", &["a quote \" is opened and not closed"]),
            ("exit 300", &["'300' is not a number from 0 to 255"]),
        ],
    )
    .types(PROMPT, "exit 3\n");
    Scenario {
        expect: Expect::Fail("the shell was left with 'exit 3'"),
        ..scenario
    }
}

fn programs() -> Scenario {
    let scenario = shell(
        "programs",
        &[
            ("run hello", &["hello, world"]),
            (
                "run hello Ada \"Grace Hopper\"",
                &["hello, Ada", "hello, Grace Hopper"],
            ),
            ("run /bin/hello", &["hello, world"]),
            (
                "run crash",
                &["crash faulted: wrote 0xdead: nothing is mapped there (pc 0x4"],
            ),
            ("run crash read", &["crash faulted: read 0xdead"]),
            ("run crash execute", &["crash faulted: executed 0xdeac"]),
            (
                "run crash undefined",
                &["crash faulted: undefined instruction at pc 0x4"],
            ),
            ("run crash break", &["crash faulted: breakpoint at pc 0x4"]),
            (
                "run crash align",
                &["crash faulted: read 0x7f", "misaligned"],
            ),
            (
                "run crash nowhere",
                &["crash: the argument is one of", "crash ended with status 1"],
            ),
            (
                "run primes",
                &["9592 primes below 100000, the largest 99991"],
            ),
            ("run pi 8", &["pi = 3.141592653590 by 8 threads"]),
            ("run spin &", &["spin runs as process "]),
            ("kill spin", &["was killed"]),
            ("run spin 0 &", &["spin runs as process "]),
            ("run hello", &["hello, world"]),
        ],
    );
    // Said before the prompt that follows its end, whichever that is.
    left(scenario).needs(") ended well")
}

fn control_c() -> Scenario {
    let scenario = shell("control-c", &[("run spin", &[])])
        .types("run spin\r\n", "\x03")
        .sees("spin was killed")
        .types(PROMPT, "forget this\x03")
        .sees("^C")
        .types(PROMPT, "run hello\n")
        .sees("hello, world")
        .types(PROMPT, "\x04")
        .sees("'exit' switches the machine off");
    left(scenario)
}

fn keys() -> Scenario {
    left(shell(
        "keys",
        &[
            // Left, insert; Home, Delete; End, Backspace.
            (
                "run hell\x1b[Do\x1b[C\x7fX\x1b[H\x1b[3~r\x1b[F\x7fl",
                &["helol: not in the init image"],
            ),
            ("junk\x15run hello A", &["hello, A"]),
            // History: the last but one, changed.
            ("run hello B", &["hello, B"]),
            ("\x1b[A\x1b[A\x7fC", &["hello, C"]),
            ("run hello D tail\x17\x0b", &["hello, D"]),
            ("hello E\x01run \x05", &["hello, E"]),
            // Completion, of a command and of a program.
            ("hi", &["no command 'hi'"]),
            ("irq\x0c", &["\x1b[2J", "PL011"]),
            ("run hel\tF", &["hello, F"]),
            ("cat /disk/docs/re\t", &["What you write here stays."]),
        ],
    ))
}

/// A line that is too long, bytes that are no text, and a paste of many lines.
fn noise() -> Scenario {
    let long = "x".repeat(3000);
    let paste: String = (0..40)
        .map(|number| format!("run hello paste{number}\n"))
        .collect();
    let scenario = shell("noise", &[(&long, &["there is no command 'xxxx"])])
        .types(
            PROMPT,
            "\u{0}\u{1}\u{1b}[999;999;999Zäöü\u{1b}\u{1b}[\u{7f}\u{10ffff}\n",
        )
        .types(PROMPT, "run hello after\n")
        .sees("hello, after")
        .types(PROMPT, &paste)
        .sees("hello, paste0")
        .sees("hello, paste39");
    left(scenario)
}

fn disk_restarts() -> Scenario {
    left(shell(
        "disk-restarts",
        &[
            (
                "kill blk",
                &["blk was ended; it is a service, and is started again"],
            ),
            ("cat /disk/hello.txt", &["Hello from the disk."]),
            ("kill disk", &["disk was ended"]),
            ("cat /disk/hello.txt", &["Hello from the disk."]),
            ("kill files", &["files was ended"]),
            ("cat /etc/start", &["service console"]),
        ],
    ))
}

/// More often than the supervisor puts up with, and with output from others meanwhile.
fn console_restarts() -> Scenario {
    let kill = ("kill console", &["console: killed"][..]);
    let hello = ("run hello", &["hello, world"][..]);
    let mut lines = vec![("run spin &", &["spin runs as process"][..])];
    for _ in 0..8 {
        lines.extend([kill, hello]);
    }
    lines.push(("run crash", &["crash faulted"]));
    lines.push(("kill spin", &["was killed"]));
    left(shell("console-restarts", &lines))
}

/// All of it while the kernel storms, and prints.
fn storm() -> Scenario {
    left(shell(
        "storm",
        &[
            ("storm seconds=4 &", &["storm on 4 CPUs"]),
            ("run hello", &["hello, world"]),
            ("run pi 8", &["pi = 3.141592653590"]),
            ("run crash", &["crash faulted"]),
            ("kill console", &["console was ended"]),
            ("ps", &["(kernel)", "shell"]),
            ("kill blk", &["blk was ended"]),
            ("cat /disk/hello.txt", &["Hello from the disk."]),
            ("run primes 1000000", &["78498 primes", "storm"]),
        ],
    ))
}

/// The shell is what follows the runs, too.
fn after_the_runs() -> Scenario {
    let mut scenario = left(shell("after-the-runs", &[])).needs("done: selftest");
    scenario.bootargs += " run=selftest";
    scenario
}

/// More programs that never wait than there are CPUs: whoever serves others is served first.
fn busy() -> Scenario {
    let spin = ("run spin &", &["spin runs as process"][..]);
    let mut lines = vec![spin; 5];
    lines.extend([
        ("cat /disk/hello.txt", &["Hello from the disk."][..]),
        ("kill disk", &["disk: killed", "a FAT volume"]),
        ("kill blk", &["blk: killed", "blk: a disk"]),
        ("cat /disk/hello.txt", &["Hello from the disk."]),
        ("kill console", &["console was ended"]),
        ("run hello", &["hello, world"]),
        ("kill spin", &["there are several 'spin'"]),
    ]);
    left(shell("busy", &lines).on(Machine::default().cpus(2)))
}

/// A bit of everything, short enough to be done everywhere.
fn session() -> Scenario {
    left(shell(
        "session",
        &[
            ("run hello", &["hello, world"]),
            ("run pi 2", &["pi = 3.141592653590"]),
            ("run crash", &["crash faulted: wrote 0xdead"]),
            ("kill console", &["console was ended"]),
            ("kill blk", &["blk was ended"]),
            ("cat /disk/hello.txt", &["Hello from the disk."]),
            ("run spin &", &["spin runs as process"]),
            ("ps", &["(kernel)", "spin"]),
            ("kill spin", &["was killed"]),
        ],
    ))
}

//! Interrupts between CPUs: each arrives, once, with what was written before it.
//!
//! A sender writes a letter, then sends; the handler on the other CPU must find it (seL4 had the
//! barrier missing, issue 1385). SGIs of one number to one CPU merge while pending, so each pair of
//! CPUs has a letter box of its own and the handler looks into all that lead to its CPU. First one
//! CPU sends at a time and waits for the answer: then interrupts and letters are equal in number.
//! Then all send at once: then every letter is read once, and there are no more interrupts than
//! letters. Both with ordinary SGIs and with NMIs, which nest into each other's handlers. Last, two
//! threads on neighbouring CPUs wake each other in turns.

use super::support::{LOW, ThreadSlot, ensure, expect_eq, nothing_lost, spawn_on};
use super::{Failure, Task};
use crate::irq::{self, Interrupt, Sgi, To};
use crate::smp::{self, Cpu};
use crate::{clock, thread};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use boot::args::Params;
use core::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;
use spin::Once;

/// The kinds of SGI under test.
const KINDS: [Sgi; 2] = [Sgi::Call, Sgi::TestNmi];
/// How long an answer is waited for before the SGI counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// From one CPU to one other, for one kind of SGI.
struct LetterBox {
    /// Written before the number.
    letter: AtomicU64,
    /// Letters sent.
    sent: AtomicU64,
    /// Letters read. By the handler only.
    read: AtomicU64,
}

/// All letter boxes: by kind, sender, receiver.
struct Post {
    boxes: Vec<LetterBox>,
    cpus: usize,
    /// Interrupts handled, by kind.
    interrupts: [AtomicU64; KINDS.len()],
}

impl Post {
    fn letter_box(&self, kind: usize, from: usize, to: usize) -> &LetterBox {
        &self.boxes[(kind * self.cpus + from) * self.cpus + to]
    }

    fn read(&self, kind: usize) -> u64 {
        let of_kind = self.cpus * self.cpus;
        let boxes = &self.boxes[kind * of_kind..(kind + 1) * of_kind];
        boxes.iter().map(|each| each.read.load(Relaxed)).sum()
    }
}

static POST: Once<Post> = Once::new();
static ROUNDS: AtomicU64 = AtomicU64::new(0);

fn post() -> &'static Post {
    POST.call_once(|| {
        let cpus = smp::all().count();
        let mut boxes = Vec::new();
        boxes.resize_with(KINDS.len() * cpus * cpus, || LetterBox {
            letter: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            read: AtomicU64::new(0),
        });
        Post {
            boxes,
            cpus,
            interrupts: [const { AtomicU64::new(0) }; KINDS.len()],
        }
    })
}

/// What letter `number` says: nothing that another letter says.
fn letter(kind: usize, from: usize, to: usize, number: u64) -> u64 {
    (number << 24 | (kind << 16 | from << 8 | to) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Runs the workload. Parameters: `rounds` of letters for each pair of CPUs, `turns` of each pair
/// of threads.
///
/// # Errors
/// A sentence about what did not happen, or should not have.
pub(super) fn run(_: &Task, mut params: Params<'_>) -> Result<String, Failure> {
    let cpus = smp::all().count() as u64;
    let rounds = params.count("rounds", 400 / (cpus * cpus) + 5)?;
    let turns = params.count("turns", 200)?;
    params.finish()?;
    ensure!(
        rounds > 0 && turns > 0,
        "rounds={rounds}, turns={turns}: nothing would be tested"
    );
    ROUNDS.store(rounds, Relaxed);
    let post = post();
    let pairs = (post.cpus * post.cpus) as u64;
    for (kind, sgi) in KINDS.into_iter().enumerate() {
        irq::set_handler(sgi.intid(), on_letter, kind)?;
    }
    let mut told = String::new();
    for (kind, sgi) in KINDS.into_iter().enumerate() {
        let due = rounds * pairs;
        let one_by_one = send_letters(kind, Turns::OneByOne)?;
        ensure!(
            one_by_one == (due, due),
            "{sgi:?}: of {due} letters {} were read, by {} interrupts",
            one_by_one.1,
            one_by_one.0
        );
        let at_once = send_letters(kind, Turns::AtOnce)?;
        ensure!(
            at_once.1 == due && (1..=due).contains(&at_once.0),
            "{sgi:?}, all at once: of {due} letters {} were read, by {} interrupts",
            at_once.1,
            at_once.0
        );
        told.push_str(&format!("{} {sgi:?} letters, ", one_by_one.1 + at_once.1));
    }
    for sgi in KINDS {
        irq::clear_handler(sgi.intid())?;
    }
    let mut turned = 0;
    for cpu in smp::all() {
        turned += play(cpu, turns)?;
    }
    nothing_lost()?;
    Ok(format!(
        "ipi on {}: {told}{turned} wake-ups in turns{}",
        smp::up(),
        if irq::has_nmis() {
            ""
        } else {
            " (mask=daif: no NMIs, all ordinary)"
        }
    ))
}

/// Reads all letters to this CPU.
fn on_letter(interrupt: &Interrupt<'_>) {
    let (post, kind, to) = (post(), interrupt.argument, interrupt.cpu.index());
    post.interrupts[kind].fetch_add(1, Relaxed);
    for from in 0..post.cpus {
        let letter_box = post.letter_box(kind, from, to);
        let (sent, read) = (letter_box.sent.load(Acquire), letter_box.read.load(Relaxed));
        if sent == read {
            continue;
        }
        expect_eq!(sent, read + 1, "letters from CPU {from} to {to} were lost");
        expect_eq!(
            letter_box.letter.load(Relaxed),
            letter(kind, from, to, sent),
            "an interrupt from CPU {from} came to CPU {to} before its letter"
        );
        letter_box.read.store(sent, Release);
    }
}

/// Whether senders take turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turns {
    OneByOne,
    AtOnce,
}

/// Has each CPU send to each. Gives interrupts and letters.
fn send_letters(kind: usize, turns: Turns) -> Result<(u64, u64), Failure> {
    let post = post();
    let before = (post.interrupts[kind].load(Relaxed), post.read(kind));
    let mut senders = Vec::new();
    for cpu in smp::all() {
        let sender = spawn_on(cpu, "sender", LOW, send, kind << 16 | cpu.index())?;
        match turns {
            Turns::OneByOne => sender.join(),
            Turns::AtOnce => senders.push(sender),
        }
    }
    for sender in senders {
        sender.join();
    }
    Ok((
        post.interrupts[kind].load(Relaxed) - before.0,
        post.read(kind) - before.1,
    ))
}

fn send(kind_and_cpu: usize) {
    let (kind, from, post) = (kind_and_cpu >> 16, kind_and_cpu & 0xffff, post());
    for _ in 0..ROUNDS.load(Relaxed) {
        for to in smp::all() {
            let letter_box = post.letter_box(kind, from, to.index());
            let number = letter_box.sent.load(Relaxed) + 1;
            let text = letter(kind, from, to.index(), number);
            letter_box.letter.store(text, Relaxed);
            letter_box.sent.store(number, Release);
            irq::send(KINDS[kind], To::Cpu(to.percpu()));
            let patience = clock::now() + clock::ticks(PATIENCE);
            let mut turns = 0;
            while letter_box.read.load(Acquire) != number {
                assert!(
                    clock::now() < patience,
                    "{:?} from CPU {from} to CPU {} was never handled",
                    KINDS[kind],
                    to.index()
                );
                // Where CPUs are more than the host has, the receiver may need this one's turn.
                turns += 1;
                if turns % 256 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
                smp::spin();
            }
        }
    }
}

// Wake-ups in turns.

static PLAYERS: [ThreadSlot; 2] = [const { ThreadSlot::new() }; 2];
static BALL: AtomicU64 = AtomicU64::new(0);
static BEGUN: AtomicBool = AtomicBool::new(false);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Plays until the ball has made all its turns. `side` is 0 or 1.
fn player(side: usize) {
    let over = TURNS.load(Relaxed);
    let wake_other = || {
        if let Some(other) = PLAYERS[1 - side].get() {
            thread::wake(other);
        }
    };
    loop {
        thread::wait_until(|| {
            let ball = BALL.load(Acquire);
            BEGUN.load(Acquire) && (ball >= over || ball % 2 == side as u64)
        });
        if BALL.load(Relaxed) >= over {
            break;
        }
        BALL.fetch_add(1, Release);
        wake_other();
    }
}

/// Two threads on `cpu` and on the next wake each other. Gives how often.
fn play(cpu: &'static Cpu, turns: u64) -> Result<u64, Failure> {
    let Some(next) = smp::get((cpu.index() + 1) % smp::all().count()) else {
        return Err(Failure::new(format_args!("a CPU is gone")));
    };
    BALL.store(0, Relaxed);
    BEGUN.store(false, Relaxed);
    TURNS.store(turns, Relaxed);
    let players = [
        spawn_on(cpu, "player", LOW, player, 0)?,
        spawn_on(next, "player", LOW, player, 1)?,
    ];
    for (slot, player) in PLAYERS.iter().zip(&players) {
        slot.set(Some(player.waker()));
    }
    BEGUN.store(true, Release);
    for player in &players {
        thread::wake(player.waker());
    }
    for player in &players {
        // The last wake-up of each may still be on its way: both must live until both are over.
        while !player.is_done() {
            thread::sleep(Duration::from_micros(50));
        }
    }
    for slot in &PLAYERS {
        slot.set(None);
    }
    for player in players {
        player.join();
    }
    Ok(BALL.load(Relaxed))
}

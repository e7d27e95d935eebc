//! A ring of text lines, written from any context and drained by whoever can.
//!
//! The console is slow and one; writers are many, and one of them may be an NMI that interrupted
//! another in the middle of a line. So a writer takes a slot of its own, formats into it, and marks it
//! full (a bounded many-writer queue with a sequence number in each slot). Whoever finds nobody
//! draining drains; a line is printed as a whole or not at all. If the ring is full the line is lost
//! and counted, and the next drain says how many were.

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};

/// The most bytes of a line; what is longer is cut, and ends in [`CUT`].
pub const LINE_BYTES: usize = 248;
/// What a line ends in that did not fit.
pub const CUT: &str = " [cut]";

struct Slot {
    /// `2 * lap` when free for that lap, `2 * lap + 1` when full.
    turn: AtomicU32,
    len: AtomicU32,
    text: UnsafeCell<[u8; LINE_BYTES]>,
}

/// A ring of `N` lines; `N` is a power of two.
pub struct Lines<const N: usize> {
    head: AtomicU64,
    tail: AtomicU64,
    lost: AtomicU64,
    lost_ever: AtomicU64,
    draining: AtomicBool,
    slots: [Slot; N],
}

// SAFETY: a slot's text is written only by the writer that moved `head` past it, and read only by
// the one drainer after `turn` said that it is full.
unsafe impl<const N: usize> Sync for Lines<N> {}

impl<const N: usize> Lines<N> {
    /// An empty ring.
    pub const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            lost_ever: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            slots: [const {
                Slot {
                    turn: AtomicU32::new(0),
                    len: AtomicU32::new(0),
                    text: UnsafeCell::new([0; LINE_BYTES]),
                }
            }; N],
        }
    }

    /// Writes one line. Any context. A full ring loses it, and counts that.
    pub fn write(&self, line: fmt::Arguments<'_>) {
        let Some(at) = self.take() else {
            self.lost.fetch_add(1, Relaxed);
            self.lost_ever.fetch_add(1, Relaxed);
            return;
        };
        let slot = &self.slots[at as usize % N];
        // SAFETY: `take` gave this slot to this writer alone until `turn` is moved on.
        let text = unsafe { &mut *slot.text.get() };
        let mut writer = LineWriter { text, len: 0 };
        // The writer never fails: what does not fit is cut.
        let _ = fmt::write(&mut writer, line);
        slot.len.store(writer.len as u32, Relaxed);
        // Against `drain`: each side stores, then loads the other's word.
        slot.turn.store(lap::<N>(at) * 2 + 1, SeqCst);
    }

    /// How many lines were ever lost.
    pub fn lost_ever(&self) -> u64 {
        self.lost_ever.load(Relaxed)
    }

    /// Gives every full line to `print`, in order, unless somebody else is at it. Not reentrant by
    /// itself: a line written meanwhile by whoever interrupts is drained here too.
    pub fn drain(&self, mut print: impl FnMut(&[u8])) {
        // Who wrote after the last look found us draining and left: look again.
        while self.has_any() {
            let Some(mut drainer) = self.drainer() else {
                return;
            };
            while drainer.next(&mut print) {}
        }
    }

    /// Whether there is a line to print, or a word to say about lost ones.
    pub fn has_any(&self) -> bool {
        self.front().is_some() || self.lost.load(Relaxed) != 0
    }

    /// The right to take lines out, unless somebody has it. Who gives it back looks whether
    /// [`Lines::has_any`] again: others came and left meanwhile.
    pub fn drainer(&self) -> Option<Drainer<'_, N>> {
        let is_free = !self.draining.swap(true, SeqCst);
        // Lazily: a `Drainer` that is made and dropped gives back what is somebody else's.
        is_free.then(|| Drainer(self))
    }

    /// Keeps everybody from draining, if nobody is at it: for who is about to stop the others, so
    /// that none is stopped in the middle of a line.
    pub fn try_hold(&self) -> bool {
        !self.draining.swap(true, Acquire)
    }

    /// Drains when all others have stopped for good, one perhaps in the middle of a drain, others in
    /// the middle of a line: what was not finished is said to be cut off, and does not hold up what
    /// comes behind it.
    pub fn drain_rest(&self, mut print: impl FnMut(&[u8])) {
        self.draining.store(false, Release);
        self.drain(&mut print);
        while self.tail.load(Acquire) < self.head.load(Acquire) {
            let at = self.tail.load(Relaxed);
            print(b"(a line was cut off here)");
            let slot = &self.slots[at as usize % N];
            slot.turn.store(lap::<N>(at) * 2 + 2, Release);
            self.tail.store(at + 1, Release);
            self.drain(&mut print);
        }
    }

    /// Takes the next slot; `None` if the ring is full.
    fn take(&self) -> Option<u64> {
        let mut at = self.head.load(Relaxed);
        loop {
            let turn = self.slots[at as usize % N].turn.load(Acquire);
            if turn != lap::<N>(at) * 2 {
                let now = self.head.load(Relaxed);
                if now == at {
                    return None;
                }
                at = now;
                continue;
            }
            match self.head.compare_exchange_weak(at, at + 1, AcqRel, Relaxed) {
                Ok(_) => return Some(at),
                Err(now) => at = now,
            }
        }
    }

    fn front(&self) -> Option<&Slot> {
        let at = self.tail.load(Acquire);
        let slot = &self.slots[at as usize % N];
        (slot.turn.load(SeqCst) == lap::<N>(at) * 2 + 1).then_some(slot)
    }
}

/// The right to take lines out of a ring, which one has at a time.
pub struct Drainer<'a, const N: usize>(&'a Lines<N>);

impl<const N: usize> Drainer<'_, N> {
    /// Gives the next line to `print`, or what there is to say about lost ones; whether there was any.
    pub fn next(&mut self, mut print: impl FnMut(&[u8])) -> bool {
        let lines = self.0;
        if let Some(slot) = lines.front() {
            let len = slot.len.load(Relaxed) as usize;
            // SAFETY: the slot is full, and only the drainer reads and frees it.
            let text = unsafe { &*slot.text.get() };
            print(&text[..len.min(LINE_BYTES)]);
            let at = lines.tail.load(Relaxed);
            slot.turn.store(lap::<N>(at) * 2 + 2, Release);
            lines.tail.store(at + 1, Release);
            return true;
        }
        let lost = lines.lost.swap(0, Relaxed);
        if lost != 0 {
            let mut text = [0; LINE_BYTES];
            let mut writer = LineWriter {
                text: &mut text,
                len: 0,
            };
            let _ = fmt::write(
                &mut writer,
                format_args!("({lost} lines lost: the ring was full)"),
            );
            let len = writer.len;
            print(&text[..len]);
        }
        lost != 0
    }
}

impl<const N: usize> Drop for Drainer<'_, N> {
    fn drop(&mut self) {
        self.0.draining.store(false, SeqCst);
    }
}

impl<const N: usize> Default for Lines<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// How often the ring was gone through before position `at`.
fn lap<const N: usize>(at: u64) -> u32 {
    (at / N as u64) as u32
}

/// Formats into a fixed buffer, and cuts.
struct LineWriter<'a> {
    text: &'a mut [u8; LINE_BYTES],
    len: usize,
}

impl fmt::Write for LineWriter<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = LINE_BYTES - self.len;
        if part.len() <= room {
            self.text[self.len..self.len + part.len()].copy_from_slice(part.as_bytes());
            self.len += part.len();
        } else {
            self.text[self.len..].copy_from_slice(&part.as_bytes()[..room]);
            self.len = LINE_BYTES;
            self.text[LINE_BYTES - CUT.len()..].copy_from_slice(CUT.as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained<const N: usize>(lines: &Lines<N>) -> Vec<String> {
        let mut out = Vec::new();
        lines.drain(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        out
    }

    #[test]
    fn lines_come_in_order_and_the_lost_are_said() {
        let lines = Lines::<4>::new();
        for lap in 0..3 {
            for at in 0..6 {
                lines.write(format_args!("{lap} {at}"));
            }
            let out = drained(&lines);
            assert_eq!(out.len(), 5);
            assert_eq!(out[3], format!("{lap} 3"));
            assert_eq!(out[4], "(2 lines lost: the ring was full)");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let lines = Lines::<4>::new();
        lines.write(format_args!("{:300}", "x"));
        let out = drained(&lines);
        assert_eq!(out[0].len(), LINE_BYTES);
        assert!(out[0].ends_with(CUT));
    }

    #[test]
    fn a_line_written_while_draining_is_printed() {
        let lines = Lines::<4>::new();
        lines.write(format_args!("first"));
        let mut out = Vec::new();
        lines.drain(|line| {
            if out.is_empty() {
                lines.write(format_args!("second"));
                lines.drain(|_| panic!("two drain at once"));
            }
            out.push(line.to_vec());
        });
        assert_eq!(out, [b"first".to_vec(), b"second".to_vec()]);
    }

    #[test]
    fn an_unfinished_line_holds_up_nobody_at_the_end() {
        let lines = Lines::<4>::new();
        lines.write(format_args!("before"));
        assert!(lines.take().is_some(), "a writer that never comes back");
        lines.write(format_args!("behind"));
        assert_eq!(drained(&lines), ["before"]);
        assert!(lines.try_hold(), "a drainer that never comes back");
        let mut out = Vec::new();
        lines.drain_rest(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(out, ["(a line was cut off here)", "behind"]);
    }

    #[test]
    fn nothing_is_torn_or_silently_lost_among_threads() {
        const WRITERS: usize = 4;
        const EACH: usize = 2000;
        static LINES: Lines<16> = Lines::new();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                std::thread::spawn(move || {
                    let mut out = Vec::new();
                    for at in 0..EACH {
                        LINES.write(format_args!("{writer} {at} {writer} {at}"));
                        LINES.drain(|line| out.push(String::from_utf8_lossy(line).into_owned()));
                    }
                    out
                })
            })
            .collect();
        let mut all: Vec<_> = writers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect();
        all.extend(drained(&LINES));
        let (mut whole, mut lost) = (0, 0);
        for line in all {
            let words: Vec<_> = line.split(' ').collect();
            if words.len() == 4 {
                assert_eq!(words[..2], words[2..], "torn: {line}");
                whole += 1;
            } else {
                lost += words[0].trim_start_matches('(').parse::<usize>().unwrap();
            }
        }
        assert_eq!(whole + lost, WRITERS * EACH);
        assert!(whole > 0, "no line came through");
    }
}

//! Somebody at the keyboard who knows what to wait for.
//!
//! A step waits until the guest has printed something, and then types. Nothing is typed earlier, no matter how
//! slow the host is, and nobody waits for a time: the bound of the run is the only one. Each step
//! looks behind what the step before it found, so that a prompt can be waited for again and again.

use std::io::Write;
use std::process::ChildStdin;

/// What is waited for, and what is typed then, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialogue {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    awaits: String,
    types: String,
}

impl Dialogue {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then: waits until this is printed, and types that; `\n` is the return key.
    #[must_use]
    pub fn then(mut self, awaits: impl Into<String>, types: impl Into<String>) -> Self {
        self.steps.push(Step {
            awaits: awaits.into(),
            types: types.into(),
        });
        self
    }

    /// Then: waits until this is printed.
    #[must_use]
    pub fn expect(self, awaits: impl Into<String>) -> Self {
        self.then(awaits, "")
    }
}

/// What a dialogue still waited for when the guest had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Which step, from 1.
    pub step: usize,
    /// Of how many.
    pub steps: usize,
    /// What it waited for.
    pub awaits: String,
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "step {} of {} of what was typed waited for `{}`, which never came",
            self.step,
            self.steps,
            self.awaits.escape_debug()
        )
    }
}

/// A dialogue under way.
#[derive(Debug)]
pub struct Typist<W = ChildStdin> {
    dialogue: Dialogue,
    done: usize,
    /// Where in the output the step under way begins to look.
    from: usize,
    keyboard: W,
}

impl<W: Write> Typist<W> {
    /// Begins.
    pub fn new(dialogue: Dialogue, keyboard: W) -> Self {
        Self {
            dialogue,
            done: 0,
            from: 0,
            keyboard,
        }
    }

    /// Looks at all the output there is until now, and types what is due.
    pub fn look(&mut self, output: &[u8]) {
        while let Some(step) = self.dialogue.steps.get(self.done) {
            let awaits = step.awaits.as_bytes();
            let Some(at) = find(output.get(self.from..).unwrap_or_default(), awaits) else {
                // Next time only what may be the pattern's beginning is looked at again.
                let begun = awaits.len().saturating_sub(1);
                self.from = self.from.max(output.len().saturating_sub(begun));
                return;
            };
            self.from += at + awaits.len();
            self.done += 1;
            // The return key sends a carriage return. A guest that has ended reads no more.
            let keys = step.types.replace('\n', "\r");
            let typed = self.keyboard.write_all(keys.as_bytes());
            let _ = typed.and_then(|()| self.keyboard.flush());
        }
    }

    /// What it still waits for, if anything.
    pub fn unanswered(&self) -> Option<Unanswered> {
        let step = self.dialogue.steps.get(self.done)?;
        Some(Unanswered {
            step: self.done + 1,
            steps: self.dialogue.steps.len(),
            awaits: step.awaits.clone(),
        })
    }
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    match what.is_empty() {
        true => Some(0),
        false => within.windows(what.len()).position(|found| found == what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_waits_for_its_own() {
        let dialogue = Dialogue::new()
            .then("> ", "one\n")
            .then("> ", "two\n")
            .expect("end");
        let mut typist = Typist::new(dialogue, Vec::new());
        let mut output = Vec::new();
        for (printed, typed) in [
            ("boot\n>", ""),
            (" ", "one\r"),
            ("one\nan answer", "one\r"),
            ("\n> ", "one\rtwo\r"),
            ("two\ne", "one\rtwo\r"),
        ] {
            output.extend(printed.bytes());
            typist.look(&output);
            assert_eq!(typist.keyboard, typed.as_bytes());
        }
        let unanswered = typist.unanswered().expect("the last one");
        assert_eq!((unanswered.step, unanswered.steps), (3, 3));
        assert!(unanswered.to_string().contains("`end`"));
        output.extend(b"nd");
        typist.look(&output);
        assert_eq!(typist.unanswered(), None);
    }

    #[test]
    fn several_steps_can_be_due_at_once() {
        let dialogue = Dialogue::new().expect("a").expect("").then("c", "x");
        let mut typist = Typist::new(dialogue, Vec::new());
        typist.look(b"abc");
        assert_eq!(typist.keyboard, b"x");
        assert_eq!(typist.unanswered(), None);
    }
}

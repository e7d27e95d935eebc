//! Choices: what makes one execution differ from the next.
//!
//! An execution is a function of its choices alone. So the tree of all executions is walked without
//! any copy of a state: run, remember at which choices there was something else to choose, change the
//! last of them, run again from the start.

/// The choices of one execution, and how to get to the next.
#[derive(Debug, Default)]
pub(super) struct Plan {
    choices: Vec<Choice>,
    at: usize,
    spent: u32,
    budget: u32,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    chosen: u16,
    last: u16,
}

/// What a choice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The ordinary course.
    Nothing,
    /// One of the alternatives, from 0.
    Alternative(usize),
}

impl Plan {
    /// The first of all executions with at most `budget` alternatives each.
    pub(super) fn new(budget: u32) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Back to the start of the same execution.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
        self.spent = 0;
    }

    /// How many alternatives were taken so far.
    pub(super) fn spent(&self) -> u32 {
        self.spent
    }

    /// Whether another alternative may still be taken.
    pub(super) fn has_budget(&self) -> bool {
        self.spent < self.budget
    }

    /// Chooses among the ordinary course and so many alternatives, which are counted only the first
    /// time that the execution comes here.
    pub(super) fn choose(&mut self, alternatives: impl FnOnce() -> usize) -> Chosen {
        if !self.has_budget() {
            return Chosen::Nothing;
        }
        if self.at == self.choices.len() {
            let last = alternatives() as u16;
            self.choices.push(Choice { chosen: 0, last });
        }
        let choice = self.choices[self.at];
        self.at += 1;
        match choice.chosen {
            0 => Chosen::Nothing,
            chosen => {
                self.spent += 1;
                Chosen::Alternative(chosen as usize - 1)
            }
        }
    }

    /// Goes on to the next execution; `false` if there is none.
    pub(super) fn advance(&mut self) -> bool {
        self.rewind();
        while let Some(choice) = self.choices.last_mut() {
            if choice.chosen < choice.last {
                choice.chosen += 1;
                return true;
            }
            self.choices.pop();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All executions that make `points` choices among `alternatives`, as lists of what was chosen.
    fn walk(points: usize, alternatives: usize, budget: u32) -> Vec<Vec<Chosen>> {
        let mut plan = Plan::new(budget);
        let mut all = Vec::new();
        loop {
            all.push((0..points).map(|_| plan.choose(|| alternatives)).collect());
            if !plan.advance() {
                return all;
            }
        }
    }

    #[test]
    fn each_execution_within_the_budget_comes_once() {
        // Sum over k <= budget of (points over k) * alternatives^k.
        assert_eq!(walk(5, 3, 0).len(), 1);
        assert_eq!(walk(5, 3, 1).len(), 1 + 5 * 3);
        assert_eq!(walk(5, 3, 2).len(), 1 + 5 * 3 + 10 * 9);
        assert_eq!(walk(3, 1, 9).len(), 8);
        let all = walk(4, 2, 2);
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
    }
}

//! Who was derived from whom, as brackets in a list.
//!
//! ```text
//!   a ( b ( c ( ) ) d ( ) )        c was derived from b; b and d from a
//!   a ( c ( ) d ( ) )              after b was removed: c is a's
//! ```
//!
//! Each node has an opening and a closing [`End`] in one doubly linked list; what lies between them
//! was derived from it. Since brackets are balanced, what follows an opening one is its own closing
//! one, or the opening one of a child.

use core::ptr::null_mut;

/// A bracket.
struct End {
    next: *mut End,
    previous: *mut End,
}

impl End {
    const ALONE: Self = Self {
        next: null_mut(),
        previous: null_mut(),
    };
}

/// Both brackets of a node.
#[repr(C)]
pub struct Span {
    // The first field: a pointer to it is one to the span.
    open: End,
    close: End,
}

impl Span {
    /// In no list.
    pub const fn new() -> Self {
        Self {
            open: End::ALONE,
            close: End::ALONE,
        }
    }

    /// Puts `span` into a list: derived from `parent`, or, if that is null, from nobody.
    ///
    /// # Safety
    /// `span` is in no list and stays where it is until it is removed; `parent` is in one. Nobody else is
    /// at the lists.
    pub unsafe fn insert(span: *mut Self, parent: *mut Self) {
        // SAFETY: the caller's promise; what an opening bracket is followed by is never null.
        unsafe {
            let (open, close) = (&raw mut (*span).open, &raw mut (*span).close);
            join(open, close);
            if parent.is_null() {
                (*open).previous = null_mut();
                (*close).next = null_mut();
            } else {
                let before = &raw mut (*parent).open;
                let after = (*before).next;
                join(before, open);
                join(close, after);
            }
        }
    }

    /// Takes `span` out of its list; what was derived from it is now its parent's.
    ///
    /// # Safety
    /// It is in a list. Nobody else is at the lists.
    pub unsafe fn remove(span: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe {
            join((*span).open.previous, (*span).open.next);
            // If nothing was between, this is now what was before.
            join((*span).close.previous, (*span).close.next);
        }
    }

    /// What was derived from `span` last; null if nothing is.
    ///
    /// # Safety
    /// It is in a list. Nobody else is at the lists.
    pub unsafe fn first(span: *mut Self) -> *mut Self {
        // SAFETY: the caller's promise.
        unsafe {
            let next = (*span).open.next;
            if next == &raw mut (*span).close {
                null_mut()
            } else {
                // An opening bracket, as the module's essay says.
                next.cast()
            }
        }
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the two neighbours. One may be null: an end of the list.
///
/// # Safety
/// What is not null is a bracket, and nobody else is at it.
unsafe fn join(before: *mut End, after: *mut End) {
    // SAFETY: the caller's promise.
    unsafe {
        if !before.is_null() {
            (*before).next = after;
        }
        if !after.is_null() {
            (*after).previous = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The parents, by number, as a table would have them.
    #[derive(Default)]
    struct Model(Vec<Option<Option<usize>>>);

    impl Model {
        fn remove(&mut self, gone: usize) {
            let parent = self.0[gone].take().expect("it is there");
            for node in self.0.iter_mut().flatten() {
                if *node == Some(gone) {
                    *node = parent;
                }
            }
        }

        /// All that is derived from `root`.
        fn below(&self, root: usize) -> Vec<usize> {
            let is_below = |mut at: usize| {
                while let Some(Some(parent)) = self.0[at] {
                    if parent == root {
                        return true;
                    }
                    at = parent;
                }
                false
            };
            (0..self.0.len()).filter(|at| is_below(*at)).collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn derivation_is_as_in_a_table_of_parents(
            steps in prop::collection::vec((0_u8..10, any::<prop::sample::Index>()), 1..120)
        ) {
            let mut spans: Vec<*mut Span> = Vec::new();
            let mut model = Model::default();
            for (what, index) in steps {
                let alive: Vec<usize> =
                    (0..spans.len()).filter(|at| model.0[*at].is_some()).collect();
                let chosen = (!alive.is_empty()).then(|| alive[index.index(alive.len())]);
                // SAFETY: one thread; what the model says is alive is in a list.
                unsafe {
                    match (what, chosen) {
                        (7 | 8, Some(at)) => {
                            Span::remove(spans[at]);
                            model.remove(at);
                        }
                        (9, Some(at)) => {
                            let mut removed = Vec::new();
                            loop {
                                let first = Span::first(spans[at]);
                                if first.is_null() {
                                    break;
                                }
                                removed.push(spans.iter().position(|s| *s == first).unwrap());
                                Span::remove(first);
                            }
                            removed.sort_unstable();
                            prop_assert_eq!(&removed, &model.below(at));
                            for gone in removed {
                                model.remove(gone);
                            }
                        }
                        _ => {
                            let parent = chosen.filter(|_| what > 0);
                            let span = Box::into_raw(Box::new(Span::new()));
                            let above = parent.map_or(null_mut(), |at| spans[at]);
                            Span::insert(span, above);
                            spans.push(span);
                            model.0.push(Some(parent));
                        }
                    }
                }
            }
            for span in spans {
                // SAFETY: made above, and never looked at again.
                drop(unsafe { Box::from_raw(span) });
            }
        }
    }
}

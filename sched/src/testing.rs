//! What several unit tests share.

use crate::level::Level;
use crate::task::{Links, TaskId, Tasks};
use std::vec::Vec;

/// A thread table: nodes in a `Vec`.
pub(crate) struct Table(Vec<Links>);

impl Table {
    /// `count` tasks, each with the node that `links` makes.
    pub(crate) fn new(count: u32, links: impl Fn(TaskId) -> Links) -> Self {
        Self((0..count).map(|id| links(TaskId(id))).collect())
    }
}

impl Tasks for Table {
    fn links(&self, id: TaskId) -> &Links {
        &self.0[id.0 as usize]
    }
}

pub(crate) fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

//! Tables of handles against a simple model, and from several threads.

mod common;
mod model;
mod threads;

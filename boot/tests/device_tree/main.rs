//! The device tree reader from outside: real trees, broken ones, and everything in between.

mod common;
mod malformed_blobs;
mod malformed_interrupts;
mod malformed_trees;
mod mutations;
mod real_trees;

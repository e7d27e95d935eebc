#![cfg_attr(not(test), no_std)]
//! What a Petrel program stands on.
//!
//! The kernel knows messages, memory and threads, and nothing else; everything a program calls its
//! environment is made here, from system calls and from messages to other programs. Lowest is
//! [`syscall`], the one file with `svc` in it. On it stand the owners of handles ([`object`]): one type
//! for each kind of kernel object, which closes its handle when it is dropped, so that a handle leaks
//! only from who means to leak it. Above are what a language expects (heap, print, panic, threads,
//! locks, time) and [`service`]: the protocols between programs, each with its client and its server.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! rt::entry!(main);
//!
//! fn main() {
//!     rt::println!("hello from {}", rt::start::name());
//! }
//! ```
//!
//! The parts that compute (start page, message packing, protocols' encodings) also build for the host,
//! where they are tested; there a system call answers [`Error::NoSuchCall`].

extern crate alloc;

pub mod heap;
pub mod message;
pub mod object;
pub mod panic;
pub mod print;
pub mod service;
pub mod start;
pub mod sync;
pub mod syscall;
pub mod thread;
pub mod time;

pub use abi;
pub use abi::error::Error;
pub use abi::handle::Rights;
pub use message::{Incoming, Message};
pub use object::{
    Endpoint, Irq, Machine, Mapping, Memory, Notification, Owned, Process, Reply, Thread,
};
pub use start::exit;

#![cfg_attr(not(test), no_std)]
//! Random system calls.
//!
//! `fuzz <seed> <calls>` starts a process with a small quota, in which several threads do nothing but
//! make system calls: any number, any arguments, and more often almost right ones ([`arguments`]), on
//! handles of every kind ([`pool`]). What becomes of the process does not matter, and most of them end
//! themselves; then the next one is started, until so many calls were made. What matters is everybody
//! else: the watcher, which started them, looks all the while whether its own memory and its own
//! messages are what they were, and in the end whether the machine has all of its memory again
//! (`watch`, in the program).
//!
//! The threads themselves look at each answer ([`verify`]): registers that the call must not touch, and
//! numbers that nobody but the kernel can know.
//!
//! The same seed makes the same choices in each thread; how the threads mix is up to the scheduler.

pub mod arguments;
pub mod board;
pub mod pool;
pub mod random;
pub mod verify;

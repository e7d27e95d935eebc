#![cfg_attr(not(test), no_std)]
//! The formats in the init image: an archive of files, and the first program in it.
//!
//! Whoever boots the machine gives it an init image: a cpio archive ([`cpio`]), as Linux takes it, so
//! that every tool for such archives can make one and look into it. In it lies `init`, the first
//! process. The kernel has no loader for ELF files, and shall have none: a parser of a format of
//! that size is nothing to have at EL1. So the host turns that one program into a header and its
//! pages ([`flat`]), and everything after it is loaded at EL0, by programs.
//!
//! The kernel reads these formats, programs at EL0 read them, and the host does, to test what it
//! wrote. Nothing here allocates, panics, or trusts a byte: a length is an allegation until it was held
//! against what is there. Reading an archive takes time in proportion to its length, no more.

pub mod cpio;
pub mod flat;

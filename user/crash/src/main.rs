#![no_std]
#![no_main]
//! Faults on purpose: `run crash [write|read|execute|undefined|break|align]`.
//!
//! Nothing happens to anybody else: the kernel stops this thread and tells who asked to be told,
//! here the shell, which prints what happened and lets the process end.

use core::arch::asm;
use rt::println;

rt::entry!(main);

/// Nothing is mapped there: no process has anything below 64 KiB.
const NOWHERE: usize = 0xdead;

fn main() -> Result<(), &'static str> {
    let how = rt::start::arguments().nth(1).unwrap_or("write");
    println!("crash: about to {how}");
    // SAFETY: none of them is sound; the process ends there, which is the point.
    unsafe {
        match how {
            "write" => asm!("strb wzr, [{0}]", in(reg) NOWHERE),
            "read" => asm!("ldrb {1:w}, [{0}]", in(reg) NOWHERE, out(reg) _),
            "execute" => asm!("br {0}", in(reg) NOWHERE & !3),
            "undefined" => asm!("udf #0"),
            "break" => asm!("brk #7"),
            // Exclusive accesses must be aligned, whatever the CPU is told about the others.
            "align" => asm!("ldxr {1}, [{0}]", in(reg) &raw const how as usize + 1, out(reg) _),
            _ => {
                return Err("the argument is one of write, read, execute, undefined, break, align");
            }
        }
    }
    Err("still here")
}

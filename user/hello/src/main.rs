#![no_std]
#![no_main]
//! The first program: `run hello` or `run hello Ada Grace`.

use rt::println;

rt::entry!(main);

fn main() {
    let (thread, process, cpu) = rt::thread::who_am_i();
    let mut anybody = false;
    // The first argument is the program's own name.
    for name in rt::start::arguments().skip(1) {
        println!("hello, {name}");
        anybody = true;
    }
    if !anybody {
        println!("hello, world");
    }
    println!("I am thread {thread} of process {process}, on CPU {cpu}.");
}

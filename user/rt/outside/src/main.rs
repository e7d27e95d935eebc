#![no_std]
#![no_main]
//! Counts the words of files, a thread for each: `count etc/start disk:hello.txt`.

extern crate alloc;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rt::service::Error;
use rt::service::files::Files;
use rt::sync::Mutex;
use rt::time::now;
use rt::{println, thread};

rt::entry!(main);

fn main() -> Result<(), String> {
    let begin = now();
    let total = Arc::new(Mutex::new(0));
    let mut threads = Vec::new();
    for name in rt::start::arguments().skip(1) {
        let total = total.clone();
        let counting = thread::spawn(move || {
            let words = words(name)?;
            println!("{words:6} {name}");
            *total.lock() += words;
            Ok(())
        });
        let counting = counting.map_err(|error| alloc::format!("no thread: {error}"))?;
        threads.push((name, counting));
    }
    for (name, counting) in threads {
        let counted: Option<Result<(), Error>> = counting.join().unwrap_or(None);
        counted
            .unwrap_or(Err(Error::BadReply))
            .map_err(|error| alloc::format!("{name}: {error}"))?;
    }
    println!("{:6} words, in {:?}", *total.lock(), begin.elapsed());
    Ok(())
}

/// How many words are in a file: of the init image, or, with `disk:` before its name, on the disk.
fn words(name: &str) -> Result<usize, Error> {
    let (service, path) = name.split_once(':').unwrap_or(("files", name));
    let bytes = Files::connect(service)?.read_all(path, 1 << 20)?;
    Ok(bytes
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .count())
}

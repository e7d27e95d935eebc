//! What the Tab key offers: commands in the first word, files in the others.

use crate::files;
use alloc::{format, string::String, vec::Vec};
use petrel_shell::{
    about::COMMANDS,
    editor::{Complete, last_word},
};
use rt::service::files::Kind;

/// Looks at the files as they are when it is asked.
pub(crate) struct Completions;

impl Complete for Completions {
    fn complete(&mut self, line: &str) -> Vec<String> {
        let word = last_word(line);
        let before = line[..line.len() - word.len()].trim();
        match before {
            "" | "help" => commands(word),
            "run" if !word.contains('/') => programs(word),
            _ => paths(word),
        }
    }
}

fn commands(word: &str) -> Vec<String> {
    let names = COMMANDS.iter().map(|about| about.name);
    names
        .filter(|name| name.starts_with(word))
        .map(|name| format!("{name} "))
        .collect()
}

/// The files in which `run` looks for a name.
fn programs(word: &str) -> Vec<String> {
    let entries = files::PROGRAMS.into_iter().flat_map(files::entries);
    entries
        .filter(|entry| entry.stat.kind == Kind::File && entry.name.starts_with(word))
        .map(|entry| format!("{} ", entry.name))
        .collect()
}

fn paths(word: &str) -> Vec<String> {
    let (directory, start) = word
        .rsplit_once('/')
        .map_or(("", word), |(directory, start)| (directory, start));
    let base = &word[..word.len() - start.len()];
    let entries = files::entries(directory).into_iter();
    entries
        .filter(|entry| entry.name.starts_with(start) && entry.name.is_ascii())
        .map(|entry| match entry.stat.kind {
            Kind::Directory => format!("{base}{}/", entry.name),
            Kind::File => format!("{base}{} ", entry.name),
        })
        .collect()
}

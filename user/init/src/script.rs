//! The start script: what init starts, and what each of that may do.
//!
//! One line for each program: a keyword, for `service` and `start` a name and a file, then settings of
//! the form `key=value`. What follows `#` is for people. A mistake is refused with file and line, and
//! nothing is started: half of a system is harder to understand than none.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Where it is in the init image.
pub const PATH: &str = "etc/start";
/// The longest name: that of a process.
pub const MAX_NAME_BYTES: usize = 16;

/// What a program may be given besides what it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The machine.
    Machine,
    /// The machine, to look at.
    Inspect,
    /// The init image.
    Initrd,
    /// To start and end programs.
    Manage,
}

impl Privilege {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("machine", Self::Machine),
        ("inspect", Self::Inspect),
        ("initrd", Self::Initrd),
        ("manage", Self::Manage),
    ];
}

/// What a program may do and have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What it is given.
    pub grants: Vec<Privilege>,
    /// The services it may find.
    pub uses: Vec<String>,
    /// How much memory it may be charged.
    pub quota_bytes: usize,
    /// Its priority, 0 to 31.
    pub priority: u32,
    /// How much memory that a device can be told of it is lent; it outlives the program.
    pub dma_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grants: Vec::new(),
            uses: Vec::new(),
            quota_bytes: 16 << 20,
            priority: 15,
            dma_bytes: 0,
        }
    }
}

/// A program of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What it is called.
    pub name: String,
    /// Where it is in the init image.
    pub path: String,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// What it may.
    pub rules: Rules,
}

/// A script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What is started anew when it dies.
    pub services: Vec<Program>,
    /// What is started once, after them.
    pub starts: Vec<Program>,
    /// What programs may that are run because the boot arguments say so.
    pub exec: Rules,
    /// What some of them may instead, by path.
    pub exceptions: Vec<(String, Rules)>,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PATH}:{}: {}", self.line, self.why)
    }
}

impl core::error::Error for ScriptError {}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        let mut used = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let at = |why| ScriptError {
                line: index + 1,
                why,
            };
            let rules = script.add(line).map_err(at)?;
            used.extend(rules.into_iter().flatten().map(|name| (index + 1, name)));
        }
        for (line, name) in used {
            if !script.services.iter().any(|service| service.name == name) {
                let why = alloc::format!("uses={name}: there is no service of that name");
                return Err(ScriptError { line, why });
            }
        }
        Ok(script)
    }

    /// What the program at `path` may, if the boot arguments say that it is to run.
    pub fn rules_of_exec(&self, path: &str) -> &Rules {
        let path = path.trim_start_matches('/');
        let exception = self.exceptions.iter().find(|(of, _)| of == path);
        exception.map_or(&self.exec, |(_, rules)| rules)
    }

    /// Adds what a line says. The services it uses.
    fn add(&mut self, line: &str) -> Result<Option<Vec<String>>, String> {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else {
            return Ok(None);
        };
        match keyword {
            "service" | "start" => {
                let program = program(keyword, words)?;
                let mut all = self.services.iter().chain(&self.starts);
                if all.any(|other| other.name == program.name) {
                    return Err(alloc::format!("there is a {} already", program.name));
                }
                let uses = program.rules.uses.clone();
                match keyword {
                    "service" => self.services.push(program),
                    _ if program.rules.dma_bytes > 0 => {
                        return Err("dma= is for services".to_string());
                    }
                    _ => self.starts.push(program),
                }
                Ok(Some(uses))
            }
            "exec" => {
                let mut words = words.peekable();
                let path = words.next_if(|word| !word.contains('='));
                let (rules, arguments) = settings(words)?;
                if !arguments.is_empty() {
                    return Err("exec has no args=".to_string());
                }
                if rules.dma_bytes > 0 {
                    return Err("dma= is for services".to_string());
                }
                let uses = rules.uses.clone();
                match path {
                    None => self.exec = rules,
                    Some(path) => {
                        let path = path.trim_start_matches('/').to_string();
                        self.exceptions.push((path, rules));
                    }
                }
                Ok(Some(uses))
            }
            _ => Err(alloc::format!(
                "{keyword}: no such word; there are service, start, exec"
            )),
        }
    }
}

/// A line about a program, after its keyword.
fn program<'a>(keyword: &str, mut words: impl Iterator<Item = &'a str>) -> Result<Program, String> {
    let (Some(name), Some(path)) = (words.next(), words.next()) else {
        return Err(alloc::format!("{keyword} needs a name and a file"));
    };
    if name.contains('=') || path.contains('=') {
        return Err(alloc::format!("{keyword} needs a name and a file"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(alloc::format!(
            "{name}: a name has at most {MAX_NAME_BYTES} bytes"
        ));
    }
    let (rules, arguments) = settings(words)?;
    Ok(Program {
        name: name.to_string(),
        path: path.trim_start_matches('/').to_string(),
        arguments,
        rules,
    })
}

/// The settings of a line; `args=` apart.
fn settings<'a>(words: impl Iterator<Item = &'a str>) -> Result<(Rules, Vec<String>), String> {
    let mut rules = Rules::default();
    let mut arguments = Vec::new();
    let mut seen = Vec::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(alloc::format!("{word}: not of the form key=value"));
        };
        if seen.contains(&key) {
            return Err(alloc::format!("{key}= is there twice"));
        }
        seen.push(key);
        let list = || value.split(',').filter(|item| !item.is_empty());
        match key {
            "grants" => {
                for item in list() {
                    rules.grants.push(privilege(item)?);
                }
            }
            "uses" => rules.uses = list().map(str::to_string).collect(),
            "args" => arguments = list().map(str::to_string).collect(),
            "quota" => rules.quota_bytes = bytes(key, value)?,
            "dma" => rules.dma_bytes = bytes(key, value)?,
            "priority" => {
                let priority = value.parse().ok().filter(|priority| *priority < 32);
                rules.priority = priority
                    .ok_or_else(|| alloc::format!("priority={value}: not a number from 0 to 31"))?;
            }
            _ => {
                return Err(alloc::format!(
                    "{key}=: no such key; there are grants, uses, args, quota, dma, priority"
                ));
            }
        }
    }
    Ok((rules, arguments))
}

fn privilege(item: &str) -> Result<Privilege, String> {
    let known = Privilege::WORDS.iter().find(|(word, _)| *word == item);
    known.map(|(_, privilege)| *privilege).ok_or_else(|| {
        alloc::format!("grants={item}: no such grant; there are machine, inspect, initrd, manage")
    })
}

/// `64K` or `16M`.
fn bytes(key: &str, value: &str) -> Result<usize, String> {
    let unit = match value.chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        _ => 0,
    };
    let number = value
        .strip_suffix(['K', 'M'])
        .and_then(|number| number.parse::<usize>().ok())
        .filter(|number| *number > 0 && *number <= usize::MAX >> 24);
    number
        .map(|number| number << unit)
        .ok_or_else(|| alloc::format!("{key}={value}: not of the form 64K or 16M"))
}

#[cfg(test)]
mod tests;

//! The book is checked as the code is: what it names must exist.
//!
//! A document rots where it names things, so names are what is checked: files, tests, `make` targets,
//! boot arguments, workloads, scenarios, planted bugs, crates, links and quoted source. Whether a
//! sentence is true is for whoever reads it; that it speaks of something that is there is held here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cpu::plant::Plant;
use harness::{judge, scenarios, trials};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness lies in the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One page of the book, or the README.
struct Page {
    path: PathBuf,
    text: String,
}

fn pages() -> Vec<Page> {
    fn gather(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("docs/src is a folder") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                gather(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                into.push(path);
            }
        }
    }
    let mut paths = vec![root().join("README.md")];
    gather(&root().join("docs/src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "the book has lost its pages");
    let page = |path: PathBuf| Page {
        text: read(&path),
        path,
    };
    paths.into_iter().map(page).collect()
}

fn page(name: &str) -> Page {
    let path = root().join("docs/src").join(name);
    Page {
        text: read(&path),
        path,
    }
}

impl Page {
    fn name(&self) -> String {
        let relative = self.path.strip_prefix(root()).unwrap_or(&self.path);
        relative.display().to_string()
    }

    /// Lines with whether they stand in a fenced block.
    fn lines(&self) -> impl Iterator<Item = (bool, &str)> {
        let mut fenced = false;
        self.text.lines().filter_map(move |line| {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                return None;
            }
            Some((fenced, line))
        })
    }

    /// What stands in code quotes in the text.
    fn spans(&self) -> Vec<String> {
        let mut spans = Vec::new();
        for line in self.lines().filter(|(fenced, _)| !fenced).map(|(_, l)| l) {
            // `` `x` `` is a span that has quotes in it.
            let quoted = line.replace("``", "`");
            spans.extend(quoted.split('`').skip(1).step_by(2).map(str::to_owned));
        }
        spans
    }

    /// Everything that is code: spans, and lines of fenced blocks.
    fn code(&self) -> Vec<String> {
        let fenced = self.lines().filter(|(fenced, _)| *fenced);
        let mut code: Vec<String> = fenced.map(|(_, line)| line.to_owned()).collect();
        code.extend(self.spans());
        code
    }

    /// The first cells of the rows of the tables under a heading, without their quotes.
    fn first_cells(&self, heading: &str) -> BTreeSet<String> {
        self.lines()
            .skip_while(|(_, line)| *line != heading)
            .skip(1)
            .take_while(|(fenced, line)| *fenced || !line.starts_with("## "))
            .filter_map(|(_, line)| line.strip_prefix("| `")?.split_once('`'))
            .map(|(cell, _)| cell.to_owned())
            .collect()
    }

    /// The same, but a cell may hold several names.
    fn names_in_first_cells(&self, heading: &str) -> BTreeSet<String> {
        self.lines()
            .skip_while(|(_, line)| *line != heading)
            .skip(1)
            .take_while(|(fenced, line)| *fenced || !line.starts_with("## "))
            .filter_map(|(_, line)| line.strip_prefix("| `")?.split_once(" |"))
            .flat_map(|(cell, _)| cell.split("`, `").map(|name| name.trim_end_matches('`')))
            .map(str::to_owned)
            .collect()
    }
}

/// Collects what is wrong on all pages, and fails with all of it.
fn check(of: impl Fn(&Page, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    for page in pages() {
        let mut here = Vec::new();
        of(&page, &mut here);
        wrong.extend(here.iter().map(|what| format!("{}: {what}", page.name())));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `span` as a path in the repository, and the test in that file, if it looks like one.
fn as_file(span: &str) -> Option<(&str, Option<&str>)> {
    let (path, test) = match span.split_once("::") {
        Some((path, test)) => (path, Some(test)),
        None => (span, None),
    };
    let named = path.split('/').next_back()?.contains('.');
    let in_a_folder = path
        .split_once('/')
        .is_some_and(|(top, _)| !top.is_empty() && top != "target" && root().join(top).is_dir());
    let plain = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    (named && in_a_folder && plain).then_some((path, test))
}

#[test]
fn every_file_and_test_named_exists() {
    check(|page, wrong| {
        for span in page.spans() {
            let Some((path, test)) = as_file(&span) else {
                continue;
            };
            let file = root().join(path);
            if !file.exists() {
                wrong.push(format!("there is no {path}"));
            } else if let Some(test) = test
                && !read(&file).contains(&format!("fn {test}("))
            {
                wrong.push(format!("{path} has no test {test}"));
            }
        }
    });
}

#[test]
fn every_test_of_the_model_named_exists() {
    let tests = read(&root().join("entry/tests/model/planted.rs"));
    check(|page, wrong| {
        for span in page.spans() {
            if span.starts_with("model_catches_") && !tests.contains(&format!("fn {span}()")) {
                wrong.push(format!("the model has no test {span}"));
            }
        }
    });
}

#[test]
fn every_make_target_named_exists() {
    let makefile = read(&root().join("Makefile"));
    let targets: Vec<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(": ##").map(|(target, _)| target))
        .collect();
    assert!(targets.contains(&"run"), "{targets:?}");
    check(|page, wrong| {
        for code in page.code() {
            let command = code.trim_start().trim_start_matches("$ ");
            let Some(rest) = command.strip_prefix("make ") else {
                continue;
            };
            let target = rest.split_whitespace().next().unwrap_or_default();
            if !targets.contains(&target) {
                wrong.push(format!("there is no make {target}"));
            }
        }
    });
    let readme = read(&root().join("README.md"));
    for target in targets {
        assert!(
            readme.contains(&format!("`make {target}`")),
            "README.md does not name make {target}"
        );
    }
}

/// Words `key=value` with a key in lower case: a boot argument, or a parameter behind `run=…:`.
fn arguments(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = code.split(|c: char| c.is_whitespace() || "\"(".contains(c));
    words.filter_map(|word| {
        let (key, value) = word.split_once('=')?;
        let lower = |c: char| c.is_ascii_lowercase() || c == '_';
        (!key.is_empty() && key.chars().all(lower)).then_some((key, value))
    })
}

#[test]
fn every_boot_argument_named_exists() {
    let known = boot::args::KEYS;
    check(|page, wrong| {
        // Fenced blocks hold programs too; of those only commands are looked at.
        let commands = page.code().into_iter().filter(|code| {
            code.starts_with("make ") || code.starts_with("$ make ") || !code.contains(' ')
        });
        for code in commands {
            for (key, _) in arguments(&code) {
                if !known.contains(&key) {
                    wrong.push(format!("there is no boot argument {key}= (in `{code}`)"));
                }
            }
        }
    });
    let readme = Page {
        path: root().join("README.md"),
        text: read(&root().join("README.md")),
    };
    let cells = readme.first_cells("## Boot arguments");
    let listed: BTreeSet<&str> = cells
        .iter()
        .filter_map(|cell| Some(cell.split_once('=')?.0))
        .collect();
    assert_eq!(listed, known.iter().copied().collect());
}

#[test]
fn every_workload_named_exists_and_none_is_left_out() {
    let source = read(&root().join("kernel/src/workload/mod.rs"));
    let (_, table) = source.split_once("const WORKLOADS").expect("the table");
    let (table, _) = table.split_once("];").expect("its end");
    let workloads: BTreeSet<&str> = table
        .split("(\"")
        .skip(1)
        .filter_map(|row| row.split_once('"').map(|(name, _)| name))
        .collect();
    let listed = page("testing.md").first_cells("## Workloads");
    assert_eq!(
        listed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        workloads
    );
    // What is no workload of the kernel's, but a program.
    let is_known = |name: &str| workloads.contains(name) || name == boot::args::EXEC;
    check(|page, wrong| {
        for code in page.code() {
            for (key, value) in arguments(&code) {
                let name = value.split([':', '"', '`']).next().unwrap_or_default();
                let is_name = name.chars().all(|c| c.is_ascii_lowercase());
                if key == "run" && is_name && !name.is_empty() && !is_known(name) {
                    wrong.push(format!("there is no workload {name}"));
                }
            }
        }
    });
}

/// All tests that QEMU is started for.
fn scenario_names() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = scenarios::all().into_iter().map(|s| s.name).collect();
    names.extend(judge::cases().iter().map(|c| format!("judge/{}", c.name)));
    names.extend(trials::checks().iter().map(|c| c.name.to_owned()));
    names
}

#[test]
fn every_group_of_scenarios_is_in_the_book_and_no_other() {
    let group = |name: &String| name.split('/').next().map(|group| format!("{group}/"));
    let groups: BTreeSet<String> = scenario_names().iter().filter_map(group).collect();
    assert_eq!(page("testing.md").first_cells("## Scenarios"), groups);
}

#[test]
fn every_scenario_named_exists() {
    let names = scenario_names();
    check(|page, wrong| {
        for span in page.spans() {
            if let Some(name) = span.strip_prefix("scenario ")
                && !names.contains(name)
                && name != "group/what-it-shows"
            {
                wrong.push(format!("there is no scenario {name}"));
            }
        }
    });
}

#[test]
fn every_planted_bug_is_in_the_book_and_no_other() {
    let book = page("planted.md").first_cells("## The table");
    let code: BTreeSet<String> = Plant::ALL.iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(book, code);
}

#[test]
fn the_catalogue_of_cases_is_in_the_book_as_in_the_program() {
    let sources = root().join("user/catalogue/src");
    let mut code = Vec::new();
    for entry in fs::read_dir(&sources).expect("the program's source") {
        let source = read(&entry.expect("an entry of it").path());
        if let Some((_, table)) = source.split_once("CASES: &[Case] = &[") {
            let (table, _) = table.split_once("];").expect("its end");
            code.extend(table.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let named: BTreeSet<String> = code.iter().cloned().collect();
    assert_eq!(named.len(), code.len(), "two cases have the same name");
    assert!(named.len() >= 60, "the catalogue has lost its cases");
    let book = page("catalogue.md");
    let rows = book.lines().filter(|(fenced, _)| !fenced);
    let rows: BTreeSet<String> = rows
        .filter_map(|(_, line)| line.strip_prefix("| `")?.split_once('`'))
        .map(|(case, _)| case.to_owned())
        .collect();
    assert_eq!(rows, named);
    let count = format!("the same: {} cases", named.len());
    assert!(
        book.text.contains(&count),
        "the book does not say `{count}`"
    );
}

#[test]
fn every_crate_has_its_reason_and_no_other() {
    let folders = |of: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(of).expect("a folder of the workspace");
        entries.map(|e| e.expect("an entry of it").path()).collect()
    };
    let mut used = BTreeSet::new();
    for folder in [folders(root()), folders(&root().join("user"))].concat() {
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() {
            used.extend(dependencies(&read(&manifest), |section| {
                section.ends_with("dependencies]")
            }));
        }
    }
    let ours = dependencies(&read(&root().join("Cargo.toml")), |section| {
        section == "[workspace.dependencies]"
    });
    let ours: BTreeSet<String> = ours
        .into_iter()
        .filter(|(_, how)| how.contains("path ="))
        .map(|(name, _)| name)
        .collect();
    let used: BTreeSet<String> = used
        .into_iter()
        .filter(|(name, how)| !ours.contains(name) && !how.contains("path ="))
        .map(|(name, _)| name)
        .collect();
    let book = page("dependencies.md");
    let sections = [
        "## In the kernel",
        "## In user space",
        "## In tests",
        "## On the host",
    ];
    let listed: BTreeSet<String> = sections
        .into_iter()
        .flat_map(|heading| book.names_in_first_cells(heading))
        .collect();
    assert_eq!(listed, used);
}

/// The dependencies in a manifest, each with what is said of it.
fn dependencies(manifest: &str, wanted: impl Fn(&str) -> bool) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut here = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            here = wanted(line);
        } else if here
            && !line.starts_with('#')
            && let Some((name, how)) = line.split_once(['.', ' ', '='])
            && !name.is_empty()
        {
            found.insert((name.to_owned(), how.to_owned()));
        }
    }
    found
}

/// The anchor that mdBook makes of a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    check(|page, wrong| {
        for (_, line) in page.lines().filter(|(fenced, _)| !fenced) {
            for link in line.split("](").skip(1) {
                let target = link.split(')').next().unwrap_or_default();
                if target.contains("://") {
                    continue;
                }
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = match file {
                    "" => page.path.clone(),
                    file => page.path.with_file_name("").join(file),
                };
                if !path.exists() {
                    wrong.push(format!("the link to {target} leads nowhere"));
                } else if !heading.is_empty()
                    && !read(&path)
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == heading)
                {
                    wrong.push(format!("{file} has no heading for {target}"));
                }
            }
        }
    });
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = page("SUMMARY.md").text;
    for page in pages() {
        let name = page.name();
        if let Some(name) = name.strip_prefix("docs/src/")
            && name != "SUMMARY.md"
        {
            assert!(
                contents.contains(&format!("({name})")),
                "{name} is not in SUMMARY.md"
            );
        }
    }
}

#[test]
fn quoted_source_is_there() {
    let mut quoted = 0;
    for page in pages() {
        for line in page.text.lines() {
            let Some(rest) = line.trim().strip_prefix("{{#include ") else {
                continue;
            };
            let target = rest.trim_end_matches("}}");
            // Without an anchor it is the whole file.
            let (file, anchor) = target.split_once(':').unwrap_or((target, ""));
            let source = read(&page.path.with_file_name("").join(file));
            quoted += 1;
            if anchor.is_empty() {
                continue;
            }
            for mark in ["ANCHOR", "ANCHOR_END"] {
                let mark = format!("// {mark}: {anchor}\n");
                assert_eq!(source.matches(&mark).count(), 1, "{file} needs one {mark}");
            }
        }
    }
    assert!(quoted > 0, "the book quotes no source any more");
}

//! The test report for other programs: JUnit's XML, which every CI reads.

use std::fmt::Write as _;
use std::time::Duration;

/// How one test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was left out.
    Skipped,
}

/// Tests that ran together.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// How long all of it took.
    pub elapsed: Duration,
    /// Each test's name and how it went.
    pub cases: Vec<(String, Outcome)>,
    /// What to say where something failed: the end of the suite's output.
    pub details: String,
}

impl Suite {
    /// How many tests went this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases
            .iter()
            .filter(|(_, each)| *each == outcome)
            .count()
    }
}

/// The report.
pub fn report(suites: &[Suite]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for suite in suites {
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escaped(&suite.name),
            suite.cases.len(),
            suite.count(Outcome::Failed),
            suite.count(Outcome::Skipped),
            suite.elapsed.as_secs_f64()
        );
        for (name, outcome) in &suite.cases {
            let (suite_name, name) = (escaped(&suite.name), escaped(name));
            let _ = write!(
                xml,
                "    <testcase classname=\"{suite_name}\" name=\"{name}\""
            );
            let _ = match outcome {
                Outcome::Passed => writeln!(xml, "/>"),
                Outcome::Failed => writeln!(xml, "><failure/></testcase>"),
                Outcome::Skipped => writeln!(xml, "><skipped/></testcase>"),
            };
        }
        if suite.count(Outcome::Failed) > 0 {
            let _ = writeln!(
                xml,
                "    <system-out>{}</system-out>",
                escaped(&suite.details)
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text as XML 1.0 allows it: most control characters cannot be written in it at all.
fn escaped(text: &str) -> String {
    text.chars()
        .filter(|&c| !c.is_control() || c == '\n' || c == '\t')
        .fold(String::new(), |mut xml, c| {
            match c {
                '&' => xml.push_str("&amp;"),
                '<' => xml.push_str("&lt;"),
                '>' => xml.push_str("&gt;"),
                '"' => xml.push_str("&quot;"),
                c => xml.push(c),
            }
            xml
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let xml = report(&[Suite {
            name: "a & b".to_owned(),
            elapsed: Duration::from_millis(1500),
            cases: vec![
                ("<T>".to_owned(), Outcome::Passed),
                ("no".to_owned(), Outcome::Failed),
                ("later".to_owned(), Outcome::Skipped),
            ],
            details: "\u{1b}[31mred".to_owned(),
        }]);
        assert!(xml.contains(
            "<testsuite name=\"a &amp; b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\">"
        ));
        assert!(xml.contains("name=\"&lt;T&gt;\"/>"));
        assert!(xml.contains("name=\"no\"><failure/></testcase>"));
        assert!(xml.contains("<system-out>[31mred</system-out>"));
    }
}

//! As much of C as the header needs.

use std::collections::BTreeMap;

/// What the header says.
pub(crate) struct Header {
    /// Without comments; white space is a single blank.
    text: String,
    numbers: BTreeMap<String, u64>,
}

/// How a structure lies in memory.
pub(crate) struct Layout {
    pub(crate) bytes: usize,
    align: usize,
    /// Names and offsets, in order.
    pub(crate) fields: Vec<(String, usize)>,
}

impl Header {
    pub(crate) fn read(source: &str) -> Self {
        let source = without_comments(source);
        let mut header = Self {
            text: source.split_whitespace().collect::<Vec<_>>().join(" "),
            numbers: BTreeMap::new(),
        };
        for line in source.lines() {
            let mut words = line.trim().splitn(3, ' ');
            if let (Some("#define"), Some(name), Some(value)) =
                (words.next(), words.next(), words.next())
                && let Some(number) = header.value(value)
            {
                header.numbers.insert(name.to_owned(), number);
            }
        }
        for body in between(&header.text.clone(), "enum { ", " }") {
            for entry in body
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
            {
                let (name, value) = entry.split_once(" = ").expect("every entry has a value");
                let number = header.value(value);
                let number = number.unwrap_or_else(|| panic!("{name} is {value}"));
                let twice = header.numbers.insert(name.to_owned(), number);
                assert_eq!(twice, None, "{name} is there twice");
            }
        }
        header
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    /// The names that begin so.
    pub(crate) fn numbers_with(&self, prefix: &str) -> Vec<&str> {
        let names = self.numbers.keys().map(String::as_str);
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// What a constant expression is worth: a number, a shift, a difference, a cast by macro.
    fn value(&self, text: &str) -> Option<u64> {
        let text = text.trim();
        if let Some((left, right)) = outside(text, " - ") {
            return self.value(left)?.checked_sub(self.value(right)?);
        }
        if let Some((left, right)) = outside(text, " << ") {
            return self
                .value(left)?
                .checked_shl(self.value(right)?.try_into().ok()?);
        }
        for open in ["UINT64_C(", "("] {
            if let Some(inner) = text.strip_prefix(open) {
                return self.value(inner.strip_suffix(')')?);
            }
        }
        if text == "UINT64_MAX" {
            return Some(u64::MAX);
        }
        let digits = text.trim_end_matches('u');
        match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        }
    }

    /// The body of a function that is defined in the header.
    pub(crate) fn function(&self, name: &str) -> Option<&str> {
        let marker = format!("{name}(");
        for (at, _) in self.text.match_indices(&marker) {
            // A definition has its type before it and a brace behind its parameters.
            let before = self.text[..at].trim_end_matches('*');
            let rest = &self.text[at..];
            let parameters = rest.find(')')?;
            if before.ends_with(' ') && rest[parameters + 1..].starts_with(" {") {
                let body = &rest[parameters + 3..];
                return Some(&body[..closing(body)?]);
            }
        }
        None
    }

    pub(crate) fn layout(&self, name: &str) -> Layout {
        let marker = format!("struct {name} {{ ");
        let start = self.text.find(&marker);
        let start = start.unwrap_or_else(|| panic!("there is no struct {name}"));
        let body = &self.text[start + marker.len()..];
        let body = &body[..body.find('}').expect("a struct ends")];
        let mut layout = Layout {
            bytes: 0,
            align: 1,
            fields: Vec::new(),
        };
        for field in body
            .split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
        {
            let (kind, declared) = field.rsplit_once(' ').expect("a type and a name");
            let (field, count) = match declared.split_once('[') {
                Some((field, count)) => {
                    let count = count.trim_end_matches(']');
                    let count = self.number(count).or_else(|| self.value(count));
                    (field, count.expect("a number of elements") as usize)
                }
                None => (declared, 1),
            };
            // `void *join`: the star belongs to the type.
            let (kind, field) = match field.strip_prefix('*') {
                Some(field) => (format!("{kind} *"), field),
                None => (kind.to_owned(), field),
            };
            let (bytes, align) = self.size(&kind);
            let at = layout.bytes.next_multiple_of(align);
            layout.fields.push((field.to_owned(), at));
            layout.bytes = at + bytes * count;
            layout.align = layout.align.max(align);
        }
        layout.bytes = layout.bytes.next_multiple_of(layout.align);
        layout
    }

    /// Size and alignment of a type.
    fn size(&self, kind: &str) -> (usize, usize) {
        match kind {
            "uint8_t" => (1, 1),
            "uint32_t" | "petrel_handle" | "petrel_rights" => (4, 4),
            "uint64_t" | "petrel_status" | "void *" => (8, 8),
            other => {
                let name = other.strip_prefix("struct ");
                let layout = self.layout(name.unwrap_or_else(|| panic!("what is a {other}?")));
                (layout.bytes, layout.align)
            }
        }
    }
}

fn without_comments(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some((before, comment)) = rest.split_once("/*") {
        out.push_str(before);
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    out + rest
}

/// What stands between each `open` and the next `close`.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Both sides of an operator that is in no parentheses.
fn outside<'a>(text: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let depth = |before: &str| before.matches('(').count() - before.matches(')').count();
    text.match_indices(operator)
        .find(|(at, _)| depth(&text[..*at]) == 0)
        .map(|(at, _)| (&text[..at], &text[at + operator.len()..]))
}

/// Where the brace closes that was opened before `body`.
fn closing(body: &str) -> Option<usize> {
    let mut depth = 1;
    body.char_indices().find_map(|(at, letter)| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        (depth == 0).then_some(at)
    })
}

#[test]
fn constant_expressions_are_worked_out() {
    let header = Header::read(
        "#define A UINT64_C(0x10) /* sixteen */\nenum { B = (1 << 13) - 1, C = 7u };\n#define D UINT64_MAX\n#define E (UINT64_C(1) << 39)",
    );
    assert_eq!(header.number("A"), Some(16));
    assert_eq!(header.number("B"), Some(8191));
    assert_eq!(header.number("C"), Some(7));
    assert_eq!(header.number("D"), Some(u64::MAX));
    assert_eq!(header.number("E"), Some(1 << 39));
}

#[test]
fn structures_are_padded() {
    let header = Header::read(
        "struct in { uint32_t a; uint64_t b; };\nstruct out { uint8_t c[3]; struct in d[2]; uint32_t e; };",
    );
    let layout = header.layout("out");
    let fields: Vec<_> = layout
        .fields
        .iter()
        .map(|(name, at)| (name.as_str(), *at))
        .collect();
    assert_eq!(fields, [("c", 0), ("d", 8), ("e", 40)]);
    assert_eq!(layout.bytes, 48);
}

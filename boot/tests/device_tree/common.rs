//! Device trees for tests: the ones that QEMU made, and a way to change or build one.

use boot::dt::{DtError, Event, ValidBlob, validate};
use boot::info::{self, BootInfo};

/// The trees in `data/` that a GICv3 machine has.
pub(crate) const REAL: [(&str, &[u8]); 4] = [
    ("plain", PLAIN),
    ("smp4-8g", include_bytes!("../data/smp4-8g.dtb")),
    ("secure", include_bytes!("../data/secure.dtb")),
    ("numa", include_bytes!("../data/numa.dtb")),
];
pub(crate) const PLAIN: &[u8] = include_bytes!("../data/plain.dtb");
pub(crate) const GIC_V2: &[u8] = include_bytes!("../data/gicv2.dtb");

/// Both steps, as the kernel takes them.
pub(crate) fn boot_info(bytes: &[u8]) -> Result<BootInfo<'_>, DtError<'_>> {
    let blob = validate(bytes)?;
    // Crate `fdt` panics on much; not on what is asked of it here.
    let _ = info::model(&blob);
    BootInfo::collect(&blob)
}

/// What the kernel would print about `tree`.
pub(crate) fn refusal(tree: &Node) -> String {
    match boot_info(&tree.blob()) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

/// The plain machine with one change.
pub(crate) fn changed(change: impl FnOnce(&mut Node)) -> Node {
    let mut tree = Node::plain();
    change(&mut tree);
    tree
}

/// The plain machine, refused with a message that begins and ends like this. What is between is
/// the offset.
#[track_caller]
pub(crate) fn refused(change: impl FnOnce(&mut Node), begins: &str, ends: &str) {
    let message = refusal(&changed(change));
    let message = message.strip_prefix("device tree: ").unwrap();
    assert!(
        message.starts_with(begins) && message.ends_with(ends),
        "{message}"
    );
}

pub(crate) fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

pub(crate) fn disabled(node: &mut Node) {
    node.set("status", b"disabled\0");
}

/// Looks at a blob in the two steps; a refusal must have something to say.
pub(crate) fn must_not_panic(bytes: &[u8]) -> bool {
    match boot_info(bytes) {
        Ok(info) => {
            assert!(info.spare_spis(u32::MAX).count() <= 988);
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() > "device tree: ".len(), "{error:?}");
            assert!(message.is_ascii() && !message.contains('\n'), "{message:?}");
            false
        }
    }
}

/// A node that can be changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) properties: Vec<(String, Vec<u8>)>,
    pub(crate) children: Vec<Node>,
}

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The tree in `bytes`, read with the cursor under test.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        fn children(cursor: &mut boot::dt::Cursor<'_>, node: &mut Node) {
            loop {
                match cursor.step().unwrap() {
                    Event::Begin { name, .. } => {
                        let mut child = Node::new(name);
                        children(cursor, &mut child);
                        node.children.push(child);
                    }
                    Event::Property(property) => node
                        .properties
                        .push((property.name().into(), property.value.into())),
                    Event::End | Event::Finish => return,
                }
            }
        }
        let blob: ValidBlob<'_> = validate(bytes).unwrap();
        let mut all = Self::default();
        children(&mut blob.cursor(), &mut all);
        all.children.remove(0)
    }

    /// The plain machine.
    pub(crate) fn plain() -> Self {
        Self::read(PLAIN)
    }

    pub(crate) fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn cells(self, name: &str, cells: &[u32]) -> Self {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.bytes(name, &value)
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.bytes(name, &[text.as_bytes(), b"\0"].concat())
    }

    pub(crate) fn child(mut self, child: Node) -> Self {
        self.children.push(child);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        match self.properties.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.into(),
            None => self.properties.push((name.into(), value.into())),
        }
    }

    pub(crate) fn get(&self, name: &str) -> &[u8] {
        let found = self.properties.iter().find(|(key, _)| key == name);
        &found.unwrap_or_else(|| panic!("{}/{name}", self.name)).1
    }

    pub(crate) fn unset(&mut self, name: &str) {
        let before = self.properties.len();
        self.properties.retain(|(key, _)| key != name);
        assert_ne!(self.properties.len(), before, "{}/{name}", self.name);
    }

    /// The node at a path below this one.
    pub(crate) fn at(&mut self, path: &str) -> &mut Self {
        path.split('/').fold(self, |node, name| {
            let found = node.children.iter_mut().find(|child| child.name == name);
            found.unwrap_or_else(|| panic!("no {name} of {path}"))
        })
    }

    /// Removes the children whose name begins with `prefix`.
    pub(crate) fn remove(&mut self, prefix: &str) {
        let before = self.children.len();
        self.children
            .retain(|child| !child.name.starts_with(prefix));
        assert_ne!(self.children.len(), before, "{prefix}");
    }

    /// The blob of the tree whose root this is.
    pub(crate) fn blob(&self) -> Vec<u8> {
        self.blob_with(&[], 0)
    }

    /// The same, with memory reservations, and `nops` times FDT_NOP before every token.
    pub(crate) fn blob_with(&self, reservations: &[(u64, u64)], nops: usize) -> Vec<u8> {
        let mut writer = Writer {
            nops,
            ..Writer::default()
        };
        writer.node(self);
        writer.token(9);
        let reservations: Vec<u8> = reservations
            .iter()
            .chain(&[(0, 0)])
            .flat_map(|(address, size)| [address.to_be_bytes(), size.to_be_bytes()].concat())
            .collect();
        let structure_at = 40 + reservations.len();
        let strings_at = structure_at + writer.structure.len();
        let header = [
            0xd00d_feed,
            strings_at + writer.strings.len(),
            structure_at,
            strings_at,
            40,
            17,
            16,
            0,
            writer.strings.len(),
            writer.structure.len(),
        ];
        let header: Vec<u8> = header
            .iter()
            .flat_map(|&field| (field as u32).to_be_bytes())
            .collect();
        [header, reservations, writer.structure, writer.strings].concat()
    }
}

#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
    nops: usize,
}

impl Writer {
    fn token(&mut self, token: u32) {
        for _ in 0..self.nops {
            self.word(4);
        }
        self.word(token);
    }

    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.structure.extend(bytes);
        self.structure
            .resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, node: &Node) {
        self.token(1);
        self.padded(&[node.name.as_bytes(), b"\0"].concat());
        for (name, value) in &node.properties {
            self.token(3);
            self.word(value.len() as u32);
            let name = [name.as_bytes(), b"\0"].concat();
            let known = self.strings.windows(name.len()).position(|at| at == name);
            let offset = known.unwrap_or(self.strings.len());
            if known.is_none() {
                self.strings.extend(name);
            }
            self.word(offset as u32);
            self.padded(value);
        }
        for child in &node.children {
            self.node(child);
        }
        self.token(2);
    }
}

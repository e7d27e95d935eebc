//! Device trees, taken apart and put together again.
//!
//! A kernel must say what it misses in a device tree, and go on where it can. To test that, QEMU's
//! own tree is changed here: a node taken out, a `compatible` string changed, a CPU added that does
//! not exist. Format: Devicetree Specification v0.4, chapter 5. All numbers are big-endian.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Bytes of the header, version 17.
const HEADER_BYTES: usize = 40;
/// Bytes of the empty list of memory reservations.
const NO_RESERVATIONS_BYTES: usize = 16;

/// A node, with everything in it. The root's name is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, with its unit address.
    pub name: String,
    /// Its properties, in order.
    pub properties: Vec<(String, Vec<u8>)>,
    /// The nodes in it, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// Reads a tree and returns its root.
    ///
    /// # Errors
    /// When the bytes are no device tree, or one with memory reservations: QEMU makes none.
    pub fn parse(blob: &[u8]) -> Result<Self> {
        let word = |at| word_at(blob, at);
        ensure!(word(0)? == MAGIC, "no device tree: bad magic");
        let (structure, strings) = (word(8)? as usize, word(12)? as usize);
        let reservations = word(16)? as usize;
        ensure!(
            blob.get(reservations..reservations + NO_RESERVATIONS_BYTES)
                == Some(&[0; NO_RESERVATIONS_BYTES]),
            "the device tree has memory reservations"
        );
        let mut reader = Reader {
            blob,
            at: structure,
            strings,
        };
        ensure!(reader.token()? == BEGIN_NODE, "the device tree has no root");
        let root = reader.node()?;
        ensure!(
            reader.token()? == END,
            "the device tree goes on after its root"
        );
        Ok(root)
    }

    /// The tree as a blob.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.node(self);
        writer.word(END);
        let structure_at = HEADER_BYTES + NO_RESERVATIONS_BYTES;
        let strings_at = structure_at + writer.structure.len();
        let total = strings_at + writer.strings.len();
        let header = [
            MAGIC as usize,
            total,
            structure_at,
            strings_at,
            HEADER_BYTES,
            17, // version
            16, // the oldest version it is compatible with
            0,  // the CPU that boots
            writer.strings.len(),
            writer.structure.len(),
        ];
        let mut blob: Vec<u8> = header
            .iter()
            .flat_map(|&field| (field as u32).to_be_bytes())
            .collect();
        blob.extend([0; NO_RESERVATIONS_BYTES]);
        blob.extend(writer.structure);
        blob.extend(writer.strings);
        blob
    }

    /// The child with this name; the unit address may be left out.
    ///
    /// # Errors
    /// When there is none.
    pub fn child(&mut self, name: &str) -> Result<&mut Self> {
        let position = self.position(name)?;
        Ok(&mut self.children[position])
    }

    /// Takes out the child with this name; the unit address may be left out.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let position = self.position(name)?;
        self.children.remove(position);
        Ok(())
    }

    fn position(&self, name: &str) -> Result<usize> {
        let is_it = |child: &Self| child.name == name || child.name.split('@').next() == Some(name);
        self.children
            .iter()
            .position(is_it)
            .with_context(|| format!("`{}` has no node `{name}`", self.name))
    }

    /// The value of a property.
    ///
    /// # Errors
    /// When there is none.
    pub fn property(&mut self, name: &str) -> Result<&mut Vec<u8>> {
        let found = self.properties.iter_mut().find(|(key, _)| key == name);
        let (_, value) =
            found.with_context(|| format!("`{}` has no property `{name}`", self.name))?;
        Ok(value)
    }

    /// Changes `from` to `to` wherever it stands in a `compatible` property of this node or of one
    /// below it.
    ///
    /// # Errors
    /// When it stands nowhere.
    pub fn rename_compatible(&mut self, from: &str, to: &str) -> Result<()> {
        ensure!(
            self.rename_compatible_below(from, to) > 0,
            "nothing in the device tree is compatible with `{from}`"
        );
        Ok(())
    }

    fn rename_compatible_below(&mut self, from: &str, to: &str) -> usize {
        let mut renamed = 0;
        if let Ok(value) = self.property("compatible") {
            let old: Vec<&[u8]> = value.split_inclusive(|&byte| byte == 0).collect();
            renamed = old.iter().filter(|item| is_string(item, from)).count();
            let to = [to.as_bytes(), &[0]].concat();
            *value = old
                .into_iter()
                .flat_map(|item| if is_string(item, from) { &to } else { item })
                .copied()
                .collect();
        }
        let children = self.children.iter_mut();
        renamed
            + children
                .map(|child| child.rename_compatible_below(from, to))
                .sum::<usize>()
    }

    /// Adds a CPU like the last one, with this affinity, to the root's `/cpus`.
    ///
    /// # Errors
    /// When there is no CPU to copy.
    pub fn add_cpu(&mut self, affinity: u32) -> Result<()> {
        let cpus = self.child("cpus")?;
        let is_cpu = |node: &&Self| node.name.starts_with("cpu@");
        let last = cpus
            .children
            .iter()
            .rfind(is_cpu)
            .context("the device tree has no CPU")?;
        let mut cpu = last.clone();
        cpu.name = format!("cpu@{affinity:x}");
        cpu.properties.retain(|(name, _)| name != "phandle");
        // `reg` has one or two cells; the affinity is in the last.
        let reg = cpu.property("reg")?;
        let cell = reg.len().checked_sub(4).context("a CPU has no address")?;
        reg[cell..].copy_from_slice(&affinity.to_be_bytes());
        cpus.children.push(cpu);
        Ok(())
    }
}

fn is_string(item: &[u8], text: &str) -> bool {
    item.strip_suffix(&[0]) == Some(text.as_bytes())
}

fn word_at(blob: &[u8], at: usize) -> Result<u32> {
    let bytes = blob.get(at..at + 4).context("the device tree is cut off")?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}

/// The text from `at` to the next zero byte.
fn text_at(blob: &[u8], at: usize) -> Result<&str> {
    let rest = blob.get(at..).context("the device tree is cut off")?;
    let end = rest
        .iter()
        .position(|&byte| byte == 0)
        .context("a name has no end")?;
    Ok(std::str::from_utf8(&rest[..end])?)
}

struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
    strings: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Result<u32> {
        let word = word_at(self.blob, self.at)?;
        self.at += 4;
        Ok(word)
    }

    fn token(&mut self) -> Result<u32> {
        loop {
            match self.word()? {
                NOP => {}
                token => return Ok(token),
            }
        }
    }

    /// The node whose BEGIN_NODE was just read.
    fn node(&mut self) -> Result<Node> {
        let mut node = Node {
            name: text_at(self.blob, self.at)?.to_owned(),
            ..Node::default()
        };
        self.at = (self.at + node.name.len() + 1).next_multiple_of(4);
        loop {
            match self.token()? {
                BEGIN_NODE => node.children.push(self.node()?),
                END_NODE => return Ok(node),
                PROPERTY => {
                    let length = self.word()? as usize;
                    let name = self.strings + self.word()? as usize;
                    let value = self.blob.get(self.at..self.at + length);
                    let value = value.context("the device tree is cut off")?.to_vec();
                    node.properties
                        .push((text_at(self.blob, name)?.to_owned(), value));
                    self.at = (self.at + length).next_multiple_of(4);
                }
                token => bail!("token {token:#x} in node `{}` means nothing", node.name),
            }
        }
    }
}

#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
    /// Where each property name stands in `strings`.
    names: HashMap<String, u32>,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.structure.extend_from_slice(bytes);
        self.structure
            .resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, node: &Node) {
        self.word(BEGIN_NODE);
        self.bytes(&[node.name.as_bytes(), &[0]].concat());
        for (name, value) in &node.properties {
            let name = self.name(name);
            self.word(PROPERTY);
            self.word(value.len() as u32);
            self.word(name);
            self.bytes(value);
        }
        for child in &node.children {
            self.node(child);
        }
        self.word(END_NODE);
    }

    fn name(&mut self, name: &str) -> u32 {
        *self.names.entry(name.to_owned()).or_insert_with(|| {
            let at = self.strings.len() as u32;
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(affinity: u8) -> Node {
        Node {
            name: format!("cpu@{affinity:x}"),
            properties: vec![
                ("reg".to_owned(), vec![0, 0, 0, affinity]),
                ("phandle".to_owned(), vec![0, 0, 0x80, affinity]),
            ],
            children: Vec::new(),
        }
    }

    fn tree() -> Node {
        let gic = Node {
            name: "intc@8000000".to_owned(),
            properties: vec![("compatible".to_owned(), b"arm,gic-v3\0arm,gic\0".to_vec())],
            children: Vec::new(),
        };
        let cpus = Node {
            name: "cpus".to_owned(),
            properties: Vec::new(),
            children: vec![cpu(0), cpu(1)],
        };
        Node {
            name: String::new(),
            properties: vec![("model".to_owned(), b"test\0".to_vec())],
            children: vec![gic, cpus],
        }
    }

    #[test]
    fn a_tree_comes_back_whole() {
        let tree = tree();
        assert_eq!(Node::parse(&tree.to_blob()).expect("just written"), tree);
    }

    #[test]
    fn one_string_of_several_is_renamed() {
        let mut tree = tree();
        tree.rename_compatible("arm,gic-v3", "none")
            .expect("there is one");
        let gic = tree.child("intc").expect("still there");
        assert_eq!(
            gic.property("compatible").expect("still there"),
            b"none\0arm,gic\0"
        );
        assert!(tree.rename_compatible("arm,gic-v3", "none").is_err());
    }

    #[test]
    fn a_node_is_taken_out() {
        let mut tree = tree();
        tree.remove("intc").expect("there is one");
        assert_eq!(tree.children.len(), 1);
        assert!(tree.remove("intc").is_err());
    }

    #[test]
    fn an_added_cpu_has_its_own_address_and_no_phandle() {
        let mut tree = tree();
        tree.add_cpu(0x207).expect("there are CPUs");
        let added = tree
            .child("cpus")
            .expect("still there")
            .child("cpu@207")
            .expect("added");
        assert_eq!(added.properties, [("reg".to_owned(), vec![0, 0, 2, 7])]);
    }

    #[test]
    fn cutting_a_blob_anywhere_is_an_error_and_no_panic() {
        let blob = tree().to_blob();
        for length in 0..blob.len() {
            assert!(
                Node::parse(&blob[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
    }
}

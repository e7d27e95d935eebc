//! Nothing that can be done to a blob makes the reader panic or fall silent.
//!
//! Blobs are damaged in the ways that damage happens: cut short, single bytes changed, words
//! replaced by the values that break arithmetic, pieces copied over others. Whatever comes out
//! must be read, or be refused with one printable line. Overflow checks are on in this build, so an
//! addition that would wrap in the kernel panics here.

use proptest::prelude::*;

use crate::common::{GIC_V2, Node, PLAIN, REAL, must_not_panic};

/// A machine small enough to try everything on: one of each node, with a header of its own.
fn small_tree() -> Node {
    let mut tree = Node::plain();
    for name in [
        "virtio_mmio@",
        "pl031@",
        "pl061@",
        "gpio-keys",
        "flash@",
        "fw-cfg@",
        "apb-pclk",
        "platform",
    ] {
        tree.remove(name);
    }
    tree.children.push(
        Node::new("virtio_mmio@a000000")
            .text("compatible", "virtio,mmio")
            .cells("reg", &[0, 0x0a00_0000, 0, 0x200])
            .cells("interrupts", &[0, 16, 1]),
    );
    let mut second = tree.at("pl011@9000000").clone();
    second.name = "pl011@9040000".into();
    tree.children.push(second);
    tree.children
        .push(Node::new("aliases").text("serial0", "/pl011@9040000"));
    tree.at("chosen").set("stdout-path", b"serial0:115200\0");
    tree.children.push(
        Node::new("reserved-memory")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .bytes("ranges", &[])
            .child(Node::new("r@1000").cells("reg", &[0, 0x1000, 0, 0x1000])),
    );
    tree
}

fn small() -> Vec<u8> {
    small_tree().blob_with(&[(0x5000, 0x1000)], 0)
}

#[test]
fn cut_at_every_length() {
    for bytes in [PLAIN, GIC_V2] {
        for len in 0..bytes.len() {
            assert!(!must_not_panic(&bytes[..len]), "{len}");
            // The same, and the header knows.
            if len >= 8 {
                let mut cut = bytes[..len].to_vec();
                cut[4..8].copy_from_slice(&(len as u32).to_be_bytes());
                assert!(!must_not_panic(&cut), "{len}");
            }
        }
    }
}

#[test]
fn every_byte_changed() {
    let mut bytes = small();
    assert!(must_not_panic(&bytes));
    let (mut accepted, mut refused) = (0, 0);
    for at in 0..bytes.len() {
        let good = bytes[at];
        for bad in [0, 0xff, good ^ 1, good ^ 0x80] {
            bytes[at] = bad;
            match must_not_panic(&bytes) {
                true => accepted += 1,
                false => refused += 1,
            }
        }
        bytes[at] = good;
    }
    // The damage was felt, and not everywhere.
    assert!(accepted > 1000 && refused > 1000, "{accepted} {refused}");
}

/// Marsaglia's xorshift64: the same numbers on every machine.
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn twenty_thousand_damages() {
    /// What lengths, offsets and cell counts should not be.
    const NASTY: [u32; 12] = [
        0,
        1,
        2,
        3,
        4,
        9,
        16,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff0,
        0xffff_fffc,
        0xffff_ffff,
    ];
    let small = small();
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = small.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() / 4) * 4;
            match random.below(5) {
                0 => bytes[at + random.below(4)] = random.next() as u8,
                1 | 2 => {
                    let word = NASTY[random.below(NASTY.len())];
                    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
                }
                3 => {
                    // A word from elsewhere: a length where a name was, a token where a cell was.
                    let from = random.below(bytes.len() / 4) * 4;
                    bytes.copy_within(from..from + 4, at);
                }
                _ => {
                    let len = (4 * random.below(16)).min(bytes.len() - at);
                    let from = random.below((bytes.len() - len) / 4) * 4;
                    bytes.copy_within(from..from + len, at);
                }
            }
        }
        accepted += usize::from(must_not_panic(&bytes));
    }
    assert!((500..19_500).contains(&accepted), "{accepted}");
}

/// A tree whose structure is right and whose values are not: what the validator cannot catch.
#[test]
fn every_property_of_every_length() {
    let base = small_tree();
    let paths: Vec<Vec<usize>> = (0..base.children.len())
        .map(|i| vec![i])
        .chain([vec![]])
        .chain(nested(&base))
        .collect();
    for path in paths {
        let mut tree = base.clone();
        let count = node_at(&mut tree, &path).properties.len();
        for i in 0..count {
            let good = node_at(&mut tree, &path).properties[i].1.clone();
            for len in [0, 1, 3, 4, 5, 8, 12, 16, 17, 24, 64] {
                for fill in [0, 1, 0x61, 0xff] {
                    node_at(&mut tree, &path).properties[i].1 = vec![fill; len];
                    must_not_panic(&tree.blob());
                }
            }
            node_at(&mut tree, &path).properties[i].1 = good;
        }
    }
}

/// Paths of the grandchildren.
fn nested(tree: &Node) -> impl Iterator<Item = Vec<usize>> {
    let counts: Vec<usize> = tree
        .children
        .iter()
        .map(|child| child.children.len())
        .collect();
    counts
        .into_iter()
        .enumerate()
        .flat_map(|(i, count)| (0..count).map(move |j| vec![i, j]))
}

fn node_at<'t>(tree: &'t mut Node, path: &[usize]) -> &'t mut Node {
    path.iter().fold(tree, |node, &i| &mut node.children[i])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any bytes behind a header that looks right.
    #[test]
    fn any_bytes(
        mut bytes in prop::collection::vec(any::<u8>(), 40..400),
        fields in prop::array::uniform5(0_u32..400),
    ) {
        let header = [
            0xd00d_feed, bytes.len() as u32, fields[0] & !3, fields[1], fields[2] & !7,
            17, 16, 0, fields[3], fields[4],
        ];
        for (at, field) in header.into_iter().enumerate() {
            bytes[at * 4..at * 4 + 4].copy_from_slice(&field.to_be_bytes());
        }
        must_not_panic(&bytes);
    }

    /// Real trees with several bytes changed.
    #[test]
    fn real_trees_with_damage(
        which in 0..REAL.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = REAL[which].1.to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        must_not_panic(&bytes);
    }
}

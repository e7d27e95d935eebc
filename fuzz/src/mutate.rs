//! Damage, by a seed: what happens to bytes on their way, and what somebody does to them on purpose.

/// Numbers by a seed (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators").
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Always the same ones for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }
}

/// Numbers at which lengths and offsets go wrong.
const EDGES: &[u64] = &[
    0,
    1,
    3,
    4,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffc,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_ffff,
];

/// Damages the bytes in one to eight places.
pub fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        if bytes.is_empty() {
            bytes.push(random.number() as u8);
            continue;
        }
        let at = random.below(bytes.len());
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.number() as u8,
            2 => write_edge(bytes, at, random),
            3 => write_edge(bytes, at & !3, random),
            4 => bytes.truncate(at),
            5 => {
                let end = at + random.below(bytes.len() - at) + 1;
                bytes.drain(at..end.min(at + 64));
            }
            6 => {
                let end = (at + random.below(64) + 1).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            7 => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
            _ => {
                let bytes_there = bytes.len();
                let end = (at + random.below(32)).min(bytes_there);
                bytes[at..end].fill(random.number() as u8);
            }
        }
    }
}

/// Writes a number of two, four or eight bytes, in either order; or one that is a little more or less.
fn write_edge(bytes: &mut [u8], at: usize, random: &mut Random) {
    let edge = EDGES[random.below(EDGES.len())];
    let number = edge.wrapping_add(random.below(3) as u64).wrapping_sub(1);
    let width = [2, 4, 8][random.below(3)];
    let mut image = number.to_le_bytes();
    if random.below(2) == 0 {
        image[..width].reverse();
    }
    let fits = width.min(bytes.len() - at);
    bytes[at..at + fits].copy_from_slice(&image[..fits]);
}

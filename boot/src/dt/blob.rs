//! The blob as a whole: its header, its three blocks, and the proof that they are sound.

use core::fmt;
use core::ops::Range;

use super::blob_error::{BlobError, Block, StructureFault};
use super::cursor::{Cursor, Event, MAX_DEPTH};
use super::error::DtError;
use crate::Region;

/// Length in bytes of the header: as much as must be readable before the blob's length is known.
pub const HEADER_LEN: usize = 40;

const MAGIC: u32 = 0xd00d_feed;
/// The version this reader understands, the only one written since 2007.
const VERSION: u32 = 17;
/// Bytes of one entry of the memory reservation block: address, size.
const RESERVATION_LEN: usize = 16;

/// A device tree blob whose structure has been checked from end to end.
///
/// Holding one proves: all three blocks lie inside the blob; the reservation block is terminated;
/// the structure block is one properly nested tree with one root, at most [`MAX_DEPTH`] deep, whose
/// properties lie inside; names are terminated and printable. It proves nothing about what the
/// properties *say*.
#[derive(Clone, Copy)]
pub struct ValidBlob<'a> {
    bytes: &'a [u8],
    structure_start: u32,
    structure_end: u32,
    strings_start: u32,
    strings_end: u32,
    reservations_start: u32,
}

/// Checks `bytes`, which begin with the blob and may be longer.
///
/// # Errors
/// [`DtError::Blob`] names what is wrong and at which offset. Never panics, whatever the bytes.
pub fn validate(bytes: &[u8]) -> Result<ValidBlob<'_>, DtError<'_>> {
    let blob = locate_blocks(bytes)?;
    check_reservations(&blob)?;
    check_strings(&blob)?;
    check_structure(blob.cursor())?;
    Ok(blob)
}

/// Checks the blob at `start`, of which nothing is known yet but the pointer: the header first,
/// then as many bytes as it claims, at most `max_len`.
///
/// # Errors
/// As [`validate`]; also when `start` is null or not 8-byte aligned, as the arm64 boot protocol
/// wants it (Linux `Documentation/arch/arm64/booting.rst`, section 2), or when the blob claims to
/// be longer than `max_len`.
///
/// # Safety
/// If `start` is not null and 8-byte aligned, `max_len` bytes from it must be mapped, readable as
/// Normal memory, and unchanged for `'a`.
pub unsafe fn from_ptr<'a>(start: *const u8, max_len: usize) -> Result<ValidBlob<'a>, DtError<'a>> {
    if start.is_null() {
        return Err(BlobError::NullPointer.into());
    }
    if !start.addr().is_multiple_of(8) {
        return Err(BlobError::Misaligned {
            address: start.addr(),
        }
        .into());
    }
    // SAFETY: not null, and the caller vouches for `max_len` readable bytes; u8 needs no alignment.
    let header = unsafe { core::slice::from_raw_parts(start, HEADER_LEN.min(max_len)) };
    let total_len = total_len(header, max_len)?;
    // SAFETY: `total_len` has just been checked to be at most `max_len`.
    validate(unsafe { core::slice::from_raw_parts(start, total_len) })
}

impl<'a> ValidBlob<'a> {
    /// The blob, exactly as long as its header says.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A cursor before the root node.
    pub fn cursor(&self) -> Cursor<'a> {
        self.cursor_at(self.structure_start)
    }

    /// A cursor before the token at offset `at`, which an [`Event::Begin`] of this blob named.
    pub(crate) fn cursor_at(&self, at: u32) -> Cursor<'a> {
        Cursor::new(
            self.bytes,
            at,
            self.structure_end,
            &self.bytes[self.strings_start as usize..self.strings_end as usize],
        )
    }

    /// The memory reservation block: `(address, size)` in bytes of each range that must not be
    /// used. Specification 5.3.
    pub fn reservations(&self) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        self.bytes[self.reservations_start as usize..]
            .chunks_exact(RESERVATION_LEN)
            .map_while(|entry| Some((be64(entry, 0)?, be64(entry, 8)?)))
            .take_while(|&entry| entry != (0, 0))
    }

    /// The node at `path`, as the offset of its token. A component without a unit address matches
    /// the first node of that name (specification 2.2.3).
    pub fn find(&self, path: &str) -> Option<u32> {
        let mut wanted = path.strip_prefix('/')?.split('/').filter(|c| !c.is_empty());
        let mut next = wanted.next();
        let mut cursor = self.cursor();
        let (mut depth, mut matched) = (0, 0);
        loop {
            match cursor.step().ok()? {
                Event::Begin { name, at } => {
                    // The root's name is empty and always matches.
                    if depth == matched && (depth == 0 || next.is_some_and(|c| is_named(name, c))) {
                        matched += 1;
                        if depth > 0 {
                            next = wanted.next();
                        }
                        if next.is_none() {
                            return Some(at);
                        }
                    }
                    depth += 1;
                }
                Event::Property(_) => {}
                Event::End => {
                    // A matched node that did not hold the rest of the path: it is not there.
                    if depth == matched {
                        return None;
                    }
                    depth -= 1;
                }
                Event::Finish => return None,
            }
        }
    }

    /// The path of the node whose token is at offset `at`, for messages.
    pub fn path(&self, at: u32) -> NodePath<'a> {
        NodePath { blob: *self, at }
    }
}

impl fmt::Debug for ValidBlob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidBlob({} bytes)", self.bytes.len())
    }
}

/// Whether a path's `component` names the node `name`.
fn is_named(name: &str, component: &str) -> bool {
    name == component || (!component.contains('@') && name.split('@').next() == Some(component))
}

/// The place of one node. Costs nothing to carry; its `Display` finds the names, from the root.
#[derive(Clone, Copy)]
pub struct NodePath<'a> {
    blob: ValidBlob<'a>,
    at: u32,
}

impl fmt::Display for NodePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = heapless::Vec::<&str, MAX_DEPTH>::new();
        let mut cursor = self.blob.cursor();
        loop {
            match cursor.step() {
                Ok(Event::Begin { name, at }) => {
                    if names.push(name).is_err() {
                        break;
                    }
                    if at == self.at {
                        break;
                    }
                }
                Ok(Event::End) => {
                    names.pop();
                }
                Ok(Event::Property(_)) => {}
                Ok(Event::Finish) | Err(_) => break,
            }
        }
        if names.len() < 2 {
            return f.write_str("/");
        }
        names[1..].iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

impl fmt::Debug for NodePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks the part of the header that says how long the blob is, of which `available` bytes could
/// be had.
fn total_len(header: &[u8], available: usize) -> Result<usize, BlobError> {
    let (Some(magic), Some(total)) = (be32(header, 0), be32(header, 4)) else {
        return Err(BlobError::TooShort { len: header.len() });
    };
    if magic != MAGIC {
        return Err(BlobError::Magic { found: magic });
    }
    if available < HEADER_LEN {
        return Err(BlobError::TooShort { len: available });
    }
    let total = total as usize;
    if !(HEADER_LEN..=available).contains(&total) {
        return Err(BlobError::TotalSize { total, available });
    }
    Ok(total)
}

/// Checks the header (specification 5.2) and cuts the blob to its length.
fn locate_blocks(bytes: &[u8]) -> Result<ValidBlob<'_>, BlobError> {
    let bytes = &bytes[..total_len(bytes, bytes.len())?];
    // The header is complete: `total_len` has seen to that.
    let field = |index: usize| be32(bytes, index * 4).unwrap_or(0);

    let (version, last_compatible) = (field(5), field(6));
    if version < VERSION || last_compatible > VERSION {
        return Err(BlobError::Version {
            version,
            last_compatible,
        });
    }
    let structure = block(bytes, Block::Structure, field(2), field(9))?;
    let strings = block(bytes, Block::Strings, field(3), field(8))?;
    // Its size is nowhere given: it ends with an entry of zeros, looked for later.
    let reservations = block(bytes, Block::Reservations, field(4), RESERVATION_LEN as u32)?;
    Ok(ValidBlob {
        bytes,
        structure_start: structure.start,
        structure_end: structure.end,
        strings_start: strings.start,
        strings_end: strings.end,
        reservations_start: reservations.start,
    })
}

/// The bounds of one block, once they are known to lie inside the blob and behind the header.
fn block(bytes: &[u8], block: Block, offset: u32, size: u32) -> Result<Range<u32>, BlobError> {
    if !offset.is_multiple_of(block.alignment()) {
        return Err(BlobError::BlockMisaligned { block, offset });
    }
    match offset.checked_add(size) {
        Some(end) if offset as usize >= HEADER_LEN && end as usize <= bytes.len() => {
            Ok(offset..end)
        }
        _ => Err(BlobError::BlockOutside {
            block,
            offset,
            size,
            total: bytes.len(),
        }),
    }
}

/// The reservation block must end, and no reservation may wrap the address space.
fn check_reservations(blob: &ValidBlob<'_>) -> Result<(), BlobError> {
    let start = blob.reservations_start as usize;
    let mut count = 0;
    for (address, size) in blob.reservations() {
        if Region::new(address, size).is_none() {
            return Err(BlobError::ReservationWraps { address, size });
        }
        count += 1;
    }
    let terminator = start + count * RESERVATION_LEN;
    if terminator + RESERVATION_LEN > blob.bytes.len() {
        return Err(BlobError::ReservationsUnterminated {
            offset: start as u32,
        });
    }
    Ok(())
}

/// All names must be printable ASCII and terminated. To look at the block once is cheaper than to
/// look at each name once for each property that has it.
fn check_strings(blob: &ValidBlob<'_>) -> Result<(), BlobError> {
    let (start, end) = (blob.strings_start as usize, blob.strings_end as usize);
    let strings = &blob.bytes[start..end];
    let bad = strings
        .iter()
        .position(|&byte| byte != 0 && !byte.is_ascii_graphic());
    let unterminated = strings.last().is_some_and(|&byte| byte != 0);
    match bad.or(unterminated.then(|| strings.len() - 1)) {
        None => Ok(()),
        Some(at) => Err(BlobError::BadString {
            offset: (start + at) as u32,
        }),
    }
}

/// One root, proper nesting, properties before children, the end at the end (specification 5.4.2).
fn check_structure(mut cursor: Cursor<'_>) -> Result<(), BlobError> {
    let end = cursor.end_offset();
    let mut depth = 0;
    let mut has_root = false;
    // The node begun last has ended, so the one now open has a child.
    let mut after_child = false;
    loop {
        let offset = cursor.offset();
        let event = cursor.step()?;
        let fault = match event {
            Event::Begin { .. } if depth == 0 && has_root => Some(StructureFault::SecondRoot),
            Event::Begin { name, .. } if name.is_empty() != (depth == 0) => {
                Some(StructureFault::NodeName)
            }
            Event::Begin { .. } if depth == MAX_DEPTH => Some(StructureFault::TooDeep),
            Event::Begin { .. } => {
                depth += 1;
                has_root = true;
                after_child = false;
                None
            }
            Event::Property(_) if depth == 0 => Some(StructureFault::PropertyOutsideNode),
            Event::Property(_) if after_child => Some(StructureFault::PropertyAfterChild),
            Event::Property(_) => None,
            Event::End if depth == 0 => Some(StructureFault::EndWithoutNode),
            Event::End => {
                depth -= 1;
                after_child = true;
                None
            }
            Event::Finish if depth > 0 => Some(StructureFault::NodeNotEnded),
            Event::Finish if !has_root => Some(StructureFault::NoRoot),
            Event::Finish if cursor.offset() != end => Some(StructureFault::BytesAfterEnd),
            Event::Finish => return Ok(()),
        };
        if let Some(fault) = fault {
            return Err(BlobError::Structure { offset, fault });
        }
    }
}

/// The big-endian word at `at`, if it is all there.
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// The big-endian double word at `at`, if it is all there.
pub(super) fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_be_bytes(bytes.get(at..end)?.try_into().ok()?))
}

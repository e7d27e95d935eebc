//! Memory: pages to map, with the frames behind them.
//!
//! The frames of ordinary memory come from anywhere, one by one, and are listed in frames of their
//! own, so that neither making nor freeing the largest memory needs anything large, or holds a lock
//! for longer than one frame takes. All is charged to who asked.

use crate::mm::{PAGE, frames, phys_to_virt, virt_to_phys};
use crate::object::Ref;
use crate::object::quota::{Charge, Quota};
use abi::error::Error;
use abi::memory::MemoryKind;
use alloc::vec::Vec;

/// The most that one memory can have.
const MOST_BYTES: u64 = abi::memory::USER_END;
/// How many frames are listed in one.
const LISTED: usize = PAGE as usize / size_of::<u64>();

/// What a memory consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Frames from anywhere.
    Normal,
    /// One block of frames.
    Dma,
    /// Device registers.
    Device,
    /// RAM that is never free: the init image. To be read only.
    Fixed,
}

/// Pages, as long as somebody has a handle of them or has mapped them.
pub(crate) struct Memory {
    backing: Backing,
    bytes: u64,
    /// Nobody pays for the init image.
    _charge: Option<Charge>,
}

enum Backing {
    Frames(Frames),
    Block(Block),
    Device(u64),
    Fixed(u64),
}

impl Memory {
    /// Makes zeroed memory of `bytes`, whole pages, charged to `quota`. `Process`: it takes as long as
    /// there are pages to fill, and can be preempted all the while.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: no pages, or not whole ones. [`Error::NoMemory`]: neither the quota nor
    /// the machine has so much, or DMA memory found no block that is large enough.
    pub(crate) fn create(
        kind: MemoryKind,
        bytes: u64,
        quota: &Ref<Quota>,
    ) -> Result<Ref<Self>, Error> {
        check_whole_pages(0, bytes)?;
        if bytes > MOST_BYTES {
            return Err(Error::NoMemory);
        }
        let taken_bytes = match kind {
            MemoryKind::Normal => bytes + Frames::overhead_bytes(bytes),
            MemoryKind::Dma => bytes.next_power_of_two(),
        };
        let charge = charge(quota, taken_bytes)?;
        // Rather than take all there is from everybody, only to give it back.
        if taken_bytes > frames::usage().0 {
            return Err(Error::NoMemory);
        }
        let backing = match kind {
            MemoryKind::Normal => Backing::Frames(Frames::new(bytes)?),
            MemoryKind::Dma => Backing::Block(Block::new(taken_bytes)?),
        };
        Self::put(backing, bytes, Some(charge))
    }

    /// The device registers at `pa`. Nothing else may be there; the caller has seen to that.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: not whole pages. [`Error::NoMemory`].
    pub(crate) fn device(pa: u64, bytes: u64, quota: &Ref<Quota>) -> Result<Ref<Self>, Error> {
        check_whole_pages(pa, bytes)?;
        let charge = charge(quota, 0)?;
        Self::put(Backing::Device(pa), bytes, Some(charge))
    }

    /// The RAM at `pa`, which is not the frame allocator's, and is never written.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: not whole pages. [`Error::NoMemory`].
    pub(crate) fn fixed(pa: u64, bytes: u64) -> Result<Ref<Self>, Error> {
        check_whole_pages(pa, bytes)?;
        Self::put(Backing::Fixed(pa), bytes, None)
    }

    fn put(backing: Backing, bytes: u64, charge: Option<Charge>) -> Result<Ref<Self>, Error> {
        let memory = Self {
            backing,
            bytes,
            _charge: charge,
        };
        Ref::try_new(memory).map_err(|_| Error::NoMemory)
    }

    /// How long it is; whole pages.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it consists of.
    pub(crate) fn kind(&self) -> Kind {
        match self.backing {
            Backing::Frames(_) => Kind::Normal,
            Backing::Block(_) => Kind::Dma,
            Backing::Device(_) => Kind::Device,
            Backing::Fixed(_) => Kind::Fixed,
        }
    }

    /// The physical address of the byte at `offset`, for a device to read and write at: only memory made
    /// for that has one.
    pub(crate) fn physical(&self, offset: u64) -> Option<u64> {
        match &self.backing {
            Backing::Block(block) if offset < self.bytes => Some(virt_to_phys(block.va) + offset),
            _ => None,
        }
    }

    /// The physical address of the page that `offset` is in, for a page table.
    pub(crate) fn frame(&self, offset: u64) -> Option<u64> {
        if offset >= self.bytes {
            return None;
        }
        let page = offset & !(PAGE - 1);
        Some(match &self.backing {
            Backing::Frames(frames) => virt_to_phys(frames.get(page / PAGE)),
            Backing::Block(block) => virt_to_phys(block.va) + page,
            Backing::Device(pa) | Backing::Fixed(pa) => pa + page,
        })
    }

    /// Where the kernel has the page that `offset` is in; only pages it may write.
    pub(crate) fn alias(&self, offset: u64) -> Option<u64> {
        match self.kind() {
            Kind::Normal | Kind::Dma => self.frame(offset).map(phys_to_virt),
            Kind::Device | Kind::Fixed => None,
        }
    }

    /// Writes `bytes` at `offset`. Who has mapped the memory may see it in any order.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: it goes over the end, or the memory is not the kernel's to write.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(Error::BadArgument);
        }
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let page = self.alias(at).ok_or(Error::BadArgument)?;
            let room = (PAGE - at % PAGE) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            let place = (page + at % PAGE) as *mut u8;
            // SAFETY: the piece is in one page, which is mapped as long as the memory lives; no
            // reference to it exists, and processes that write at the same time only harm themselves.
            unsafe { core::ptr::copy_nonoverlapping(now.as_ptr(), place, now.len()) };
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}

/// Charges `bytes` and what every memory costs.
fn charge(quota: &Ref<Quota>, bytes: u64) -> Result<Charge, Error> {
    Charge::new(quota, bytes + size_of::<Memory>() as u64)
}

/// # Errors
/// [`Error::BadArgument`], unless it is some whole pages that physical addresses can name.
fn check_whole_pages(pa: u64, bytes: u64) -> Result<(), Error> {
    let whole = bytes != 0 && (pa | bytes).is_multiple_of(PAGE);
    let end = pa.checked_add(bytes);
    if whole && end.is_some_and(|end| end <= 1 << 48) {
        Ok(())
    } else {
        Err(Error::BadArgument)
    }
}

/// Frames from anywhere, and the frames that list them.
struct Frames {
    lists: Vec<u64>,
    count: u64,
}

impl Frames {
    /// What the lists for so much memory cost.
    fn overhead_bytes(bytes: u64) -> u64 {
        let lists = (bytes / PAGE).div_ceil(LISTED as u64);
        lists * (PAGE + size_of::<u64>() as u64)
    }

    fn new(bytes: u64) -> Result<Self, Error> {
        let count = bytes / PAGE;
        let lists = count.div_ceil(LISTED as u64) as usize;
        let mut frames = Self {
            lists: Vec::new(),
            count: 0,
        };
        let reserved = frames.lists.try_reserve_exact(lists);
        reserved.map_err(|_| Error::NoMemory)?;
        while frames.count < count {
            frames.add().ok_or(Error::NoMemory)?;
        }
        Ok(frames)
    }

    fn add(&mut self) -> Option<()> {
        let (list, place) = split(self.count);
        if place == 0 {
            self.lists.push(frames::allocate(PAGE)?);
        }
        let frame = frames::allocate(PAGE)?;
        // SAFETY: both frames are ours; the place is inside the list.
        unsafe {
            (frame as *mut u8).write_bytes(0, PAGE as usize);
            (self.lists[list] as *mut u64).add(place).write(frame);
        }
        self.count += 1;
        Some(())
    }

    /// Where the kernel has frame `index`, which is one.
    fn get(&self, index: u64) -> u64 {
        let (list, place) = split(index);
        // SAFETY: `add` wrote it.
        unsafe { (self.lists[list] as *const u64).add(place).read() }
    }
}

/// In which list frame `index` is, and where.
fn split(index: u64) -> (usize, usize) {
    (index as usize / LISTED, index as usize % LISTED)
}

impl Drop for Frames {
    fn drop(&mut self) {
        for index in 0..self.count {
            // SAFETY: `add` allocated it, and its last owner is gone.
            unsafe { frames::free(self.get(index), PAGE) };
        }
        for list in &self.lists {
            // SAFETY: as above.
            unsafe { frames::free(*list, PAGE) };
        }
    }
}

/// One block of frames, a power of two long.
struct Block {
    va: u64,
    bytes: u64,
}

impl Block {
    fn new(bytes: u64) -> Result<Self, Error> {
        let va = frames::allocate(bytes).ok_or(Error::NoMemory)?;
        // SAFETY: the block is ours.
        unsafe { (va as *mut u8).write_bytes(0, bytes as usize) };
        Ok(Self { va, bytes })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it, and its last owner is gone.
        unsafe { frames::free(self.va, self.bytes) };
    }
}

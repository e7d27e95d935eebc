//! User address spaces: which memory a process sees where, and with which rights.
//!
//! What is mapped is a sorted list of *regions*, each of which owns its memory, so that frames live as
//! long as somebody can reach them. A region is claimed before its pages are touched, and until they
//! are done it is *in passage*: others leave it alone ([`Error::Busy`]). So the lock is held for one
//! batch of pages at a time, however much is mapped or unmapped, and interrupts are open all the while.
//!
//! Nothing is ever writable and executable; nothing of a process is executable to the kernel. What a
//! region loses is gone from the TLBs of all CPUs before its memory is.

use super::tree::{self, Access, BATCH, Tree};
use super::{PAGE, asid::Asid, virt_to_phys};
use crate::object::Ref;
use crate::object::memory::{Kind, Memory};
use crate::object::quota::Quota;
use abi::error::Error;
use abi::handle::Rights;
use abi::memory::{USER_END, USER_START};
use alloc::vec::Vec;
use boot::arch::Table;
use core::ops::Range;
use core::time::Duration;
use cpu::lock::{Lock, Preempt};
use cpu::plant::{Plant, planted};

/// The most regions a space can have: what an insertion moves stays small.
pub(crate) const MOST_REGIONS: usize = 4096;
/// Where the kernel begins to look for a place when it is to choose one: above what programs are
/// linked to, and below what loaders put at the end.
const CHOSEN_FROM: u64 = 0x10_0000_0000;
/// Between regions whose place the kernel chose nothing is mapped: who runs over an end faults.
const GAP: u64 = PAGE;

/// How often who closes a space looks whether the last passage is over.
const PASSAGE: Duration = Duration::from_micros(100);

/// What CPUs translate the lower half with when they run nobody's space.
static EMPTY: Table = Table([0; 512]);

/// The `TTBR0_EL1` of no space: nothing is mapped.
#[inline(always)]
pub(crate) fn reserved_ttbr() -> u64 {
    virt_to_phys((&raw const EMPTY) as u64)
}

/// Has this CPU translate the lower half by `ttbr`. In `NoIrq` at a switch, or where nobody else runs
/// here. Flushes nothing.
///
/// # Safety
/// It is [`reserved_ttbr`], or the [`Space::ttbr`] of a space that lives until this CPU installs
/// another.
#[inline(always)]
pub(crate) unsafe fn install(ttbr: u64) {
    // SAFETY: the caller's promise; the kernel itself has nothing in the lower half.
    unsafe { cpu::write_sysreg!("ttbr0_el1", ttbr) };
}

/// A user address space. Who drops it sees to it that no CPU has it installed, and is in `Process`.
pub(crate) struct Space {
    ttbr: u64,
    state: Lock<State, Preempt>,
    // The last to go: until then nobody else gets the number.
    asid: Asid,
}

struct State {
    tree: Tree,
    /// By rising address; no two overlap.
    regions: Vec<Region>,
    is_closed: bool,
}

/// Memory that is mapped, is being mapped, or is being unmapped.
struct Region {
    start: u64,
    bytes: u64,
    memory: Ref<Memory>,
    /// Where in the memory it begins.
    offset: u64,
    in_passage: bool,
}

impl Region {
    fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

impl Space {
    /// With nothing mapped; its tables are charged to `quota`.
    ///
    /// # Errors
    /// [`Error::TooMany`]: no ASID is left. [`Error::NoMemory`].
    pub(crate) fn new(quota: &Ref<Quota>) -> Result<Self, Error> {
        let asid = Asid::new()?;
        let tree = Tree::new(quota)?;
        tree::publish();
        Ok(Self {
            ttbr: tree.root() | asid.field(),
            state: Lock::new(State {
                tree,
                regions: Vec::new(),
                is_closed: false,
            }),
            asid,
        })
    }

    /// What [`install`] takes.
    #[inline(always)]
    pub(crate) fn ttbr(&self) -> u64 {
        self.ttbr
    }

    /// Maps `bytes` of `memory` from `offset` on at `address`; 0: at an address of the kernel's choice.
    /// Gives the address. `Process`.
    ///
    /// # Errors
    /// [`Error::WriteAndExecute`]. [`Error::BadArgument`]: not whole pages, more than the memory has,
    /// rights that mean nothing, or that this kind of memory never gives. [`Error::BadAddress`]: outside
    /// of what can be mapped. [`Error::Busy`]: something is mapped there. [`Error::NoMemory`].
    /// [`Error::TooMany`]: more than [`MOST_REGIONS`] regions. After an error nothing has changed.
    pub(crate) fn map(
        &self,
        memory: Ref<Memory>,
        offset: u64,
        bytes: u64,
        address: u64,
        rights: Rights,
    ) -> Result<u64, Error> {
        let access = access(memory.kind(), rights)?;
        let whole = bytes != 0 && (offset | bytes | address).is_multiple_of(PAGE);
        let end = offset.checked_add(bytes);
        if !whole || end.is_none_or(|end| end > memory.bytes()) {
            return Err(Error::BadArgument);
        }
        let place = self.claim(&memory, offset, bytes, address)?;
        if access == Access::Execute {
            make_executable(&memory, offset, bytes);
        }
        match self.fill(&place, &memory, offset, access) {
            Ok(()) => {
                let mut state = self.state.lock();
                let index = state.first_from(place.start);
                state.regions[index].in_passage = false;
                Ok(place.start)
            }
            Err(error) => {
                // Before its memory may go: some of its pages may be mapped.
                self.empty(&place);
                self.release(&place);
                Err(error)
            }
        }
    }

    /// Unmaps `bytes` at `address`. `Process`.
    ///
    /// # Errors
    /// [`Error::BadArgument`]: not whole pages. [`Error::BadAddress`]: not everything there is mapped.
    /// [`Error::Busy`]: a part is just being mapped or unmapped. [`Error::NoMemory`] and
    /// [`Error::TooMany`]: it would leave the parts of a region on both sides. After an error nothing
    /// has changed.
    pub(crate) fn unmap(&self, address: u64, bytes: u64) -> Result<(), Error> {
        if bytes == 0 || !(address | bytes).is_multiple_of(PAGE) {
            return Err(Error::BadArgument);
        }
        let end = address.checked_add(bytes).ok_or(Error::BadAddress)?;
        let place = address..end;
        self.state.lock().condemn(&place)?;
        self.empty(&place);
        self.release(&place);
        Ok(())
    }

    /// Unmaps everything, and lets nothing be mapped any more. In a thread, in `Process`.
    pub(crate) fn close(&self) {
        loop {
            let place = {
                let mut state = self.state.lock();
                state.is_closed = true;
                if state.regions.is_empty() {
                    return;
                }
                // From the end: then none has to move.
                let settled = state.regions.iter().rfind(|region| !region.in_passage);
                settled.map(|region| (region.start, region.bytes))
            };
            match place {
                // Nothing can be in the way: it is a whole region, and only this thread unmaps.
                Some((start, bytes)) => drop(self.unmap(start, bytes)),
                // Somebody is in the middle of mapping it: perhaps a thread of another process, less
                // urgent than this one, which waits for this CPU.
                None => crate::thread::sleep(PASSAGE),
            }
        }
    }

    /// Finds a place and puts a region in passage there.
    fn claim(
        &self,
        memory: &Ref<Memory>,
        offset: u64,
        bytes: u64,
        address: u64,
    ) -> Result<Range<u64>, Error> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Error::Gone);
        }
        let start = match address {
            0 => state.choose(bytes).ok_or(Error::NoMemory)?,
            address => state.check_free(address, bytes)?,
        };
        state.make_room(1)?;
        let index = state.first_from(start);
        let region = Region {
            start,
            bytes,
            memory: memory.clone(),
            offset,
            in_passage: true,
        };
        state.regions.insert(index, region);
        Ok(start..start + bytes)
    }

    /// Maps the pages of a region in passage. After an error some of them are.
    fn fill(
        &self,
        place: &Range<u64>,
        memory: &Memory,
        offset: u64,
        access: Access,
    ) -> Result<(), Error> {
        for (start, pages) in batches(place) {
            let mut state = self.state.lock();
            for page in 0..pages {
                let va = start + page * PAGE;
                let frame = memory.frame(offset + (va - place.start));
                state
                    .tree
                    .map(va, frame.ok_or(Error::BadArgument)?, access)?;
            }
            tree::publish();
        }
        Ok(())
    }

    /// Unmaps the pages of regions in passage.
    fn empty(&self, place: &Range<u64>) {
        for (start, pages) in batches(place) {
            self.state.lock().tree.unmap(start, pages, &self.asid);
        }
    }

    /// Takes the regions in passage out of the list, whose pages are mapped nowhere any more.
    fn release(&self, place: &Range<u64>) {
        loop {
            let mut state = self.state.lock();
            let index = state.first_from(place.start);
            match state.regions.get(index) {
                Some(region) if region.start < place.end => {
                    let region = state.regions.remove(index);
                    drop(state);
                    // Its memory may go now, which can take a while.
                    drop(region);
                }
                _ => return,
            }
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if !planted(Plant::AsidNotFlushed) {
            self.asid.flush();
        }
    }
}

impl State {
    /// The index of the first region that begins at `address` or above.
    fn first_from(&self, address: u64) -> usize {
        self.regions
            .partition_point(|region| region.start < address)
    }

    /// The index of the first region that ends above `address`.
    fn first_above(&self, address: u64) -> usize {
        self.regions
            .partition_point(|region| region.end() <= address)
    }

    /// Whether a region lies on both sides of `address`.
    fn is_inside(&self, address: u64) -> bool {
        let region = self.regions.get(self.first_above(address));
        region.is_some_and(|region| region.start < address)
    }

    fn check_free(&self, address: u64, bytes: u64) -> Result<u64, Error> {
        let end = address.checked_add(bytes).ok_or(Error::BadAddress)?;
        if address < USER_START || end > USER_END {
            return Err(Error::BadAddress);
        }
        match self.regions.get(self.first_above(address)) {
            Some(next) if next.start < end => Err(Error::Busy),
            _ => Ok(address),
        }
    }

    /// The lowest place of so many bytes, with a gap on both sides.
    fn choose(&self, bytes: u64) -> Option<u64> {
        let mut start = CHOSEN_FROM;
        for region in &self.regions[self.first_above(CHOSEN_FROM)..] {
            if region.start >= start.checked_add(bytes)?.checked_add(GAP)? {
                break;
            }
            start = start.max(region.end() + GAP);
        }
        (start.checked_add(bytes)? <= USER_END).then_some(start)
    }

    /// Sees to it that `more` regions can be inserted.
    fn make_room(&mut self, more: usize) -> Result<(), Error> {
        let needed = self.regions.len() + more;
        if needed > MOST_REGIONS {
            return Err(Error::TooMany);
        }
        let capacity = self.regions.capacity();
        if needed <= capacity {
            return Ok(());
        }
        let grown = needed.next_power_of_two().max(8);
        let cost_bytes = ((grown - capacity) * size_of::<Region>()) as u64;
        self.tree.charge().grow(cost_bytes)?;
        let grow_by = grown - self.regions.len();
        self.regions.try_reserve_exact(grow_by).map_err(|_| {
            self.tree.charge().shrink(cost_bytes);
            Error::NoMemory
        })
    }

    /// Puts all regions of `place` in passage, after it has cut off what lies beside it.
    fn condemn(&mut self, place: &Range<u64>) -> Result<(), Error> {
        let first = self.first_above(place.start);
        let mut covered = place.start;
        for region in &self.regions[first..] {
            if covered >= place.end {
                break;
            }
            if region.start > covered {
                return Err(Error::BadAddress);
            }
            if region.in_passage {
                return Err(Error::Busy);
            }
            covered = region.end();
        }
        if covered < place.end {
            return Err(Error::BadAddress);
        }
        let cuts = [place.start, place.end].map(|address| self.is_inside(address));
        self.make_room(cuts.into_iter().filter(|cut| *cut).count())?;
        self.cut(place.start);
        self.cut(place.end);
        let range = self.first_from(place.start)..self.first_from(place.end);
        for region in &mut self.regions[range] {
            region.in_passage = true;
        }
        Ok(())
    }

    /// Makes two of the region that `address` is inside of, if there is one. There is room.
    fn cut(&mut self, address: u64) {
        if !self.is_inside(address) {
            return;
        }
        let index = self.first_above(address);
        let region = &mut self.regions[index];
        let below = address - region.start;
        let upper = Region {
            start: address,
            bytes: region.bytes - below,
            memory: region.memory.clone(),
            offset: region.offset + below,
            in_passage: region.in_passage,
        };
        region.bytes = below;
        self.regions.insert(index + 1, upper);
    }
}

/// `place` in pieces that one holding of the lock does: their addresses and pages.
fn batches(place: &Range<u64>) -> impl Iterator<Item = (u64, u64)> {
    let end = place.end;
    (place.start..end)
        .step_by((BATCH * PAGE) as usize)
        .map(move |start| (start, ((end - start) / PAGE).min(BATCH)))
}

/// What `rights` come to on that kind of memory.
fn access(kind: Kind, rights: Rights) -> Result<Access, Error> {
    const READ_WRITE: Rights = Rights::READ.with(Rights::WRITE);
    const READ_EXECUTE: Rights = Rights::READ.with(Rights::EXECUTE);
    if rights.contains(Rights::WRITE.with(Rights::EXECUTE)) {
        return Err(Error::WriteAndExecute);
    }
    match (kind, rights) {
        (Kind::Device, Rights::READ) => Ok(Access::DeviceRead),
        (Kind::Device, READ_WRITE) => Ok(Access::Device),
        (_, Rights::READ) => Ok(Access::Read),
        (Kind::Normal | Kind::Dma, READ_WRITE) => Ok(Access::Write),
        (Kind::Normal | Kind::Dma, READ_EXECUTE) => Ok(Access::Execute),
        _ => Err(Error::BadArgument),
    }
}

/// Has what was written into the memory come by instruction fetches (DDI 0487, B2.4.4).
fn make_executable(memory: &Memory, offset: u64, bytes: u64) {
    let ctr = cpu::read_sysreg!("ctr_el0");
    let line = 4 << (ctr >> 16 & 0xf);
    for at in (offset..offset + bytes).step_by(PAGE as usize) {
        let Some(alias) = memory.alias(at) else {
            continue;
        };
        for address in (alias..alias + PAGE).step_by(line) {
            // SAFETY: cleaning a cache line changes no content.
            unsafe {
                core::arch::asm!("dc cvau, {}", in(reg) address, options(nostack, preserves_flags));
            }
        }
    }
    // The pages are mapped elsewhere than they will be executed, so all goes, not by address.
    // SAFETY: forgetting instructions changes none.
    unsafe {
        core::arch::asm!(
            "dsb ish",
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}

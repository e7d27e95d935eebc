//! Tables: what the kernel calls, under the one lock of all of them, or, to look up, under none.

use crate::entry::{Entry, Kept, Node, Removed, last_child, span};
use crate::memory::{bytes_of, room};
use crate::retired::Retirable;
use crate::slots::{CHUNK_BYTES, ChunkRoom, Directory, FreeSlots, Room};
use crate::span::Span;
use crate::{Kernel, Object};
use abi::error::Error;
use abi::handle::{Handle, Rights};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, replace};
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use cpu::guard::Pinned;
use cpu::lock::{Irq, Lock, LockGuard};
use cpu::plant::{Plant, planted};

/// The lock of all tables and of who was derived from whom, and how many handles there are. Nothing is
/// allocated or freed under it.
static WORLD: Lock<u64, Irq> = Lock::new(0);

type Held = LockGuard<'static, u64, Irq>;

/// How many slots are cleared while interrupts are held once.
const BATCH: u32 = 16;

/// Handles there are, in all tables.
pub fn count_everywhere() -> u64 {
    *WORLD.lock()
}

/// A process's handles. Every call may be made from `Process` or `NoIrq`, and on any CPU at once.
pub struct Table<K: Kernel> {
    /// On the heap, since entries lead back here, and whoever has the table may move it.
    inner: NonNull<Inner<K>>,
}

/// A table, where entries find it.
#[repr(C)]
pub(crate) struct Inner<K: Kernel> {
    // The first: it saves a look-up an instruction.
    directory: Directory<K>,
    payer: K::Payer,
    handles: AtomicU32,
    kept: UnsafeCell<KeptOfTable<K>>,
}

/// The part of a table that belongs to whoever has the lock.
struct KeptOfTable<K: Kernel> {
    slots: FreeSlots,
    charge: K::Charge,
    /// It was cleared, and takes nothing any more.
    is_gone: bool,
}

// SAFETY: it owns what it leads to, and all of that is `Send` or is used under the lock.
unsafe impl<K: Kernel> Send for Table<K> {}
// SAFETY: what is shared is atomic, or used under the lock.
unsafe impl<K: Kernel> Sync for Table<K> {}

impl<K: Kernel> Table<K> {
    /// Without handles. `payer` pays for it and for what will be in it.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn new(payer: K::Payer) -> Result<Self, Error> {
        let charge = K::charge(&payer, bytes_of::<Inner<K>>())?;
        let inner = Box::write(
            room()?,
            Inner {
                directory: Directory::new(),
                payer,
                handles: AtomicU32::new(0),
                kept: UnsafeCell::new(KeptOfTable {
                    slots: FreeSlots::new(),
                    charge,
                    is_gone: false,
                }),
            },
        );
        let inner = NonNull::from(Box::leak(inner));
        Ok(Self { inner })
    }

    /// What `handle` names. It lasts as long as the proof, whatever becomes of the handle.
    #[inline(always)]
    pub fn get<'a>(&self, handle: Handle, _: &'a impl Pinned) -> Option<&'a Entry<K>> {
        let node = self.inner().directory.look(handle)?;
        // SAFETY: what a slot leads to is retired after it was taken out of the slot, and freed when
        // no proof from before lives.
        let node: &'a Node<K> = unsafe { node.as_ref() };
        let is_it = node.handle() == handle || planted(Plant::DeadHandleHonoured);
        is_it.then_some(node)
    }

    /// Handles in it.
    pub fn count(&self) -> u32 {
        self.inner().handles.load(Relaxed)
    }

    /// Makes a handle: derived from `parent`, which is in this table, or from nothing.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`]; [`Error::Gone`] after [`Table::clear`];
    /// [`Error::BadHandle`]: `parent` is none.
    pub fn insert(
        &self,
        object: K::Object,
        rights: Rights,
        badge: u64,
        parent: Option<Handle>,
    ) -> Result<Handle, Error> {
        let blank = self.blank()?;
        let mut held = self.lock_with_room()?;
        let parent = match parent {
            Some(parent) => span(self.find(parent).ok_or(Error::BadHandle)?),
            None => null_mut(),
        };
        Ok(self.publish(&mut held, blank, (object, rights, badge), parent))
    }

    /// Makes a handle of the same object, derived from `handle`, which permits `rights`. `badge` 0: with
    /// the badge that there is.
    ///
    /// # Errors
    /// [`Error::BadHandle`]; [`Error::NoRight`]: `handle` lacks [`Rights::DUPLICATE`] or some of
    /// `rights`; [`Error::BadArgument`]: it has a badge, and another is asked for; those of
    /// [`Table::insert`].
    pub fn duplicate(&self, handle: Handle, rights: Rights, badge: u64) -> Result<Handle, Error> {
        let blank = self.blank()?;
        let mut held = self.lock_with_room()?;
        let node = self.find(handle).ok_or(Error::BadHandle)?;
        // SAFETY: it is in the table, and the lock is held.
        let origin = unsafe { node.as_ref() };
        if !origin.rights.contains(rights.with(Rights::DUPLICATE)) {
            return Err(Error::NoRight);
        }
        let badge = match (origin.badge, badge) {
            (badge, 0) | (0, badge) => badge,
            _ => return Err(Error::BadArgument),
        };
        let object = origin.object.clone();
        Ok(self.publish(&mut held, blank, (object, rights, badge), span(node)))
    }

    /// Ends `handle`. What was derived from it is its parent's from now on.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn close(&self, handle: Handle) -> Result<(), Error> {
        let mut removed = Removed::<K>::none();
        let mut held = WORLD.lock();
        let node = self.find(handle).ok_or(Error::BadHandle)?;
        remove(node, &mut held, &mut removed);
        drop(held);
        removed.finish();
        Ok(())
    }

    /// Ends all that was derived from `handle`, wherever it is. Gives how many those were.
    ///
    /// # Errors
    /// [`Error::BadHandle`], also if it was closed or given away meanwhile; [`Error::NoRight`]: it lacks
    /// [`Rights::REVOKE`].
    pub fn revoke(&self, handle: Handle) -> Result<u64, Error> {
        let (mut count, mut enough, mut at_once) = (0, 0, 1);
        loop {
            let mut removed = Removed::<K>::none();
            let mut held = WORLD.lock();
            let node = self.find(handle).ok_or(Error::BadHandle)?;
            // SAFETY: it is in the table, and the lock is held.
            if !unsafe { node.as_ref() }.rights.contains(Rights::REVOKE) {
                return Err(Error::NoRight);
            }
            if count == 0 {
                enough = *held;
            } else if count > enough {
                // Others derive as fast as we remove. One has to end it.
                at_once *= 2;
            }
            let before = count;
            while count - before < at_once
                && let Some(child) = last_child(node)
            {
                remove(child, &mut held, &mut removed);
                count += 1;
            }
            drop(held);
            removed.finish();
            if count == before {
                return Ok(count);
            }
        }
    }

    /// Moves `handle` into table `to`, where it keeps its place among those that it was derived from and
    /// that were derived from it. Gives what it is called there.
    ///
    /// # Errors
    /// [`Error::BadHandle`]; [`Error::NoRight`]: it lacks [`Rights::TRANSFER`]; those of
    /// [`Table::insert`] about `to`. The handle stays where it was.
    pub fn move_to(&self, handle: Handle, to: &Self) -> Result<Handle, Error> {
        let charge = K::charge(&to.inner().payer, bytes_of::<Node<K>>())?;
        let mut held = to.lock_with_room()?;
        let node = self.find(handle).ok_or(Error::BadHandle)?;
        // SAFETY: it is in the table, and the lock is held.
        let entry = unsafe { node.as_ref() };
        if !entry.rights.contains(Rights::TRANSFER) {
            return Err(Error::NoRight);
        }
        let (from, to) = (self.inner(), to.inner());
        let new = to.kept(&mut held).slots.take(&to.directory);
        from.kept(&mut held)
            .slots
            .give_back(&from.directory, handle);
        entry.handle.store(new.0, Relaxed);
        // SAFETY: the lock is held.
        let old_charge = unsafe {
            let kept = entry.kept.get();
            (*kept).table = to;
            replace(&mut (*kept).charge, charge)
        };
        to.kept(&mut held).slots.lead(&to.directory, new, node);
        from.handles.fetch_sub(1, Relaxed);
        to.handles.fetch_add(1, Relaxed);
        drop(held);
        drop(old_charge);
        Ok(new)
    }

    /// Ends all handles; from now on there will be none. For the end of a process.
    pub fn clear(&self) {
        let inner = self.inner();
        let mut at = 0;
        loop {
            let mut removed = Removed::<K>::none();
            let mut held = WORLD.lock();
            let kept = inner.kept(&mut held);
            kept.is_gone = true;
            let all = kept.slots.used_once();
            let end = all.min(at + BATCH);
            for slot in at..end {
                if let Some(node) = inner.directory.look(Handle::new(slot, 0)) {
                    remove(node, &mut held, &mut removed);
                }
            }
            drop(held);
            removed.finish();
            if end == all {
                return;
            }
            at = end;
        }
    }

    #[inline(always)]
    fn inner(&self) -> &Inner<K> {
        // SAFETY: it is there as long as the table.
        unsafe { self.inner.as_ref() }
    }

    /// What `handle` leads to. Under the lock, which keeps it there.
    fn find(&self, handle: Handle) -> Option<NonNull<Node<K>>> {
        let node = self.inner().directory.look(handle)?;
        // SAFETY: it is in the table.
        (unsafe { node.as_ref() }.handle() == handle).then_some(node)
    }

    /// Room for an entry, paid for.
    fn blank(&self) -> Result<Blank<K>, Error> {
        Ok(Blank {
            charge: K::charge(&self.inner().payer, bytes_of::<Node<K>>())?,
            room: room()?,
        })
    }

    /// Takes the lock, with a slot to give out.
    fn lock_with_room(&self) -> Result<Held, Error> {
        let inner = self.inner();
        let mut chunk: Option<ChunkRoom<K>> = None;
        loop {
            let mut held = WORLD.lock();
            let kept = inner.kept(&mut held);
            if kept.is_gone {
                return Err(Error::Gone);
            }
            match (kept.slots.room(), chunk.take()) {
                (Room::Slot, None) => return Ok(held),
                (Room::None, None) => return Err(Error::TooMany),
                (Room::AfterChunk, None) => {
                    drop(held);
                    chunk = Some(room()?);
                }
                (Room::AfterChunk, Some(room)) => {
                    if let Err(error) = K::charge_more(&mut kept.charge, CHUNK_BYTES) {
                        drop(held);
                        drop(room);
                        return Err(error);
                    }
                    kept.slots.add_chunk(&inner.directory, room);
                    return Ok(held);
                }
                // Somebody else has added one.
                (Room::Slot | Room::None, Some(room)) => {
                    drop(held);
                    drop(room);
                }
            }
        }
    }

    /// Makes the entry and lets it be seen. There is a slot.
    fn publish(
        &self,
        held: &mut Held,
        blank: Blank<K>,
        (object, rights, badge): (K::Object, Rights, u64),
        parent: *mut Span,
    ) -> Handle {
        let inner = self.inner();
        object.added(rights);
        let slots = &mut inner.kept(held).slots;
        let handle = slots.take(&inner.directory);
        let node = Box::write(
            blank.room,
            Retirable::new(Entry {
                object,
                badge,
                rights,
                handle: AtomicU32::new(handle.0),
                kept: UnsafeCell::new(Kept {
                    span: Span::new(),
                    table: inner,
                    charge: blank.charge,
                    next: null_mut(),
                }),
            }),
        );
        let node = NonNull::from(Box::leak(node));
        // SAFETY: the lock is held; the entry stays where it is, and its parent, if any, is in a table.
        unsafe { Span::insert(span(node), parent) };
        slots.lead(&inner.directory, handle, node);
        inner.handles.fetch_add(1, Relaxed);
        **held += 1;
        handle
    }
}

impl<K: Kernel> Drop for Table<K> {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: `new` leaked it, no entry leads here any more, and no one else does.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<K: Kernel> Inner<K> {
    fn kept<'a>(&'a self, _: &'a mut Held) -> &'a mut KeptOfTable<K> {
        // SAFETY: the lock is held, and lent for as long as this.
        unsafe { &mut *self.kept.get() }
    }
}

/// Room for an entry, paid for.
struct Blank<K: Kernel> {
    charge: K::Charge,
    room: Box<MaybeUninit<Node<K>>>,
}

/// Takes `node` out of its table and its list. It is in both.
fn remove<K: Kernel>(node: NonNull<Node<K>>, held: &mut Held, removed: &mut Removed<K>) {
    // SAFETY: the lock is held, and the node, as it is in a table, and the table are there.
    unsafe {
        let entry = node.as_ref();
        let kept = entry.kept.get();
        let table = &*replace(&mut (*kept).table, null());
        let slots = &mut table.kept(held).slots;
        slots.give_back(&table.directory, entry.handle());
        table.handles.fetch_sub(1, Relaxed);
        Span::remove(span(node));
        (*kept).next = removed.0;
    }
    removed.0 = node.as_ptr();
    **held -= 1;
}

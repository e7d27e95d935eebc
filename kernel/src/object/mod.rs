//! Objects: what processes name by handles.
//!
//! | file | what |
//! |---|---|
//! | `reference` | shared ownership that can fail to be made |
//! | `quota` | who pays for kernel memory |
//! | `handle` | a process's table of handles: looked up without a lock, derived, given away, revoked |
//! | `process`, `thread` | who runs, and with what |
//! | `endpoint`, `reply` | messages |
//! | `notification` | bits, and timers |
//! | `memory` | pages and device ranges |
//! | `irq` | interrupt lines |
//! | `reclaim` | what was removed is freed when nobody can see it any more |

mod endpoint;
pub(crate) mod handle;
pub(crate) mod irq;
pub(crate) mod memory;
mod notification;
pub(crate) mod process;
pub(crate) mod quota;
pub(crate) mod reclaim;
mod reference;
mod reply;
mod thread;
pub(crate) mod timer;

pub(crate) use endpoint::Endpoint;
pub(crate) use handle::Entry;
pub(crate) use irq::Irq;
pub(crate) use memory::Memory;
pub(crate) use notification::Notification;
pub(crate) use process::Process;
pub(crate) use reference::Ref;
pub(crate) use reply::Reply;
pub(crate) use thread::ThreadObject;

use abi::handle::Kind;

/// What a handle names.
#[derive(Clone)]
pub(crate) enum Object {
    /// An address space, a table of handles, a quota.
    Process(Ref<Process>),
    /// A thread.
    Thread(Ref<ThreadObject>),
    /// Where messages are sent to and received from.
    Endpoint(Ref<Endpoint>),
    /// The right to answer one call.
    Reply(Ref<Reply>),
    /// A word of bits.
    Notification(Ref<Notification>),
    /// Pages, or a range of device registers.
    Memory(Ref<Memory>),
    /// An interrupt line.
    Irq(Ref<Irq>),
    /// The machine.
    Machine,
}

impl Object {
    /// What it is.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Process(_) => Kind::Process,
            Self::Thread(_) => Kind::Thread,
            Self::Endpoint(_) => Kind::Endpoint,
            Self::Reply(_) => Kind::Reply,
            Self::Notification(_) => Kind::Notification,
            Self::Memory(_) => Kind::Memory,
            Self::Irq(_) => Kind::Irq,
            Self::Machine => Kind::Machine,
        }
    }
}

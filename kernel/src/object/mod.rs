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

pub(crate) mod memory;
pub(crate) mod quota;
mod reference;

pub(crate) use reference::Ref;

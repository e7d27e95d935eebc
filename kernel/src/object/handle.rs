//! A process's handles: crate `handles`, with this kernel's objects and quotas.

use super::quota::{Charge, Quota};
use super::{Object, Ref, reclaim};
use abi::error::Error;
use abi::handle::Rights;

/// This kernel, as crate `handles` sees it.
pub(crate) enum Names {}

/// A process's handles.
pub(crate) type HandleTable = handles::Table<Names>;
/// What one handle names, and what it permits.
pub(crate) type Entry = handles::Entry<Names>;

impl handles::Kernel for Names {
    type Object = Object;
    type Payer = Ref<Quota>;
    type Charge = Charge;

    fn charge(payer: &Ref<Quota>, bytes: u64) -> Result<Charge, Error> {
        Charge::new(payer, bytes)
    }

    fn charge_more(charge: &mut Charge, bytes: u64) -> Result<(), Error> {
        charge.grow(bytes)
    }

    fn reclaim_soon() {
        reclaim::wake();
    }
}

impl handles::Object for Object {
    fn added(&self, rights: Rights) {
        match self {
            Self::Endpoint(endpoint) if rights.contains(Rights::RECEIVE) => {
                endpoint.receiver_added();
            }
            Self::Notification(notification) => notification.handle_added(),
            Self::Irq(irq) => irq.handle_added(),
            _ => {}
        }
    }

    fn removed(&self, rights: Rights) {
        match self {
            Self::Endpoint(endpoint) if rights.contains(Rights::RECEIVE) => {
                endpoint.receiver_removed();
            }
            Self::Notification(notification) => notification.handle_removed(),
            Self::Irq(irq) => irq.handle_removed(),
            Self::Reply(reply) => reply.abandon(),
            _ => {}
        }
    }
}

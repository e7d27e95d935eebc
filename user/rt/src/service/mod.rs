//! The protocols between programs: one file each, with the client's side and the server's.
//!
//! All of them have the same shape. A request's label says protocol, version and operation
//! ([`operation`]); a reply's label is 0, or an [`Error`]. What is short travels in the words; what is
//! long in memory that the client makes and gives the server once, when it connects ([`session`]): so a
//! transfer costs the client's quota and no one else's, and a server never holds what it did not ask
//! for. A server believes nothing: a request it does not understand, too long, out of range, with
//! handles of a wrong kind, gets an error as its reply and changes nothing.
//!
//! | protocol | who serves it | who uses it |
//! |---|---|---|
//! | [`supervisor`] | init | everybody: it knows the others by name |
//! | [`console`] | the UART's driver | everybody who prints |
//! | [`files`] | the ram file system, the FAT service | the shell, programs with files |
//! | [`block`] | the disk's driver | the FAT service |

pub mod block;
pub mod console;
mod error;
pub mod files;
pub mod session;
pub mod supervisor;

pub use error::Error;

use crate::message::Message;
use crate::object::Endpoint;

/// The name of the grant that is the endpoint a service receives from.
pub const ENDPOINT_GRANT: &str = "endpoint";

/// The label of a request: 16 bits of protocol, 8 of its version, 8 of operation.
pub const fn operation(protocol: u16, version: u8, operation: u8) -> u32 {
    (protocol as u32) << 16 | (version as u32) << 8 | operation as u32
}

/// An endpoint of the service with that name: asked of the supervisor, or, where there is none, what
/// this process was granted under the name. After [`Error::is_gone`], ask again: it may have been
/// started anew.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotPermitted`] if this program may not use it.
pub fn find(name: &str) -> Result<Endpoint, Error> {
    if let Some(supervisor) = supervisor::Supervisor::own() {
        return supervisor.lookup(name);
    }
    let granted = crate::start::borrow::<Endpoint>(name).ok_or(Error::NotFound)?;
    Ok(granted.sender(0)?)
}

/// The endpoint that this process, a service, is to receive from: the grant `endpoint`, which the
/// supervisor makes anew for each start.
///
/// # Errors
/// [`Error::NotFound`] if it is no service, or took it already.
pub fn take_endpoint() -> Result<Endpoint, Error> {
    crate::start::take(ENDPOINT_GRANT).ok_or(Error::NotFound)
}

/// Calls, and makes an error of a reply that is one.
///
/// # Errors
/// The kernel's, or the server's.
pub fn request(endpoint: &Endpoint, message: Message) -> Result<Message, Error> {
    let reply = endpoint.call(message)?;
    match Error::from_label(reply.label()) {
        None => Ok(reply),
        Some(error) => Err(error),
    }
}

/// The reply that says that all went well.
pub fn done() -> Message {
    Message::new(0)
}

/// The reply that says why not.
pub fn refused(error: Error) -> Message {
    Message::new(error.label())
}

/// A result as a reply.
pub fn answer(result: Result<Message, Error>) -> Message {
    result.unwrap_or_else(refused)
}

//! Endpoints and replies: how programs talk.
//!
//! A client calls and waits; a server receives, answers, and receives again, in one system call. The loop
//! that every server has is [`Endpoint::serve`].

use abi::handle::Rights;

use super::object;
use crate::Error;
use crate::message::{Incoming, Message};
use crate::object::{Object, Owned};
use crate::syscall::{Call, MessageRegisters, message, plain};
use crate::time::Deadline;

object! {
    /// Where messages are sent to and received from.
    Endpoint
}

object! {
    /// The right to answer one call, once. Dropped unused, the caller is told [`Error::Gone`].
    Reply
}

/// What a server does about what it received.
#[derive(Debug)]
pub enum Answer {
    /// Replies to the caller. A message that was sent without waiting gets none.
    Reply(Message),
    /// Nobody waits for an answer now: it was bits, or the reply was saved.
    Later,
    /// The server ends.
    Stop,
}

impl Endpoint {
    /// A new endpoint, with all rights.
    ///
    /// # Errors
    /// [`Error::NoMemory`], [`Error::TooMany`].
    pub fn create() -> Result<Self, Error> {
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::EndpointCreate, []) }?;
        Ok(Self::assume(Owned::new(abi::handle::Handle(handle as u32))))
    }

    /// A handle to send and call with, which may be passed on; what is sent with it carries `badge` (0:
    /// none, and one can be put on it later).
    ///
    /// # Errors
    /// [`Owned::duplicate`].
    pub fn sender(&self, badge: u64) -> Result<Self, Error> {
        let rights = Rights::SEND
            .with(Rights::CALL)
            .with(Rights::DUPLICATE)
            .with(Rights::TRANSFER);
        self.owned().duplicate(rights, badge).map(Self::assume)
    }

    /// Sends a message and waits for the reply, however long that takes.
    ///
    /// # Errors
    /// [`Error::Gone`] if nobody can receive any more; [`Error::NoRight`], [`Error::BadHandle`].
    pub fn call(&self, sent: Message) -> Result<Message, Error> {
        self.call_until(sent, Deadline::FOREVER)
    }

    /// As [`Endpoint::call`], no longer than until the deadline.
    ///
    /// # Errors
    /// As [`Endpoint::call`]; [`Error::TimedOut`].
    pub fn call_until(&self, sent: Message, deadline: Deadline) -> Result<Message, Error> {
        let mut registers = sent.registers(self.handle(), deadline.ticks());
        message(Call::MessageCall, &mut registers)?;
        sent.given();
        Ok(Message::from_registers(&registers))
    }

    /// Sends a message that is not answered; waits until somebody has received it.
    ///
    /// # Errors
    /// As [`Endpoint::call_until`].
    pub fn send(&self, sent: Message, deadline: Deadline) -> Result<(), Error> {
        let mut registers = sent.registers(self.handle(), deadline.ticks());
        message(Call::Send, &mut registers)?;
        sent.given();
        Ok(())
    }

    /// Waits for a message, or for bits of the thread's bound notification.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::NoRight`], [`Error::BadHandle`].
    pub fn receive(&self, deadline: Deadline) -> Result<Incoming, Error> {
        let mut registers = MessageRegisters {
            target: self.handle(),
            deadline_ticks: deadline.ticks(),
            ..MessageRegisters::default()
        };
        message(Call::Receive, &mut registers)?;
        Ok(Incoming::from_registers(&registers))
    }

    /// Replies to the caller this thread received from last, and waits for the next message.
    ///
    /// # Errors
    /// As [`Endpoint::receive`].
    pub fn reply_receive(&self, reply: Message, deadline: Deadline) -> Result<Incoming, Error> {
        let mut registers = reply.registers(self.handle(), deadline.ticks());
        message(Call::ReplyReceive, &mut registers)?;
        reply.given();
        Ok(Incoming::from_registers(&registers))
    }

    /// Receives, and answers as `answer` says, until it says [`Answer::Stop`].
    ///
    /// # Errors
    /// Why nothing can be received any more.
    pub fn serve(&self, mut answer: impl FnMut(Incoming) -> Answer) -> Result<(), Error> {
        let mut incoming = self.receive(Deadline::FOREVER)?;
        loop {
            incoming = match answer(incoming) {
                Answer::Stop => return Ok(()),
                Answer::Later => self.receive(Deadline::FOREVER)?,
                Answer::Reply(reply) => match self.reply_receive(reply, Deadline::FOREVER) {
                    Ok(incoming) => incoming,
                    // The reply could not be given, such as handles to a full table. The caller is told
                    // so, if it is still there, and the server goes on.
                    Err(error) => {
                        let _ = reply_to_caller(Message::new(error as u32));
                        self.receive(Deadline::FOREVER)?
                    }
                },
            };
        }
    }
}

impl Reply {
    /// The caller this thread received from last, to be answered later, by any thread.
    ///
    /// # Errors
    /// [`Error::NoCaller`] if it was answered, or sent without waiting.
    pub fn save() -> Result<Self, Error> {
        // SAFETY: the call writes no memory.
        let [handle, ..] = unsafe { plain(Call::SaveReply, []) }?;
        Ok(Self::assume(Owned::new(abi::handle::Handle(handle as u32))))
    }

    /// Answers.
    ///
    /// # Errors
    /// [`Error::Gone`] if the caller has ended or no longer waits.
    pub fn reply(self, reply: Message) -> Result<(), Error> {
        let mut registers = reply.registers(self.handle(), 0);
        message(Call::Reply, &mut registers)?;
        reply.given();
        Owned::from(self).leak();
        Ok(())
    }
}

/// Answers the caller this thread received from last.
///
/// # Errors
/// [`Error::NoCaller`], [`Error::Gone`].
pub fn reply_to_caller(reply: Message) -> Result<(), Error> {
    let mut registers = reply.registers(abi::handle::Handle::NONE, 0);
    message(Call::Reply, &mut registers)?;
    reply.given();
    Ok(())
}

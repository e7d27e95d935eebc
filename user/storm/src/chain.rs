//! A message through four processes: each link must know by the badge who called, adds it up, and hands a
//! memory on, which the last one reads and writes.

use rt::object::{MemoryKind, Object, PAGE, reply_to_caller};
use rt::time::Deadline;
use rt::{Endpoint, Incoming, Memory, Message, Rights};

use crate::board::Post;
use crate::{Wrong, ensure};

/// Go on.
const PASS: u32 = 1;
/// End, and tell the next.
const STOP: u32 = 2;
/// How many links there are behind the head.
pub(crate) const LINKS: u64 = 3;
/// How the badge of the way to link n is made.
const BADGE: u64 = 0x5707_0000;

/// The badge on the way to link `link`, from 1.
pub(crate) const fn badge(link: u64) -> u64 {
    BADGE + link
}

/// The first: asks, and looks at what comes back.
pub(crate) fn head(post: &Post) -> Result<(), Wrong> {
    let next: Endpoint = post.grant("next")?;
    let both = Rights::READ.with(Rights::WRITE);
    let memory = Memory::create(PAGE as usize, MemoryKind::Normal)?;
    let page = memory.map(both)?;
    let sum: u64 = (1..=LINKS).map(badge).sum();
    let mut round = 0_u64;
    let worked = post.work(|| {
        round += 1;
        let number = post.random.number();
        let mut sent = Message::new(PASS).word(number).word(0);
        // Without handles it travels on the fastpath.
        let with_memory = round.is_multiple_of(4);
        if with_memory {
            page.write(0, &number.to_le_bytes());
            let rights = both.with(Rights::TRANSFER).with(Rights::INSPECT);
            sent = sent.give(memory.duplicate(rights)?);
        }
        let mut reply = next.call(sent)?;
        ensure!(
            reply.words() == [!number, sum],
            "a message came back as {:x?}, sent was {number:#x}, and the badges are {sum:#x}",
            reply.words()
        );
        if with_memory {
            let mut word = [0; 8];
            page.read(0, &mut word);
            let word = u64::from_le_bytes(word);
            ensure!(
                word == !number,
                "the memory that was passed on has {word:#x}"
            );
            ensure!(reply.take(0).is_some(), "the memory did not come back");
        }
        post.events(LINKS);
        Ok(())
    });
    worked?;
    // The others wait for it.
    next.call(Message::new(STOP))?;
    Ok(())
}

/// Every other one: the CPU it was given is its number in the chain.
pub(crate) fn link(post: &Post) -> Result<(), Wrong> {
    let inbox: Endpoint = post.grant("inbox")?;
    let next = rt::start::take::<Endpoint>("next");
    let own = badge(post.cpu as u64);
    let mut incoming = inbox.receive(Deadline::FOREVER)?;
    loop {
        let Incoming::Message(mut asked, from) = incoming else {
            return Err(Wrong::from("what arrived is no message"));
        };
        ensure!(
            from == own,
            "a message came with badge {from:#x}, not {own:#x}"
        );
        if asked.label() == STOP {
            if let Some(next) = next {
                next.call(Message::new(STOP))?;
            }
            return Ok(reply_to_caller(Message::new(STOP))?);
        }
        let (number, sum) = (asked.word_at(0), asked.word_at(1) + own);
        let mut memory = asked.take(0);
        let reply = match &next {
            None => {
                if let Some(owned) = memory.take() {
                    memory = Some(use_memory(Memory::from_owned(owned)?, number)?.into());
                }
                Message::new(PASS).word(!number).word(sum)
            }
            Some(next) => {
                let mut sent = Message::new(PASS).word(number).word(sum);
                if let Some(memory) = memory.take() {
                    sent = sent.give(memory);
                }
                let mut answer = next.call(sent)?;
                memory = answer.take(0);
                Message::new(PASS)
                    .word(answer.word_at(0))
                    .word(answer.word_at(1))
            }
        };
        let reply = match memory {
            Some(memory) => reply.give(memory),
            None => reply,
        };
        post.count();
        incoming = inbox.reply_receive(reply, Deadline::FOREVER)?;
    }
}

fn use_memory(memory: Memory, number: u64) -> Result<Memory, Wrong> {
    let page = memory.map(Rights::READ.with(Rights::WRITE))?;
    let mut word = [0; 8];
    page.read(0, &mut word);
    let found = u64::from_le_bytes(word);
    ensure!(
        found == number,
        "the memory has {found:#x}, not {number:#x}"
    );
    page.write(0, &(!number).to_le_bytes());
    Ok(memory)
}

//! The block service as a disk that does not go away.
//!
//! The driver may die and be started anew at any moment: then a request is answered "gone", and so
//! would be all others on that session. A read or write of whole sectors does the same when it is done
//! twice, so the driver is looked up again under its name, which gives its successor, and the request
//! is made once more. What fails then as well is an error.

// ANCHOR: retry
use core::fmt;

use hadris_io::{Error as IoError, ErrorKind, ErrorType};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};
use rt::println;
use rt::service::Error;
use rt::service::block::{Block, Geometry};
use rt::time::{Duration, now, sleep};

/// How long a driver may go on dying as soon as it is talked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before talking to the next one.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A disk, by the name of its service.
pub(crate) struct Disk {
    name: &'static str,
    block: Block,
    geometry: Geometry,
}

impl Disk {
    /// Connects to the service of that name.
    ///
    /// # Errors
    /// As [`Block::connect`].
    pub(crate) fn connect(name: &'static str) -> Result<Self, Error> {
        let block = patient(name)?;
        let geometry = block.geometry();
        Ok(Self {
            name,
            block,
            geometry,
        })
    }

    /// How large it is.
    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Makes a request, and once more if the driver died meanwhile.
    fn request(
        &mut self,
        mut what: impl FnMut(&mut Block) -> Result<(), Error>,
    ) -> Result<(), IoError<Error>> {
        match what(&mut self.block) {
            Err(error) if error.is_gone() => {
                self.reconnect().map_err(failed)?;
                what(&mut self.block).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Finds the driver's successor. It must have the same disk.
    fn reconnect(&mut self) -> Result<(), Error> {
        let began = now();
        self.block = patient(self.name)?;
        let (name, ms) = (rt::start::name(), began.elapsed().as_millis());
        println!("{name}: {} is back after {ms} ms", self.name);
        match self.block.geometry() == self.geometry {
            true => Ok(()),
            false => Err(Error::Device),
        }
    }
}

/// Connects to the service of that name. One that has just died has a successor, or will be found no
/// more.
fn patient(name: &str) -> Result<Block, Error> {
    let began = now();
    loop {
        match Block::connect(name) {
            Err(error) if error.is_gone() && began.elapsed() < PATIENCE => sleep(BETWEEN_LOOKS),
            connected => return connected,
        }
    }
}
// ANCHOR_END: retry

fn failed(error: Error) -> IoError<Error> {
    IoError::device(error, error.text())
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({})", self.name)
    }
}

impl ErrorType for Disk {
    type Error = Error;
}

impl BlockDevice for Disk {
    fn block_size(&self) -> BlockSize {
        // `Block` has checked that it is at least 512, so the other size is never taken.
        BlockSize::new(self.geometry.sector_bytes as u32).unwrap_or(SMALLEST)
    }

    fn block_count(&self) -> u64 {
        self.geometry.sectors
    }

    fn writable(&self) -> bool {
        !self.geometry.read_only
    }

    fn read_blocks(&mut self, first: BlockIndex, to: &mut [u8]) -> Result<(), IoError<Error>> {
        self.request(|block| block.read(first.get(), to))
    }

    fn write_blocks(&mut self, first: BlockIndex, from: &[u8]) -> Result<(), IoError<Error>> {
        if self.geometry.read_only {
            return Err(ErrorKind::ReadOnly.into());
        }
        self.request(|block| block.write(first.get(), from))
    }

    fn flush(&mut self) -> Result<(), IoError<Error>> {
        self.request(Block::flush)
    }
}

const SMALLEST: BlockSize = match BlockSize::new(512) {
    Some(size) => size,
    None => panic!("512 is a size"),
};

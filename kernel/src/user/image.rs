//! The init image, and the first program in it.
//!
//! The image is RAM that the boot loader filled and the memory plan left out of the free frames. It is mapped
//! here, read-only, at its place in the linear map, for ever. Whoever made it is not trusted: what is
//! wrong with it is a sentence, and the boot ends with that.

use crate::mm::{self, PAGE, table};
use crate::start;
use abi::memory::{USER_END, USER_START};
use boot::Region;
use core::fmt;
use initrd::cpio::{self, Archive};
use initrd::flat::{self, Access, Program};

/// What the first program is called in the image.
pub(crate) const NAME: &str = "init";

/// The first program, and the image it comes from.
pub(crate) struct First {
    /// Where it begins, and what goes where. Its segments are whole pages below [`USER_END`], apart from each
    /// other.
    pub(crate) program: Program<'static>,
    /// The pages that the image lies in, for whoever serves its files.
    pub(crate) pages: Region,
}

/// Finds the first program. Once: the image is mapped by this. `Process`.
///
/// # Errors
/// [`ImageError`]; its `Display` is one line for the person at the console.
pub(crate) fn find() -> Result<First, ImageError> {
    let image = start::info()
        .initrd
        .filter(|image| !image.is_empty())
        .ok_or(ImageError::None)?;
    let pages = whole_pages(image)
        .filter(|pages| pages.end() <= mm::LINEAR_BYTES)
        .ok_or(ImageError::Place(image))?;
    let at = mm::LINEAR + pages.base();
    table::map(at, pages.base(), pages.size(), table::RODATA).map_err(ImageError::Unmapped)?;
    let start = (mm::LINEAR + image.base()) as *const u8;
    // SAFETY: just mapped, for ever, and never written: the memory plan keeps it from the frames.
    let bytes = unsafe { core::slice::from_raw_parts(start, image.size() as usize) };

    let file = Archive::new(bytes)
        .find(NAME)
        .map_err(ImageError::Archive)?;
    let file = file.ok_or(ImageError::NoProgram)?;
    let program = Program::parse(file.bytes).map_err(ImageError::Program)?;
    let outside =
        |segment: &flat::Segment<'_>| segment.address < USER_START || segment.end() > USER_END;
    if let Some(segment) = program.segments().find(outside) {
        return Err(ImageError::Address(segment.access));
    }
    Ok(First { program, pages })
}

/// The whole pages that `region` lies in.
fn whole_pages(region: Region) -> Option<Region> {
    let start = region.base() - region.base() % PAGE;
    Region::from_bounds(start, region.end().checked_next_multiple_of(PAGE)?)
}

/// Why there is no first program.
pub(crate) enum ImageError {
    /// The boot loader gave no init image.
    None,
    /// The init image is where the kernel cannot map it.
    Place(Region),
    /// It could not be mapped.
    Unmapped(table::MapError),
    /// It is damaged before the first program.
    Archive(cpio::Error),
    /// The first program is not in it.
    NoProgram,
    /// The first program is none.
    Program(flat::Error),
    /// A segment of it is not in user space.
    Address(Access),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "no init image: there is no user space without one (QEMU: -initrd target/initrd.cpio)",
            ),
            Self::Place(region) => write!(f, "init image: it is at {region}, beyond 256 GiB"),
            Self::Unmapped(error) => write!(f, "init image: it cannot be mapped: {error}"),
            Self::Archive(error) => write!(f, "init image: {error}"),
            Self::NoProgram => write!(f, "init image: there is no file {NAME} in it"),
            Self::Program(error) => write!(f, "init image: {NAME}: {error}"),
            Self::Address(access) => {
                write!(f, "init image: {NAME}: its {} is not in user space", access.name())
            }
        }
    }
}

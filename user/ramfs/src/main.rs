#![no_std]
#![no_main]
//! The file service `files`: the init image's files, and those that programs make.
//!
//! Grants: `endpoint`, to receive from; `initrd`, the image, with its length.

use ramfs_tree::Tree;
use rt::object::Memory;
use rt::service::{Error, files, take_endpoint};
use rt::{Rights, println};

rt::entry!(main);

/// How much all files together have that were made at run time.
const MADE_BYTES: usize = 8 << 20;

fn main() -> Result<(), Error> {
    let endpoint = take_endpoint()?;
    let (image, bytes) = rt::start::take_with_detail::<Memory>("initrd").ok_or(Error::NotFound)?;
    // SAFETY: the image is read-only for everybody.
    let image = unsafe { image.map(Rights::READ)?.leak_slice() };
    let image = image.get(..bytes as usize).unwrap_or(image);
    let mut tree = Tree::new(MADE_BYTES);
    if let Err(error) = tree.add_image(image) {
        // What came before the damage is served.
        println!("{}: the init image: {error}", rt::start::name());
    }
    files::serve(&endpoint, &mut tree)
}

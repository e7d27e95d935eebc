//! Device trees: from QEMU, from a boot loader, from a student's `-dtb`.

use boot::dt::{self, Event};
use boot::info::{self, BootInfo};

/// Validates the blob, and if it is sound, walks it as the kernel does.
pub(crate) fn body(bytes: &[u8]) -> bool {
    let blob = match dt::validate(bytes) {
        Ok(blob) => blob,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    assert!(blob.bytes().len() <= bytes.len());
    let mut cursor = blob.cursor();
    let (mut depth, mut first) = (0, None);
    loop {
        // It was validated: nothing in it is a surprise now.
        match cursor.step().expect("a valid blob") {
            Event::Begin { at, .. } => {
                depth += 1;
                assert!(depth <= dt::MAX_DEPTH);
                // Paths are found from the root; of a few nodes is enough.
                if depth > 1 && first.is_none() {
                    first = Some(at);
                }
            }
            Event::Property(property) => {
                let _ = (property.name(), property.is_empty(), property.len());
                let _ = (property.cell(), property.number(), property.text());
                assert!(property.texts().count() <= property.len() as usize);
            }
            Event::End => depth -= 1,
            Event::Finish => break,
        }
    }
    assert_eq!(depth, 0);
    if let Some(at) = first {
        let path = blob.path(at).to_string();
        assert!(path.starts_with('/'));
        assert!(blob.find(&path).is_some(), "{path} is not where it is");
    }
    assert!(blob.find("/").is_some());
    let _ = (blob.find("/chosen"), info::model(&blob));
    assert!(blob.reservations().count() * 16 <= bytes.len());
    match BootInfo::collect(&blob) {
        Ok(info) => {
            let _ = info.spare_spis(988).count();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    true
}

/// Trees that QEMU made.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../boot/tests/data/plain.dtb")[..],
        include_bytes!("../../boot/tests/data/secure.dtb"),
        include_bytes!("../../boot/tests/data/numa.dtb"),
        include_bytes!("../../boot/tests/data/gicv2.dtb"),
    ]
    .iter()
    .map(|blob| {
        // QEMU's are a mebibyte, of which almost all is room for more.
        let structure = 8 + be32(blob, 12) as usize + be32(blob, 32) as usize;
        blob[..structure.min(blob.len())].to_vec()
    })
    .collect()
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

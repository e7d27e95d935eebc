//! Set-up and run-time operations against memory: exact values at exact offsets, in order.

use super::{
    fake::{self, GICR_WAKER, Memory, PAGE, TYPER_VLPIS, distributor, redistributors, region},
    *,
};
use crate::mmio::journal;
use core::num::NonZeroUsize;
use std::{collections::BTreeMap, string::ToString, vec, vec::Vec};

const BOOT_CPU: Affinity = Affinity::from_mpidr(0x8000_0000);
const SGI_PAGE: usize = PAGE;

fn spi(number: u32) -> IntId {
    IntId::spi(number).unwrap()
}

/// The journal's writes to `memory`, as offset and value.
fn writes_to(memory: &mut Memory) -> Vec<(usize, u64)> {
    let start = memory.address(0);
    let range = start..start + memory.len_bytes();
    let inside = journal::take()
        .into_iter()
        .filter(|(address, _)| range.contains(address));
    inside
        .map(|(address, value)| (address - start, value))
        .collect()
}

fn repeated(offset: usize, count: usize, value: u64) -> Vec<(usize, u64)> {
    (0..count)
        .map(|index| (offset + 4 * index, value))
        .collect()
}

#[test]
fn distributor_set_up_writes_this_and_in_this_order() {
    let mut gicd = distributor(64);
    gicd.set32(0x0, 0x43); // firmware left both groups on
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    assert_eq!(gic.distributor().spi_count(), 64);
    let to = Affinity::from_mpidr(0x1_0000_0203);
    gic.distributor().init(Groups::ALL_IRQ, to).unwrap();

    let routers = (0..64).map(|n| (0x6100 + 8 * n, 0x1_0000_0203));
    let expected = [
        vec![(0x0, 0x40), (0x0, 0x50)],
        repeated(0x184, 2, 0xffff_ffff),  // ICENABLER
        repeated(0x284, 2, 0xffff_ffff),  // ICPENDR
        repeated(0x384, 2, 0xffff_ffff),  // ICACTIVER
        repeated(0x084, 2, 0xffff_ffff),  // IGROUPR
        repeated(0x420, 16, 0xc0c0_c0c0), // IPRIORITYR
        repeated(0xc08, 4, 0),            // ICFGR
        routers.collect(),
        vec![(0x0, 0x52)],
    ];
    assert_eq!(writes_to(&mut gicd), expected.concat());
}

#[test]
fn ordinary_interrupts_in_group_zero() {
    let mut gicd = distributor(32);
    let mut gicr = redistributors(&[0], 2, 0);
    let mut gic = fake::gic(&mut gicd, &[region(&mut gicr)]).unwrap();
    gic.distributor()
        .init(Groups::ORDINARY_FIQ, BOOT_CPU)
        .unwrap();
    gic.distributor()
        .configure(spi(5), Class::Nmi, Trigger::Edge)
        .unwrap();
    gic.redistributor(BOOT_CPU).unwrap().init().unwrap();

    assert_eq!(gicd.get32(0x0), 0x53, "both groups on");
    assert_eq!(gicd.get32(0x084), 1 << 5, "only the NMI is in Group 1");
    assert_eq!(gicr.get32(SGI_PAGE + 0x080), 0);
}

#[test]
fn group_zero_is_refused_where_it_is_not_ours() {
    let mut gicd = distributor(32);
    gicd.set32(0x0, 0); // DS = 0
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    assert_eq!(gic.distributor().security(), Security::TwoStates);
    for groups in [Groups::ORDINARY_FIQ, Groups::NMI_FIQ] {
        let refused = gic.distributor().init(groups, BOOT_CPU).unwrap_err();
        assert_eq!(refused, GicError::Group0NotOurs);
    }
    assert_eq!(journal::take(), [], "refused before anything was written");
    gic.distributor().init(Groups::ALL_IRQ, BOOT_CPU).unwrap();
    assert_eq!(
        gicd.get32(0x0),
        0x12,
        "ARE_NS and EnableGrp1A, at their non-secure places"
    );
}

#[test]
fn a_distributor_that_refuses_affinity_routing() {
    let mut gicd = distributor(32);
    journal::freeze(gicd.address(0), 1 << 4);
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    let refused = gic
        .distributor()
        .init(Groups::ALL_IRQ, BOOT_CPU)
        .unwrap_err();
    assert_eq!(refused, GicError::NoAffinityRouting);
    assert!(
        writes_to(&mut gicd)
            .iter()
            .all(|(_, control)| control & 0b11 == 0)
    );
}

#[test]
fn a_distributor_that_never_settles() {
    let mut gicd = distributor(32);
    journal::freeze(gicd.address(0), 1 << 31);
    gicd.set32(0x0, 1 << 31 | 1 << 6);
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    let stuck = gic
        .distributor()
        .init(Groups::ALL_IRQ, BOOT_CPU)
        .unwrap_err();
    assert_eq!(stuck.to_string(), "GIC distributor: CTLR.RWP did not clear");
}

#[test]
fn something_else_at_the_address() {
    let mut gicv2 = Memory::pages(1);
    gicv2.set32(0xffe8, 0x2b);
    let refused = fake::gic(&mut gicv2, &[]).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "GIC distributor: architecture revision 2, not 3 or 4"
    );

    let mut gicd = distributor(32);
    let mut good = redistributors(&[0], 2, 0);
    let mut bad = Memory::pages(2);
    let regions = [region(&mut good), region(&mut bad)];
    let mut gic = fake::gic(&mut gicd, &regions).unwrap();
    let refused = gic.redistributor(Affinity::from_mpidr(1)).err().unwrap();
    assert_eq!(
        refused,
        GicError::WrongRevision {
            region: Some(1),
            revision: 0
        }
    );
}

#[test]
fn one_line_is_configured_without_touching_its_neighbours() {
    let mut gicd = distributor(64);
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    gic.distributor().init(Groups::NMI_FIQ, BOOT_CPU).unwrap();
    gic.distributor()
        .configure(spi(33), Class::Nmi, Trigger::Edge)
        .unwrap();
    gic.distributor()
        .route(spi(33), Affinity::from_mpidr(0x103))
        .unwrap();

    assert_eq!(
        [gicd.get32(0x084), gicd.get32(0x088)],
        [0xffff_ffff, !(1 << 1)]
    );
    assert_eq!(gicd.get32(0x400 + 64), 0xc0c0_20c0);
    assert_eq!(gicd.get32(0xc00 + 16), 1 << 3);
    assert_eq!(gicd.get64(0x6000 + 8 * 65), 0x103);
    assert_eq!(gicd.get64(0x6000 + 8 * 64), 0);

    gic.distributor()
        .configure(spi(33), Class::Ordinary, Trigger::Level)
        .unwrap();
    assert_eq!(gicd.get32(0x088), 0xffff_ffff);
    assert_eq!(gicd.get32(0x400 + 64), 0xc0c0_c0c0);
    assert_eq!(gicd.get32(0xc00 + 16), 0);
}

#[test]
fn lines_of_other_frames_are_refused() {
    let mut gicd = distributor(64);
    let mut gicr = redistributors(&[0], 2, 0);
    let mut gic = fake::gic(&mut gicd, &[region(&mut gicr)]).unwrap();
    let beyond = spi(64);
    let message = "GIC distributor: has no SPI 64";
    let shared = gic.distributor().lines();
    assert_eq!(shared.line(beyond).err().unwrap().to_string(), message);
    let configured = gic
        .distributor()
        .configure(beyond, Class::Nmi, Trigger::Edge);
    assert_eq!(configured.unwrap_err().to_string(), message);
    assert_eq!(
        gic.distributor()
            .route(beyond, BOOT_CPU)
            .unwrap_err()
            .to_string(),
        message
    );
    let sgi = IntId::sgi(3).unwrap();
    assert!(gic.distributor().lines().line(sgi).is_err());
    assert!(gic.distributor().route(sgi, BOOT_CPU).is_err());
    let private = gic.redistributor(BOOT_CPU).unwrap().lines();
    let refused = private.line(spi(0)).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "GIC redistributor of CPU 0x0: has no SPI 0"
    );
    assert!(private.line(IntId::from_raw(8192).unwrap()).is_err());
    assert_eq!(journal::take(), []);
}

#[test]
fn redistributor_set_up_writes_this_and_in_this_order() {
    let mut gicd = distributor(32);
    let mut gicr = redistributors(&[0, 1], 2, 0);
    let mut gic = fake::gic(&mut gicd, &[region(&mut gicr)]).unwrap();
    gic.redistributor(Affinity::from_mpidr(1))
        .unwrap()
        .init()
        .unwrap();

    let frame = 2 * PAGE;
    let sgi = frame + SGI_PAGE;
    let expected = [
        vec![(frame + GICR_WAKER, 0)],
        vec![(sgi + 0x180, 0xffff_ffff)],
        vec![(sgi + 0x280, 0xffff_ffff)],
        vec![(sgi + 0x380, 0xffff_ffff)],
        vec![(sgi + 0x080, 0xffff_ffff)],
        repeated(sgi + 0x400, 8, 0xc0c0_c0c0),
        repeated(sgi + 0xc00, 2, 0),
    ];
    assert_eq!(writes_to(&mut gicr), expected.concat());
}

#[test]
fn a_private_line_is_configured() {
    let mut gicd = distributor(32);
    let mut gicr = redistributors(&[0], 2, 0);
    let mut gic = fake::gic(&mut gicd, &[region(&mut gicr)]).unwrap();
    gic.distributor().init(Groups::NMI_FIQ, BOOT_CPU).unwrap();
    let mut redistributor = gic.redistributor(BOOT_CPU).unwrap();
    redistributor.init().unwrap();
    let ppi = IntId::ppi(7).unwrap();
    redistributor
        .configure(ppi, Class::Nmi, Trigger::Edge)
        .unwrap();
    let line = redistributor.lines().line(ppi).unwrap();
    line.enable();
    assert_eq!((line.interrupt(), line.priority()), (ppi, 0x20));

    assert_eq!(gicr.get32(SGI_PAGE + 0x080), !(1 << 23));
    assert_eq!(gicr.get32(SGI_PAGE + 0x400 + 20), 0x20c0_c0c0);
    assert_eq!(gicr.get32(SGI_PAGE + 0xc04), 1 << 15);
    assert_eq!(gicr.get32(SGI_PAGE + 0x100), 1 << 23);
}

#[test]
fn stuck_redistributors_name_the_cpu_and_the_step() {
    let mut gicd = distributor(32);
    let mut gicr = redistributors(&[0x100, 0x101], 2, 0);
    gicr.set32(GICR_WAKER, 0b110); // children asleep, and no GIC to wake them
    gicr.set32(2 * PAGE, 1 << 3); // RWP
    let mut gic = fake::gic(&mut gicd, &[region(&mut gicr)]).unwrap();
    let mut init = |mpidr| {
        let mut redistributor = gic.redistributor(Affinity::from_mpidr(mpidr)).unwrap();
        redistributor.init().unwrap_err().to_string()
    };
    let asleep = "GIC redistributor of CPU 0x100: WAKER.ChildrenAsleep did not clear";
    assert_eq!(init(0x100), asleep);
    assert_eq!(
        init(0x101),
        "GIC redistributor of CPU 0x101: CTLR.RWP did not clear"
    );
    // A line must not be reconfigured while its disabling is under way.
    let last_write = writes_to(&mut gicr).pop();
    assert_eq!(last_write, Some((2 * PAGE + SGI_PAGE + 0x180, 0xffff_ffff)));
}

#[test]
fn redistributors_are_found_by_affinity_over_two_regions() {
    let near = [0x000, 0x001, 0x100, 0x101];
    let far = [0x1_0000_0000, 0x5_0002_0304];
    let mut gicd = distributor(32);
    let mut first = redistributors(&near, 2, 0);
    let mut second = redistributors(&far, 4, TYPER_VLPIS);
    let regions = [region(&mut first), region(&mut second)];
    let mut gic = fake::gic(&mut gicd, &regions).unwrap();
    let mut found = BTreeMap::new();
    for mpidr in near.into_iter().chain(far) {
        // As MPIDR_EL1 reads: with its RES1 bit.
        let cpu = Affinity::from_mpidr(mpidr | 1 << 31);
        let lines = gic.redistributor(cpu).unwrap().lines();
        lines.line(IntId::sgi(1).unwrap()).unwrap().enable();
        let (address, _) = journal::take()[0];
        found.insert(mpidr, address);
    }
    for (index, mpidr) in near.into_iter().enumerate() {
        assert_eq!(
            found[&mpidr],
            first.address(index * 2 * PAGE + SGI_PAGE + 0x100)
        );
    }
    for (index, mpidr) in far.into_iter().enumerate() {
        assert_eq!(
            found[&mpidr],
            second.address(index * 4 * PAGE + SGI_PAGE + 0x100)
        );
    }
    let missing = gic
        .redistributor(Affinity::from_mpidr(0x102))
        .err()
        .unwrap();
    assert_eq!(
        missing.to_string(),
        "GIC: no redistributor has the MPIDR of CPU 0x102"
    );
}

#[test]
fn a_stride_from_the_device_tree() {
    let mut gicd = distributor(32);
    let mut memory = redistributors(&[0, 1, 2], 3, 0);
    let region = Region {
        stride_bytes: NonZeroUsize::new(3 * PAGE),
        ..region(&mut memory)
    };
    let mut gic = fake::gic(&mut gicd, &[region]).unwrap();
    for mpidr in 0..3 {
        assert!(gic.redistributor(Affinity::from_mpidr(mpidr)).is_ok());
    }
}

#[test]
fn the_walk_ends_with_the_last_frame_and_with_the_region() {
    let mut gicd = distributor(32);
    // Behind the last frame lies something that is no redistributor.
    let mut memory = redistributors(&[0, 1], 2, 0);
    let mut longer = Memory::pages(6);
    for offset in (0..memory.len_bytes()).step_by(4) {
        longer.set32(offset, memory.get32(offset));
    }
    let mut gic = fake::gic(&mut gicd, &[region(&mut longer)]).unwrap();
    let missing = GicError::NoRedistributor(Affinity::from_mpidr(2));
    assert_eq!(
        gic.redistributor(Affinity::from_mpidr(2)).err(),
        Some(missing)
    );

    // A region that ends before the frame does.
    let short = Region {
        len_bytes: 4 * PAGE - 1,
        ..region(&mut memory)
    };
    let mut gic = fake::gic(&mut gicd, &[short]).unwrap();
    let missing = GicError::NoRedistributor(Affinity::from_mpidr(1));
    assert_eq!(
        gic.redistributor(Affinity::from_mpidr(1)).err(),
        Some(missing)
    );
}

#[test]
fn too_many_regions() {
    let mut gicd = distributor(32);
    let mut memory = redistributors(&[0], 2, 0);
    let regions = [region(&mut memory); MAX_REGIONS + 1];
    let refused = fake::gic(&mut gicd, &regions).err().unwrap();
    assert_eq!(refused, GicError::TooManyRegions { given: 9 });
}

#[test]
fn every_run_time_operation_is_one_write_to_its_own_register() {
    let mut gicd = distributor(992); // ITLinesNumber at its highest: 988 SPIs
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    let lines = gic.distributor().lines();
    assert_eq!(lines.intids(), 32..1020);
    for intid in lines.intids() {
        let line = lines.line(IntId::from_raw(intid).unwrap()).unwrap();
        line.enable();
        line.disable();
        line.set_pending();
        line.clear_pending();
        line.set_priority(Class::Nmi);
        line.set_priority(Class::Ordinary);
        let (word, mask) = (4 * (intid as usize / 32), 1 << (intid % 32));
        let priority = 0x400 + intid as usize;
        let expected = [
            (0x100 + word, mask),
            (0x180 + word, mask),
            (0x200 + word, mask),
            (0x280 + word, mask),
            (priority, 0x20),
            (priority, 0xc0),
        ];
        assert_eq!(writes_to(&mut gicd), expected, "INTID {intid}");
    }
}

#[test]
fn states_are_read_where_they_are() {
    let mut gicd = distributor(64);
    let mut gic = fake::gic(&mut gicd, &[]).unwrap();
    let lines = gic.distributor().lines();
    let (ours, neighbour) = (lines.line(spi(9)).unwrap(), lines.line(spi(8)).unwrap());
    type State = fn(&Line) -> bool;
    let states: [(State, usize); 3] = [
        (Line::is_enabled, 0x104),
        (Line::is_pending, 0x204),
        (Line::is_active, 0x304),
    ];
    for (state, offset) in states {
        gicd.set32(offset, 1 << 9);
        assert!(state(&ours) && !state(&neighbour));
        gicd.set32(offset, 0);
        assert!(!state(&ours));
    }
}

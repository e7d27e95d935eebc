//! What is read of the trees that QEMU makes.

use crate::common::{GIC_V2, Node, PLAIN, REAL, boot_info};
use boot::Region;
use boot::dt::{Event, validate};
use boot::info::{BootInfo, Conduit, CpuStatus, EnableMethod, Intid, PsciVersion, Trigger};

fn region(base: u64, size: u64) -> Region {
    Region::new(base, size).unwrap()
}

fn numbers(intids: impl Iterator<Item = Intid>) -> Vec<u32> {
    intids.map(Intid::number).collect()
}

fn timer_numbers(info: &BootInfo<'_>) -> [u32; 4] {
    let timer = info.timer;
    [
        timer.secure_physical,
        timer.physical,
        timer.virtual_,
        timer.hypervisor,
    ]
    .map(|line| {
        assert_eq!(line.trigger, Trigger::Level);
        line.intid.number()
    })
}

#[test]
fn the_plain_machine() {
    let info = boot_info(PLAIN).unwrap();
    assert_eq!(info.memory, [region(0x4000_0000, 64 << 20)]);
    assert!(info.reserved.is_empty());
    assert_eq!(info.cpus.len(), 1);
    assert_eq!(info.cpus[0].mpidr, 0);
    assert_eq!(info.cpus[0].status, CpuStatus::Okay);
    assert_eq!(info.cpus[0].enable_method, None);
    assert_eq!(info.gic.distributor, region(0x0800_0000, 0x1_0000));
    assert_eq!(info.gic.redistributors, [region(0x080a_0000, 0xf6_0000)]);
    assert_eq!(info.gic.redistributor_stride, None);
    assert_eq!(info.gic.interrupt_cells, 3);
    assert_eq!(timer_numbers(&info), [29, 30, 27, 26]);
    assert_eq!(info.uart.registers, region(0x0900_0000, 0x1000));
    assert_eq!(info.uart.line.intid.number(), 33);
    assert_eq!(info.uart.line.trigger, Trigger::Level);
    let psci = info.psci.unwrap();
    assert_eq!(psci.conduit, Conduit::Hvc);
    assert_eq!(psci.version, PsciVersion::V1_0);
    assert_eq!(info.pmu.unwrap().intid.number(), 23);
    assert_eq!(info.bootargs, "run=storm:seconds=2 seed=7 mask=pmr");
    let initrd = info.initrd.unwrap();
    assert_eq!(initrd.size(), 70_000);
    assert!(info.memory[0].contains(initrd));
    assert_eq!(info.virtio.len(), 32);
    for (slot, i) in info.virtio.iter().zip(0..) {
        assert_eq!(slot.registers, region(0x0a00_0000 + 0x200 * i, 0x200));
        assert_eq!(u64::from(slot.line.intid.number()), 48 + i);
        assert_eq!(slot.line.trigger, Trigger::Edge);
    }
}

/// UART 1, RTC 2, PCI 3 to 6 (only in an `interrupt-map`), GPIO 7, virtio 16 to 47.
#[test]
fn the_spis_that_devices_claim() {
    let info = boot_info(PLAIN).unwrap();
    let spare = numbers(info.spare_spis(256));
    let expected: Vec<u32> = [0]
        .into_iter()
        .chain(8..16)
        .chain(48..256)
        .map(|spi| 32 + spi)
        .collect();
    assert_eq!(spare, expected);
    assert_eq!(info.claimed_spis.len(), 7 + 32);
    assert_eq!(info.spare_spis(256).next_back().unwrap().number(), 287);
    assert_eq!(
        info.spare_spis(u32::MAX).next_back().unwrap().number(),
        1019
    );
    assert_eq!(info.spare_spis(0).count(), 0);
}

#[test]
fn several_cpus_and_much_memory() {
    let info = boot_info(REAL[1].1).unwrap();
    assert_eq!(info.memory, [region(0x4000_0000, 8 << 30)]);
    let mpidrs: Vec<u64> = info.cpus.iter().map(|cpu| cpu.mpidr).collect();
    assert_eq!(mpidrs, [0, 1, 2, 3]);
    for cpu in &info.cpus {
        assert_eq!(cpu.enable_method, Some(EnableMethod::Psci));
    }
    assert_eq!(info.bootargs, "");
    assert_eq!(info.initrd, None);
}

/// What belongs to the secure world is disabled for us: a PL011, 16 MiB of RAM.
#[test]
fn the_secure_world_is_left_alone() {
    let info = boot_info(REAL[2].1).unwrap();
    assert_eq!(info.memory, [region(0x4000_0000, 128 << 20)]);
    assert_eq!(info.uart.registers.base(), 0x0900_0000);
    assert_eq!(info.uart.line.intid.number(), 33);
    // Its interrupt is a wire all the same.
    assert!(!numbers(info.spare_spis(256)).contains(&(32 + 8)));
}

#[test]
fn two_memory_nodes() {
    let mut memory = boot_info(REAL[3].1).unwrap().memory;
    memory.sort_unstable();
    let half = 64 << 20;
    assert_eq!(
        memory,
        [region(0x4000_0000, half), region(0x4000_0000 + half, half)]
    );
}

#[test]
fn a_gic_v2_is_refused_by_name() {
    assert_eq!(
        boot_info(GIC_V2).unwrap_err().to_string(),
        "device tree: /intc@8000000 is a GICv2, a GICv3 is needed (QEMU: -M virt,gic-version=3)"
    );
}

/// In whatever order the tree has its nodes: phandles point forwards, slots come backwards.
#[test]
fn order_changes_nothing() {
    for (name, bytes) in REAL {
        let mut tree = Node::read(bytes);
        tree.children.reverse();
        let copy = tree.blob();
        let (mut info, mut expected) = (boot_info(&copy).unwrap(), boot_info(bytes).unwrap());
        info.memory.sort_unstable();
        expected.memory.sort_unstable();
        assert_eq!(info, expected, "{name}");
    }
}

/// The same tree, written by another writer, with and without NOPs, reads the same.
#[test]
fn nops_change_nothing() {
    for (name, bytes) in REAL {
        let expected = boot_info(bytes).unwrap();
        for nops in [0, 1, 3] {
            let copy = Node::read(bytes).blob_with(&[], nops);
            assert_eq!(boot_info(&copy).unwrap(), expected, "{name}, {nops} NOPs");
        }
    }
}

/// Every node and property, as the `fdt` crate reads them.
#[test]
fn as_the_fdt_crate_reads_it() {
    for (name, bytes) in REAL.into_iter().chain([("gicv2", GIC_V2)]) {
        let mut ours = Vec::new();
        let mut cursor = validate(bytes).unwrap().cursor();
        loop {
            match cursor.step().unwrap() {
                Event::Begin { name, .. } => ours.push((name, Vec::new())),
                Event::Property(property) => {
                    let (_, properties) = ours.last_mut().unwrap();
                    properties.push((property.name(), property.value));
                }
                Event::End => {}
                Event::Finish => break,
            }
        }
        let tree = fdt::Fdt::new(bytes).unwrap();
        let theirs: Vec<_> = tree
            .all_nodes()
            .map(|node| {
                let name = node.name.trim_start_matches('/');
                (name, node.properties().map(|p| (p.name, p.value)).collect())
            })
            .collect();
        assert!(ours.len() > 40);
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Why the kernel does not read trees with it: at a NOP before the end of a node, as boot loaders
/// leave them, it stops without a word.
#[test]
fn the_fdt_crate_loses_nodes_behind_a_nop() {
    let count = |bytes: &[u8]| fdt::Fdt::new(bytes).unwrap().all_nodes().count();
    let nops = Node::plain().blob_with(&[], 1);
    assert!(count(&nops) < count(PLAIN) / 2);
}

#[test]
fn a_node_is_found_by_its_path() {
    let blob = validate(PLAIN).unwrap();
    for (path, full) in [
        ("/", "/"),
        ("/pl011@9000000", "/pl011@9000000"),
        ("/pl011", "/pl011@9000000"),
        ("/cpus/cpu@0", "/cpus/cpu@0"),
        ("/intc@8000000/its@8080000", "/intc@8000000/its@8080000"),
        ("/intc/its", "/intc@8000000/its@8080000"),
    ] {
        assert_eq!(blob.path(blob.find(path).unwrap()).to_string(), full);
    }
    for nowhere in [
        "",
        "pl011",
        "/pl",
        "/pl011@9",
        "/cpu@0",
        "/cpus/cpu@1",
        "/pl011/cpus",
        "/intc/cpu@0",
        "/cpus/its",
    ] {
        assert_eq!(blob.find(nowhere), None, "{nowhere}");
    }
}

//! Trees that are well-formed and say too little, too much, or nonsense. Each starts from the plain
//! machine and changes one thing; the message must name the node and the property.

use boot::Region;
use boot::info::{CpuStatus, EnableMethod, MAX_CPUS, PsciVersion};

use crate::common::{Node, boot_info, cells, changed, disabled, refusal, refused};

fn without(prefix: &str) -> Node {
    changed(|tree| tree.remove(prefix))
}

#[test]
fn what_is_missing_is_named() {
    for (prefix, message) in [
        (
            "memory@",
            "no enabled node /memory@... with a size (no RAM)",
        ),
        ("cpus", "no node /cpus/cpu@... (no CPU)"),
        (
            "timer",
            "no node compatible with \"arm,armv8-timer\" (no timer)",
        ),
        (
            "pl011@",
            "no enabled node compatible with \"arm,pl011\" (no console)",
        ),
    ] {
        assert_eq!(refusal(&without(prefix)), format!("device tree: {message}"));
    }
    // A tree in which nothing refers to the interrupt controller: otherwise that is the error.
    let root = Node::new("").child(Node::new("cpus"));
    assert_eq!(
        refusal(&root),
        "device tree: no node compatible with \"arm,gic-v3\" (no interrupt controller)"
    );
    assert_eq!(
        refusal(&without("intc@")),
        "device tree: no node compatible with \"arm,gic-v3\" (no interrupt controller)"
    );
}

#[test]
fn what_can_be_missing_is_none() {
    let tree = changed(|tree| {
        for name in ["psci", "pmu", "chosen", "aliases", "virtio_mmio@", "pcie@"] {
            if tree
                .children
                .iter()
                .any(|child| child.name.starts_with(name))
            {
                tree.remove(name);
            }
        }
    });
    let blob = tree.blob();
    let info = boot_info(&blob).unwrap();
    assert_eq!((info.psci, info.pmu, info.initrd), (None, None, None));
    assert_eq!(info.bootargs, "");
    assert!(info.virtio.is_empty());
    // UART, RTC, GPIO.
    assert_eq!(info.claimed_spis.len(), 3);
}

#[test]
fn a_disabled_node_is_not_there() {
    refused(
        |tree| disabled(tree.at("memory@40000000")),
        "no enabled node /memory",
        "",
    );
    refused(
        |tree| disabled(tree.at("pl011@9000000")),
        "no enabled node compatible",
        "",
    );
    refused(
        |tree| disabled(tree.at("intc@8000000")),
        "no node compatible with",
        "",
    );
    let tree = changed(|tree| disabled(tree.at("virtio_mmio@a000000")));
    assert_eq!(boot_info(&tree.blob()).unwrap().virtio.len(), 31);
}

#[test]
fn a_second_one_is_refused() {
    for (name, second) in [
        ("timer", "timer@2"),
        ("psci", "psci@2"),
        ("intc@8000000", "intc@2"),
    ] {
        let tree = changed(|tree| {
            let mut copy = tree.at(name).clone();
            copy.name = second.into();
            tree.children.push(copy);
        });
        assert_eq!(
            refusal(&tree),
            format!("device tree: /{second} is a second one of what /{name} is already")
        );
    }
}

#[test]
fn memory() {
    let node = "memory@40000000";
    refused(
        |t| t.at(node).unset("reg"),
        "/memory@40000000 has no \"reg\"",
        "",
    );
    let begins = "/memory@40000000: \"reg\" at offset 0x";
    for len in [1, 4, 12, 15, 17] {
        let ends = format!(": {len} bytes are not a whole number of 16-byte entries");
        refused(|t| t.at(node).set("reg", &vec![0; len]), begins, &ends);
    }
    let wrapping = cells(&[u32::MAX, u32::MAX, 0, 2]);
    refused(
        |t| t.at(node).set("reg", &wrapping),
        begins,
        ": the range ends before it begins",
    );
    refused(
        |t| t.at(node).set("reg", &[]),
        "no enabled node /memory",
        "",
    );
    refused(
        |t| t.at(node).set("reg", &[0; 16]),
        "no enabled node /memory",
        "",
    );

    let many = |count: u32| {
        cells(
            &(0..count)
                .flat_map(|i| [0, i << 16, 0, 1])
                .collect::<Vec<_>>(),
        )
    };
    let tree = changed(|t| t.at(node).set("reg", &many(32)));
    assert_eq!(boot_info(&tree.blob()).unwrap().memory.len(), 32);
    refused(
        |t| t.at(node).set("reg", &many(33)),
        "/memory@40000000: more than 32 ranges of memory",
        "",
    );
}

#[test]
fn cells_are_those_of_the_parent() {
    // The root of a 32-bit machine: one cell each.
    let tree = changed(|tree| {
        tree.set("#address-cells", &cells(&[1]));
        tree.set("#size-cells", &cells(&[1]));
        for child in &mut tree.children {
            let reg = child.properties.iter_mut().find(|(name, _)| name == "reg");
            if let Some((_, reg)) = reg {
                let low = reg.chunks(8).flat_map(|number| number[4..].to_vec());
                *reg = low.collect();
            }
        }
    });
    let expected = Node::plain().blob();
    assert_eq!(
        boot_info(&tree.blob()).unwrap(),
        boot_info(&expected).unwrap()
    );

    let begins = "/: \"#address-cells\" at offset 0x";
    for len in [0, 2, 8] {
        let ends = format!(": {len} bytes, expected 4");
        refused(|t| t.set("#address-cells", &vec![0; len]), begins, &ends);
    }
    refused(
        |t| t.set("#address-cells", &cells(&[99])),
        begins,
        ": 99 cells, expected 0 to 8",
    );
    for wide in [0, 3] {
        let ends = format!(": {wide} size cells, expected 1 or 2");
        refused(|t| t.set("#size-cells", &cells(&[wide])), "/", &ends);
    }
}

#[test]
fn reserved_memory() {
    let reserved = Node::new("reserved-memory")
        .cells("#address-cells", &[2])
        .cells("#size-cells", &[1])
        .bytes("ranges", &[])
        .child(Node::new("a@1000").cells("reg", &[0, 0x1000, 0x10, 1, 0, 0x20]))
        .child(Node::new("anywhere").cells("size", &[0x1000]))
        .child(
            Node::new("b@1")
                .cells("reg", &[0, 1, 1])
                .text("status", "disabled"),
        );
    let tree = Node::plain().child(reserved.clone());
    let blob = tree.blob_with(&[(0x5000, 0x6000)], 0);
    assert_eq!(
        boot_info(&blob).unwrap().reserved,
        [(0x1000, 0x10), (1 << 32, 0x20), (0x5000, 0x6000)]
            .map(|(base, size)| Region::new(base, size).unwrap())
    );
    let blob = tree.blob_with(&[(1, 1); 31], 0);
    assert_eq!(
        boot_info(&blob).unwrap_err().to_string(),
        "device tree: /: more than 32 reserved ranges"
    );
    // A reservation that were read by the wrong rule would protect the wrong memory.
    let mut moved = reserved;
    moved.set("ranges", &cells(&[0, 0, 1, 0, 0x1000]));
    assert_eq!(
        refusal(&Node::plain().child(moved)),
        "device tree: /reserved-memory/a@1000 is behind the bus /reserved-memory that translates \
         addresses (\"ranges\" not 1:1)"
    );
}

#[test]
fn cpus() {
    let with_cpus = |count: u32| {
        changed(|tree| {
            let cpus = tree.at("cpus");
            let model = cpus.at("cpu@0").clone();
            cpus.remove("cpu@");
            for i in 0..count {
                let mut cpu = model.clone();
                cpu.name = format!("cpu@{i:x}");
                // 16 in a cluster.
                cpu.set("reg", &cells(&[((i / 16) << 8) | (i % 16)]));
                cpus.children.push(cpu);
            }
        })
    };
    let blob = with_cpus(MAX_CPUS as u32).blob();
    let info = boot_info(&blob).unwrap();
    assert_eq!(info.cpus.len(), MAX_CPUS);
    assert_eq!(info.cpus[127].mpidr, 0x70f);
    assert_eq!(
        refusal(&with_cpus(MAX_CPUS as u32 + 1)),
        "device tree: /cpus/cpu@80: more than 128 CPUs"
    );

    let tree = changed(|tree| {
        let cpus = tree.at("cpus");
        cpus.set("#address-cells", &cells(&[2]));
        let mut cpu = cpus.at("cpu@0").clone();
        cpu.set("reg", &cells(&[1, 0x0002_0304]));
        cpu.set("enable-method", b"psci\0");
        *cpus.at("cpu@0") = cpu.clone();
        cpu.set("status", b"disabled\0");
        cpu.set("enable-method", b"spin-table\0");
        cpus.children.push(cpu.clone());
        cpu.set("status", b"fail-cache\0");
        cpu.set("enable-method", b"magic\0");
        cpus.children.push(cpu);
    });
    let blob = tree.blob();
    let info = boot_info(&blob).unwrap();
    assert_eq!(info.cpus[0].mpidr, 0x1_0002_0304);
    let told: Vec<_> = info
        .cpus
        .iter()
        .map(|cpu| (cpu.status, cpu.enable_method))
        .collect();
    assert_eq!(
        told,
        [
            (CpuStatus::Okay, Some(EnableMethod::Psci)),
            (CpuStatus::Disabled, Some(EnableMethod::SpinTable)),
            (CpuStatus::Unusable, Some(EnableMethod::Other)),
        ]
    );

    let begins = "/cpus/cpu@0: \"reg\" at offset 0x";
    refused(
        |t| t.at("cpus/cpu@0").unset("reg"),
        "/cpus/cpu@0 has no \"reg\"",
        "",
    );
    refused(
        |t| t.at("cpus/cpu@0").set("reg", &[0; 8]),
        begins,
        ": 8 bytes are not a whole number of 4-byte entries",
    );
    refused(
        |t| t.at("cpus/cpu@0").set("reg", &cells(&[0x8000_0000])),
        begins,
        ": none of MPIDR_EL1's affinity fields 0xff00ffffff",
    );
    refused(
        |t| t.at("cpus").unset("#size-cells"),
        begins,
        ": 1 size cells, expected 0",
    );
}

#[test]
fn the_console_is_what_stdout_path_names() {
    let tree = |path: &str| {
        changed(|tree| {
            let mut second = tree.at("pl011@9000000").clone();
            second.name = "pl011@9040000".into();
            second.set("reg", &cells(&[0, 0x0904_0000, 0, 0x1000]));
            tree.children.push(second);
            tree.at("chosen")
                .set("stdout-path", &[path.as_bytes(), b"\0"].concat());
            tree.children.push(
                Node::new("aliases")
                    .text("serial1", "/pl011@9040000")
                    .bytes("odd", b"x"),
            );
        })
        .blob()
    };
    let first = boot_info(&Node::plain().blob())
        .unwrap()
        .uart
        .registers
        .base();
    for (path, base) in [
        ("/pl011@9040000", 0x0904_0000),
        ("/pl011@9040000:115200n8", 0x0904_0000),
        ("serial1:115200", 0x0904_0000),
        ("serial1", 0x0904_0000),
        ("/pl011@9000000", first),
        // What names no PL011 leaves the first.
        ("serial7", first),
        ("odd", first),
        ("/memory@40000000", first),
        ("", first),
    ] {
        let blob = tree(path);
        // The first in the tree is the first of the two, whichever QEMU wrote it.
        assert_eq!(
            boot_info(&blob).unwrap().uart.registers.base(),
            base,
            "{path}"
        );
    }
}

#[test]
fn psci() {
    let begins = "/psci: \"method\" at offset 0x";
    refused(
        |t| t.at("psci").unset("method"),
        "/psci has no \"method\"",
        "",
    );
    refused(
        |t| t.at("psci").set("method", b"svc\0"),
        begins,
        ": none of \"hvc\", \"smc\"",
    );
    for (compatible, version) in [
        (&b"arm,psci\0"[..], PsciVersion::V0_1),
        (b"arm,psci-0.2\0arm,psci\0", PsciVersion::V0_2),
    ] {
        let tree = changed(|t| t.at("psci").set("compatible", compatible));
        assert_eq!(
            boot_info(&tree.blob()).unwrap().psci.unwrap().version,
            version
        );
    }
}

#[test]
fn chosen() {
    let begins = |name: &str| format!("/chosen: \"{name}\" at offset 0x");
    for bad in [&b"no nul"[..], b"two\0texts\0", b"\xff\0"] {
        let ends = ": not NUL-terminated text";
        refused(
            |t| t.at("chosen").set("bootargs", bad),
            &begins("bootargs"),
            ends,
        );
    }
    for name in ["linux,initrd-start", "linux,initrd-end"] {
        refused(
            |t| t.at("chosen").set(name, &[0; 5]),
            &begins(name),
            ": 5 bytes, expected 4 or 8",
        );
        let message = format!("/chosen has no \"{name}\"");
        refused(|t| t.at("chosen").unset(name), &message, "");
    }
    refused(
        |t| t.at("chosen").set("linux,initrd-end", &[0; 4]),
        &begins("linux,initrd-end"),
        ": the range ends before it begins",
    );
    // 8 bytes wide, as QEMU 8 writes them.
    let tree = changed(|t| {
        t.at("chosen").set("linux,initrd-start", &cells(&[1, 0]));
        t.at("chosen").set("linux,initrd-end", &cells(&[1, 8]));
        t.at("chosen").set("bootargs", b"");
    });
    let blob = tree.blob();
    let info = boot_info(&blob).unwrap();
    assert_eq!(info.initrd, Region::new(1 << 32, 8));
    assert_eq!(info.bootargs, "");
}

/// The plain machine with its console on a bus.
fn on_a_bus(ranges: Option<&[u32]>) -> Node {
    changed(|tree| {
        let uart = tree.at("pl011@9000000").clone();
        tree.remove("pl011@");
        let mut bus = Node::new("soc")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .child(uart);
        if let Some(ranges) = ranges {
            bus.set("ranges", &cells(ranges));
        }
        tree.children.push(bus);
    })
}

#[test]
fn a_bus_may_not_translate() {
    let plain = Node::plain().blob();
    let expected = boot_info(&plain).unwrap();
    for one_to_one in [
        None,
        Some(&[][..]),
        Some(&[0, 0x0900_0000, 0, 0x0900_0000, 0, 0x1000]),
    ] {
        let blob = on_a_bus(one_to_one).blob();
        assert_eq!(boot_info(&blob).unwrap(), expected, "{one_to_one:x?}");
    }
    for translating in [&[0, 0, 0, 0x0900_0000, 0, 0x1000][..], &[0, 0, 0]] {
        assert_eq!(
            refusal(&on_a_bus(Some(translating))),
            "device tree: /soc/pl011@9000000 is behind the bus /soc that translates addresses \
             (\"ranges\" not 1:1)"
        );
    }
    let mut off = on_a_bus(None);
    disabled(off.at("soc"));
    assert!(refusal(&off).contains("no enabled node compatible with \"arm,pl011\""));
}

#[test]
fn more_than_there_is_room_for() {
    let copies = |name: &str, count: usize| {
        let model = Node::plain().at(name).clone();
        changed(|tree| {
            tree.remove(name);
            tree.children.extend((0..count).map(|i| {
                let mut copy = model.clone();
                copy.name = format!("copy@{i}");
                copy
            }));
        })
    };
    assert!(boot_info(&copies("pl011@9000000", 8).blob()).is_ok());
    assert_eq!(
        refusal(&copies("pl011@9000000", 9)),
        "device tree: /copy@8: more than 8 PL011s"
    );
    // 31 are left.
    assert!(boot_info(&copies("virtio_mmio@a000000", 1).blob()).is_ok());
    assert!(
        refusal(&copies("virtio_mmio@a000000", 2)).ends_with(": more than 32 virtio-mmio slots")
    );

    let plain = Node::new("x").cells("interrupts", &[0, 1, 4]);
    let many = changed(|tree| tree.children.extend(vec![plain; 128]));
    assert!(refusal(&many).ends_with("/x: more than 128 properties that claim interrupts"));
    let controller = Node::new("c").cells("#interrupt-cells", &[1]);
    let many = changed(|tree| tree.children.extend(vec![controller; 16]));
    assert!(refusal(&many).ends_with("/c: more than 16 nodes with \"#interrupt-cells\""));
}

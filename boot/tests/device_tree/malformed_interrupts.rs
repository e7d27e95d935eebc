//! The interrupt controller, and interrupts that go nowhere, elsewhere, or out of range.

use crate::common::{Node, boot_info, cells, changed, refused};

#[test]
fn gic() {
    let node = "intc@8000000";
    let begins = "/intc@8000000: \"reg\" at offset 0x";
    let reg = |entries: u32| {
        let entries = (0..entries).flat_map(|i| [0, 0x0800_0000 + (i << 20), 0, 0x10_0000]);
        cells(&entries.collect::<Vec<_>>())
    };
    refused(
        |t| t.at(node).set("reg", &reg(0)),
        begins,
        ": 0 entries, 1 needed",
    );
    refused(
        |t| t.at(node).set("reg", &reg(1)),
        begins,
        ": 1 entries, 2 needed",
    );
    refused(
        |t| {
            t.at(node).set("reg", &reg(3));
            t.at(node).set("#redistributor-regions", &cells(&[3]));
        },
        begins,
        ": 3 entries, 4 needed",
    );
    refused(
        |t| t.at(node).set("#redistributor-regions", &cells(&[9])),
        "/intc@8000000: more than 8 ranges of redistributors",
        "",
    );
    refused(
        |t| t.at(node).set("#interrupt-cells", &cells(&[2])),
        "/intc@8000000: \"#interrupt-cells\" at offset 0x",
        ": 2 interrupt cells, expected 3 or more",
    );
    refused(
        |t| t.at(node).unset("#interrupt-cells"),
        "/intc@8000000 has no \"#interrupt-cells\"",
        "",
    );

    let tree = changed(|t| {
        // The GICv2 compatibility frames follow.
        t.at(node).set("reg", &reg(12));
        t.at(node).set("#redistributor-regions", &cells(&[8]));
        t.at(node)
            .set("redistributor-stride", &cells(&[0, 0x4_0000]));
    });
    let blob = tree.blob();
    let gic = boot_info(&blob).unwrap().gic;
    assert_eq!(gic.redistributors.len(), 8);
    assert_eq!(gic.redistributors[7].base(), 0x0880_0000);
    assert_eq!(gic.redistributor_stride, Some(0x4_0000));
}

#[test]
fn a_gic_with_partitions_has_a_fourth_cell() {
    let tree = changed(|tree| {
        tree.remove("pcie@");
        tree.at("intc@8000000")
            .set("#interrupt-cells", &cells(&[4]));
        let all = tree.children.iter_mut();
        for (_, value) in all
            .flat_map(|child| &mut child.properties)
            .filter(|p| p.0 == "interrupts")
        {
            *value = value
                .chunks(12)
                .flat_map(|line| [line, &[0; 4]].concat())
                .collect();
        }
    });
    let (blob, plain) = (tree.blob(), Node::plain().blob());
    let (info, expected) = (boot_info(&blob).unwrap(), boot_info(&plain).unwrap());
    assert_eq!(info.gic.interrupt_cells, 4);
    assert_eq!(info.timer, expected.timer);
    assert_eq!(info.virtio, expected.virtio);
}

#[test]
fn timer() {
    let begins = "/timer: \"interrupts\" at offset 0x";
    let list = |lines: &[[u32; 3]]| cells(lines.as_flattened());
    let ppi = [1, 13, 4];
    refused(
        |t| t.at("timer").unset("interrupts"),
        "/timer has no \"interrupts\"",
        "",
    );
    for (lines, ends) in [
        (vec![ppi; 3], ": 3 entries, 4 needed"),
        (vec![], ": 0 entries, 4 needed"),
        (
            vec![ppi, [1, 16, 4], ppi, ppi],
            ": the GIC has no interrupt <1 16>",
        ),
        (
            vec![ppi, [4, 1, 4], ppi, ppi],
            ": the GIC has no interrupt <4 1>",
        ),
        (
            vec![ppi, [0, 988, 4], ppi, ppi],
            ": the GIC has no interrupt <0 988>",
        ),
        (vec![ppi, [0, 987, 4], ppi, ppi], ": not a PPI"),
        (
            vec![[1, 13, 0], ppi, ppi, ppi],
            ": none of trigger 1, 2, 4, 8 in the third cell",
        ),
    ] {
        refused(
            |t| t.at("timer").set("interrupts", &list(&lines)),
            begins,
            ends,
        );
    }
    let mut cut = list(&[ppi; 4]);
    cut.pop();
    refused(
        |t| t.at("timer").set("interrupts", &cut),
        begins,
        ": 3 bytes, expected a whole entry, in the last one",
    );
    refused(
        |t| {
            t.at("timer")
                .set("interrupt-names", b"phys\0virt\0hyp-phys\0hyp-virt\0");
        },
        "/timer: \"interrupt-names\" at offset 0x",
        ": none of a list that begins with \"sec-phys\"",
    );
    // A fifth, as QEMU 9 gives it, is for VHE.
    let tree = changed(|t| {
        t.at("timer").set(
            "interrupts",
            &list(&[
                [1, 13, 4],
                [1, 14, 8],
                [1, 11, 0xf04],
                [3, 5, 1],
                [1, 12, 4],
            ]),
        );
    });
    let blob = tree.blob();
    let timer = boot_info(&blob).unwrap().timer;
    assert_eq!(timer.physical.intid.number(), 30);
    assert_eq!(timer.virtual_.intid.number(), 27);
    assert_eq!(timer.hypervisor.intid.number(), 1061);
}

#[test]
fn whose_interrupt_it_is() {
    refused(
        |t| t.unset("interrupt-parent"),
        "/timer: \"interrupts\" at offset 0x",
        ": no \"interrupt-parent\" is in force",
    );
    refused(
        |t| t.set("interrupt-parent", &cells(&[0x77])),
        "/timer: \"interrupts\" at offset 0x",
        ": no interrupt controller has phandle 0x77",
    );
    let other = Node::new("other")
        .cells("#interrupt-cells", &[0])
        .cells("phandle", &[0x77]);
    refused(
        |t| {
            t.children.push(other.clone());
            t.at("timer").set("interrupt-parent", &cells(&[0x77]));
        },
        "/timer: \"interrupts\" at offset 0x",
        ": goes to an interrupt controller other than the GIC",
    );
    // What goes to another controller is no SPI; a child of a controller goes to that.
    let expected = boot_info(&Node::plain().blob()).unwrap().claimed_spis;
    let tree = changed(|t| {
        let child = Node::new("child").cells("interrupts", &[0, 100, 4]);
        t.children.push(other.clone().child(child));
    });
    assert_eq!(boot_info(&tree.blob()).unwrap().claimed_spis, expected);

    // By phandle, past another controller's entry of no cells.
    let tree = changed(|t| {
        let gic = u32::from_be_bytes(t.get("interrupt-parent").try_into().unwrap());
        t.children.push(other.clone());
        let uart = t.at("pl011@9000000");
        uart.unset("interrupts");
        uart.set(
            "interrupts-extended",
            &cells(&[gic, 0, 200, 1, 0x77, gic, 0, 201, 4]),
        );
    });
    let blob = tree.blob();
    let info = boot_info(&blob).unwrap();
    assert_eq!(info.uart.line.intid.number(), 232);
    let spare: Vec<u32> = info.spare_spis(288).map(|intid| intid.number()).collect();
    assert!(spare.contains(&33) && !spare.contains(&232) && !spare.contains(&233));
    refused(
        |t| {
            t.at("pl011@9000000")
                .set("interrupts-extended", &cells(&[0x78]));
        },
        "/pl011@9000000: \"interrupts-extended\" at offset 0x",
        ": no interrupt controller has phandle 0x78",
    );
}

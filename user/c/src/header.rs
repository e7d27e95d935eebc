//! `petrel.h` against the crate `abi`: two descriptions of one contract, by hand, compared by machine.
//!
//! The header is read as text, as far as it needs to be: `#define`s of numbers, `enum`s, `struct`s of
//! plain fields, function names. Sizes and offsets follow from the fields by the rules of AArch64.
//! What the header lacks fails as what it has wrong does; the numbers that `abi` can list are taken
//! from its lists, so that a new system call fails here until C has it.

use std::mem::offset_of;

use rt::abi::error::Error;
use rt::abi::handle::{Handle, Kind, Rights};
use rt::abi::memory::{self, Mapping, MemoryKind};
use rt::abi::message::{self, Access, Fault, FaultKind, Info};
use rt::abi::report::{
    self, CpuReport, Device, Devices, IrqReport, MemoryReport, ProcessReport, ProcessState, Query,
    ThreadReport, ThreadState,
};
use rt::abi::start::{self, Grant, StartHeader};
use rt::abi::syscall::{self, Call};
use rt::abi::thread::{self, Registers, ThreadStart};
use rt::service;

use crate::thread::{Options, Thread};

use parse::Header;

mod parse;

fn header() -> Header {
    Header::read(include_str!("../include/petrel.h"))
}

/// `WhoAmI` as C writes it in a constant.
fn capitals(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// The names that begin with `prefix` and their numbers are these, and no others.
#[track_caller]
fn same_numbers(prefix: &str, expected: &[(String, u64)]) {
    let header = header();
    for (name, number) in expected {
        let name = format!("{prefix}{name}");
        assert_eq!(header.number(&name), Some(*number), "{name}");
    }
    let found = header.numbers_with(prefix);
    assert_eq!(found.len(), expected.len(), "{found:?}");
}

/// All values of an enum that has no list: those that a number gives.
fn listed<T: std::fmt::Debug>(from_number: impl Fn(u64) -> Option<T>) -> Vec<(String, u64)> {
    (0..64)
        .filter_map(|number| Some((capitals(&format!("{:?}", from_number(number)?)), number)))
        .collect()
}

#[test]
fn every_call_has_its_number_and_a_function() {
    let calls = Call::ALL
        .iter()
        .map(|call| (capitals(&format!("{call:?}")), *call as u64));
    same_numbers("PETREL_CALL_", &calls.clone().collect::<Vec<_>>());
    let header = header();
    for (name, _) in calls {
        let function = format!("petrel_{}", name.to_lowercase());
        let body = header.function(&function);
        let body = body.unwrap_or_else(|| panic!("there is no function {function}"));
        assert!(
            body.contains(&format!("PETREL_CALL_{name},")),
            "{function} calls something else"
        );
    }
}

#[test]
fn messages_go_through_the_message_registers() {
    let header = header();
    for call in Call::ALL {
        let function = format!("petrel_{}", capitals(&format!("{call:?}")).to_lowercase());
        let body = header.function(&function).unwrap_or_default();
        assert_eq!(
            body.contains("petrel_message_exchange("),
            call.carries_message(),
            "{function}"
        );
    }
}

#[test]
fn errors_have_their_numbers() {
    let errors: Vec<_> = Error::ALL
        .iter()
        .map(|error| (capitals(&format!("{error:?}")), *error as u64))
        .collect();
    same_numbers("PETREL_ERROR_", &errors);
    assert_eq!(header().number("PETREL_OK"), Some(0));
}

#[test]
fn kinds_and_states_have_their_numbers() {
    same_numbers("PETREL_KIND_", &listed(Kind::from_number));
    same_numbers("PETREL_FAULT_", &listed(FaultKind::from_number));
    same_numbers("PETREL_ACCESS_", &listed(Access::from_number));
    same_numbers("PETREL_MEMORY_", &listed(MemoryKind::from_number));
    same_numbers("PETREL_QUERY_", &listed(Query::from_number));
    let process = |number: u64| ProcessState::from_number(number as u32);
    same_numbers("PETREL_PROCESS_", &listed(process));
    let thread = |number: u64| ThreadState::from_number(number as u32);
    same_numbers("PETREL_THREAD_", &listed(thread));
}

#[test]
fn services_answer_with_their_numbers() {
    let errors = (256..).map_while(|number| {
        let error = service::Error::from_label(number)?;
        (error.label() == number).then(|| (capitals(&format!("{error:?}")), number.into()))
    });
    same_numbers("PETREL_SERVICE_", &errors.collect::<Vec<_>>());
}

#[test]
fn rights_have_their_bits() {
    let rights = [
        ("SEND", Rights::SEND),
        ("RECEIVE", Rights::RECEIVE),
        ("CALL", Rights::CALL),
        ("SIGNAL", Rights::SIGNAL),
        ("WAIT", Rights::WAIT),
        ("READ", Rights::READ),
        ("WRITE", Rights::WRITE),
        ("EXECUTE", Rights::EXECUTE),
        ("INSPECT", Rights::INSPECT),
        ("MANAGE", Rights::MANAGE),
        ("DUPLICATE", Rights::DUPLICATE),
        ("TRANSFER", Rights::TRANSFER),
        ("REVOKE", Rights::REVOKE),
    ];
    let all = rights.iter().fold(Rights::NONE, |all, one| all.with(one.1));
    assert_eq!(all, Rights::ALL, "a right is missing in this list");
    let mut expected: Vec<_> = rights
        .iter()
        .map(|(name, right)| ((*name).to_owned(), right.0.into()))
        .collect();
    expected.push(("ALL".to_owned(), Rights::ALL.0.into()));
    same_numbers("PETREL_RIGHT_", &expected);
}

#[test]
fn single_numbers_are_the_same() {
    let expected: &[(&str, u64)] = &[
        ("PETREL_NO_HANDLE", Handle::NONE.0.into()),
        ("PETREL_MESSAGE_WORDS", message::WORDS as u64),
        ("PETREL_MESSAGE_HANDLES", message::HANDLES as u64),
        (
            "PETREL_INFO_FAULT",
            Info::fault().0 & !Info::new(0, message::WORDS).0,
        ),
        ("PETREL_INFO_NOTIFICATION", Info::notification().0),
        ("PETREL_RESUME", message::RESUME.into()),
        ("PETREL_RESUME_AT", message::RESUME_AT.into()),
        ("PETREL_PAGE", memory::PAGE),
        ("PETREL_USER_START", memory::USER_START),
        ("PETREL_USER_END", memory::USER_END),
        ("PETREL_USES_FP", thread::USES_FP.into()),
        ("PETREL_NAME_BYTES", size_of::<report::Name>() as u64),
        ("PETREL_START_PAGE", start::START_PAGE),
        ("PETREL_STACK_TOP", start::STACK_TOP),
        ("PETREL_START_MAGIC", start::MAGIC),
        ("PETREL_FOREVER", syscall::FOREVER),
        ("PETREL_AT_ONCE", syscall::AT_ONCE),
    ];
    let header = header();
    for (name, number) in expected {
        assert_eq!(header.number(name), Some(*number), "{name}");
    }
}

/// Compares structures: their sizes, and the names and offsets of all their fields.
macro_rules! layouts {
    ($( $c:literal $rust:ident { $($field:ident)+ } )+) => {
        #[test]
        fn structures_lie_the_same_way() {
            let header = header();
            $({
                // Without `..`: a field that is new in `abi` is missed by the compiler.
                fn _all_fields(it: $rust) {
                    let $rust { $($field: _),+ } = it;
                }
                let found = header.layout($c);
                let expected = [$( (stringify!($field), offset_of!($rust, $field)) ),+];
                let fields: Vec<_> = found.fields.iter().map(|(name, at)| (name.as_str(), *at)).collect();
                assert_eq!(fields, expected, "struct {}", $c);
                assert_eq!(found.bytes, size_of::<$rust>(), "struct {}", $c);
            })+
        }
    };
}

layouts! {
    "petrel_fault" Fault { kind access address pc sp syndrome thread process }
    "petrel_mapping" Mapping { memory rights address offset bytes }
    "petrel_thread_start" ThreadStart { entry stack argument tls priority flags cpus }
    "petrel_registers" Registers { x sp pc pstate tls }
    "petrel_process_report" ProcessReport {
        number state name status threads handles used quota ran_ticks fault
    }
    "petrel_thread_report" ThreadReport { number process name priority cpu state reserved ran_ticks }
    "petrel_cpu_report" CpuReport { number load idle_ticks interrupts nmis switches preemptions }
    "petrel_memory_report" MemoryReport { total free heap heap_used stacks }
    "petrel_irq_report" IrqReport { intid pending count }
    "petrel_device" Device { base bytes intid edge }
    "petrel_devices" Devices { uart virtio_count virtio }
    "petrel_thread" Thread { handle reserved join }
    "petrel_spawn_options" Options { stack_bytes priority reserved cpus }
    "petrel_start_header" StartHeader { magic grants arguments argument_bytes reserved }
    "petrel_grant" Grant { name handle detail }
}

#[test]
fn a_mutex_is_the_runtimes() {
    let mutex = header().layout("petrel_mutex");
    assert_eq!(mutex.bytes, size_of::<rt::sync::RawMutex>());
}

#[test]
fn an_info_is_made_and_read_alike() {
    // The C side is one line for each; its shifts are those of `Info`.
    let info = Info::new(0xdead_beef, 5).with_handles(3).0;
    assert_eq!(info, 0xdead_beef << 32 | 3 << 4 | 5);
    let header = header();
    for (function, expression) in [
        (
            "petrel_info",
            "(uint64_t)label << 32 | (uint64_t)(handles & 7) << 4 | (words & 15)",
        ),
        ("petrel_info_label", "(uint32_t)(info >> 32)"),
        ("petrel_info_words", "info & 15"),
        ("petrel_info_handles", "info >> 4 & 7"),
    ] {
        let body = header.function(function).unwrap_or_default();
        assert!(
            body.contains(&format!("return {expression};")),
            "{function}: {body}"
        );
    }
}

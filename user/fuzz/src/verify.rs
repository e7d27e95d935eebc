//! What must be true of the registers after a call, whatever was called with whatever arguments.

use rt::abi::message::Info;
use rt::abi::syscall::Call;

/// The registers of a call: x0 to x13. The number is x8.
pub type Registers = [u64; 14];

/// Which register holds what it must not, if one does. (The contract: `abi/src/syscall.rs`.)
pub fn verify(before: &Registers, after: &Registers) -> Option<usize> {
    let call = Call::from_number(before[8]);
    match call {
        Some(call) if call.carries_message() => message(call, before, after),
        _ => plain(call, before, after),
    }
}

fn plain(call: Option<Call>, before: &Registers, after: &Registers) -> Option<usize> {
    if let Some(changed) = (4..14).find(|&x| after[x] != before[x]) {
        return Some(changed);
    }
    // What these give back anybody may have put there.
    let anything = matches!(call, Some(Call::HandleInspect | Call::Wait));
    (1..4).find(|&x| after[x] != before[x] && !anything && is_kernels(after[x]))
}

fn message(call: Call, before: &Registers, after: &Registers) -> Option<usize> {
    let receives = !matches!(call, Call::Send | Call::Reply);
    if after[8] != before[8] {
        return Some(8);
    }
    if after[9] != 0 || !receives {
        return (0..14).find(|x| !(8..11).contains(x) && after[*x] != before[*x]);
    }
    let info = Info(after[10]);
    if info.words() > 8 || info.handles() > 4 {
        return Some(10);
    }
    None
}

/// Whether that may be an address of the kernel's.
fn is_kernels(value: u64) -> bool {
    value >> 39 == u64::MAX >> 39 && value >> 20 != u64::MAX >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(call: Call) -> Registers {
        let mut registers = [0; 14];
        for (index, register) in registers.iter_mut().enumerate() {
            *register = 0x1000 + index as u64;
        }
        registers[8] = call as u64;
        registers
    }

    #[test]
    fn a_plain_call_changes_four_registers() {
        let before = registers(Call::WhoAmI);
        let mut after = before;
        after[..4].copy_from_slice(&[0, 1, 2, 3]);
        assert_eq!(verify(&before, &after), None);
        for register in 4..14 {
            let mut wrong = after;
            wrong[register] += 1;
            if register != 8 {
                assert_eq!(verify(&before, &wrong), Some(register));
            }
        }
        after[2] = 0xffff_ffc0_4020_0000;
        assert_eq!(
            verify(&before, &after),
            Some(2),
            "an address of the kernel's"
        );
    }

    #[test]
    fn a_refused_message_changes_nothing() {
        let before = registers(Call::MessageCall);
        let mut after = before;
        (after[9], after[10]) = (2, 0);
        assert_eq!(verify(&before, &after), None);
        after[3] = 0;
        assert_eq!(verify(&before, &after), Some(3));
    }

    #[test]
    fn what_arrives_has_counts_that_can_be() {
        let before = registers(Call::Receive);
        let mut after = [5; 14];
        (after[8], after[9], after[10]) = (before[8], 0, Info::new(7, 8).0);
        assert_eq!(verify(&before, &after), None);
        after[10] = Info::new(7, 9).0;
        assert_eq!(verify(&before, &after), Some(10));
    }
}

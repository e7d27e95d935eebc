//! PSCI: bringing CPUs up, and the machine down.

use boot::info;
use drivers::psci::{Conduit, Psci};
use spin::Once;

static PSCI: Once<Psci> = Once::new();

/// Notes how the firmware is called.
pub(crate) fn init(psci: info::Psci) {
    let conduit = match psci.conduit {
        info::Conduit::Hvc => Conduit::Hvc,
        info::Conduit::Smc => Conduit::Smc,
    };
    PSCI.call_once(|| Psci::new(conduit));
}

/// The firmware, if the device tree names one.
pub(crate) fn psci() -> Option<&'static Psci> {
    PSCI.get()
}

/// Switches the machine off, if the firmware can.
pub(crate) fn off() {
    if let Some(psci) = psci() {
        let _ = psci.system_off();
    }
}

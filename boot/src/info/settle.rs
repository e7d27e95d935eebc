//! From notes to the result, once the whole tree has been seen.

use core::mem::take;
use heapless::Vec;

use super::collect::Notes;
use super::{BootInfo, MAX_VIRTIO_SLOTS, Timer, Uart, VirtioMmio};
use crate::Region;
use crate::dt::{DtError, Event, Needed, Property, ValueFault};

impl<'a> Notes<'a> {
    /// Makes the notes into the result, now that all controllers are known.
    // Apart from the walk's frame, which is the larger half of the stack that this takes.
    #[inline(never)]
    pub(super) fn settle(&mut self) -> Result<BootInfo<'a>, DtError<'a>> {
        for (address, size) in self.blob.reservations() {
            // One that wraps does not get past the validator.
            if let Some(region) = Region::new(address, size) {
                let root = self.blob.cursor().offset();
                self.reserve(root, region)?;
            }
        }
        let missing = DtError::Missing;
        let gic = match (self.gic.take(), self.gic_v2) {
            (Some((_, gic)), _) => gic,
            (None, Some(at)) => {
                let node = self.blob.path(at);
                return Err(DtError::GicV2 { node });
            }
            (None, None) => return Err(missing(Needed::Gic)),
        };
        if self.memory.is_empty() {
            return Err(missing(Needed::Memory));
        }
        if self.cpus.is_empty() {
            return Err(missing(Needed::Cpu));
        }
        let timer = self.timer.ok_or(missing(Needed::Timer))?;
        let [secure_physical, physical, virtual_, hypervisor] =
            self.routing.per_cpu_lines(timer.claim)?;
        let timer = Timer {
            secure_physical,
            physical,
            virtual_,
            hypervisor,
        };
        let pmu = match self.pmu {
            Some(pmu) => {
                let [line] = self.routing.per_cpu_lines(pmu.claim)?;
                Some(line)
            }
            None => None,
        };
        Ok(BootInfo {
            gic,
            timer,
            uart: self.console()?,
            psci: self.psci.map(|(_, psci)| psci),
            pmu,
            bootargs: self.bootargs()?,
            initrd: self.initrd()?,
            virtio: self.virtio_slots()?,
            claimed_spis: self.routing.claimed_spis()?,
            memory: take(&mut self.memory),
            reserved: take(&mut self.reserved),
            cpus: take(&mut self.cpus),
        })
    }

    /// The PL011 that `/chosen/stdout-path` names, or else the first.
    fn console(&self) -> Result<Uart, DtError<'a>> {
        // The path is only looked up where there is something to choose.
        let named = match self.uarts.len() {
            0 | 1 => None,
            _ => self.stdout()?,
        };
        let &(device, registers) = self
            .uarts
            .iter()
            .find(|(device, _)| Some(device.at) == named)
            .or(self.uarts.first())
            .ok_or(DtError::Missing(Needed::Uart))?;
        let [line] = self.routing.lines(device.claim)?;
        Ok(Uart { registers, line })
    }

    /// The node that `/chosen/stdout-path` names: a path or an alias, then maybe `:` and options
    /// for the line (specification 3.6).
    fn stdout(&self) -> Result<Option<u32>, DtError<'a>> {
        let Some(property) = self.chosen.stdout_path else {
            return Ok(None);
        };
        let text = self.chosen_value(property, Property::text)?;
        let name = text.split(':').next().unwrap_or(text);
        if name.starts_with('/') {
            return Ok(self.blob.find(name));
        }
        let Some(aliases) = self.aliases else {
            return Ok(None);
        };
        let mut cursor = self.blob.cursor_at(aliases);
        cursor.step()?;
        while let Event::Property(alias) = cursor.step()? {
            if alias.name() == name {
                return Ok(alias.text().ok().and_then(|path| self.blob.find(path)));
            }
        }
        Ok(None)
    }

    fn bootargs(&self) -> Result<&'a str, DtError<'a>> {
        match self.chosen.bootargs {
            Some(property) if !property.is_empty() => self.chosen_value(property, Property::text),
            _ => Ok(""),
        }
    }

    fn initrd(&self) -> Result<Option<Region>, DtError<'a>> {
        let missing = |property| DtError::NoProperty {
            node: self.blob.path(self.chosen.at),
            property,
        };
        let (start, end) = match (self.chosen.initrd_start, self.chosen.initrd_end) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(missing("linux,initrd-end")),
            (None, Some(_)) => return Err(missing("linux,initrd-start")),
            (Some(start), Some(end)) => (start, end),
        };
        let first = self.chosen_value(start, Property::number)?;
        let behind = self.chosen_value(end, Property::number)?;
        Region::from_bounds(first, behind)
            .map(Some)
            .ok_or(self.malformed_chosen(end, ValueFault::Wraps))
    }

    fn virtio_slots(&self) -> Result<Vec<VirtioMmio, MAX_VIRTIO_SLOTS>, DtError<'a>> {
        let mut slots = Vec::new();
        for &(device, registers) in &self.virtio {
            let [line] = self.routing.lines(device.claim)?;
            // There is as much room as in the list it comes from.
            let _ = slots.push(VirtioMmio { registers, line });
        }
        slots.sort_unstable_by_key(|slot: &VirtioMmio| slot.registers);
        Ok(slots)
    }

    fn chosen_value<T>(
        &self,
        property: Property<'a>,
        read: impl Fn(&Property<'a>) -> Result<T, ValueFault>,
    ) -> Result<T, DtError<'a>> {
        read(&property).map_err(|fault| self.malformed_chosen(property, fault))
    }

    fn malformed_chosen(&self, property: Property<'a>, fault: ValueFault) -> DtError<'a> {
        DtError::Malformed {
            node: self.blob.path(self.chosen.at),
            property: property.name(),
            offset: property.offset,
            fault,
        }
    }
}

//! A dry run: a sink that knows what its destination has, takes everything, and keeps nothing.

use oci_digest::content::{Content, Sink};
use oci_digest::{Descriptor, Result};

pub(crate) struct Plan<'s> {
    pub(crate) of: Option<&'s dyn Sink>,
}

impl Sink for Plan<'_> {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.of.map_or(Ok(false), |sink| sink.has(descriptor))
    }

    fn ingest(&self, _: &Descriptor, _: &dyn Content) -> Result<()> {
        Ok(())
    }

    fn publish(&self, _: &Descriptor, _: &[u8], _: &[&str]) -> Result<()> {
        Ok(())
    }
}

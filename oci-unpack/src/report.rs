use std::sync::Arc;

use oci_digest::CancelToken;

use crate::diff::Snapshot;
use crate::options::Observer;
use crate::{Error, Event, OnLoss, OverlayFormat, Policies, Result, UnpackOptions, Warning};

/// What an unpacking did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The layers, lowest first.
    pub layers: Vec<LayerReport>,
    /// Warnings over all layers and the final pass, [`Warning::XattrExcluded`] among them; not what
    /// [`OnLoss::Ignore`] passes over.
    pub warnings: u64,
    /// What the tree is now, with [`UnpackOptions::snapshot`]; never of layers for overlayfs.
    pub snapshot: Option<Snapshot>,
    /// For layers that were unpacked for overlayfs, the format they are in: never [`OverlayFormat::Auto`].
    pub overlay: Option<OverlayFormat>,
}

impl Report {
    /// The entries of all layers.
    pub fn entries(&self) -> u64 {
        self.layers.iter().map(|l| l.entries).sum()
    }

    /// The bytes of file content of all layers.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|l| l.bytes).sum()
    }
}

/// What one layer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LayerReport {
    /// Entries, whiteouts among them.
    pub entries: u64,
    /// Bytes of file content, holes included.
    pub bytes: u64,
    /// Bytes of the uncompressed archive.
    pub archive_bytes: u64,
}

/// Tells the observer, counts, and makes errors of warnings where the policies say so.
#[derive(Clone)]
pub(crate) struct Reporter {
    observer: Option<Arc<Observer>>,
    policies: Policies,
    cancel: CancelToken,
    /// The layer being applied, from 0.
    pub(crate) layer: usize,
    pub(crate) warnings: u64,
    /// Whether what is done was done, and told, before.
    pub(crate) quiet: bool,
    /// Warnings are only kept, for somebody who tells them later.
    pub(crate) kept: Option<Vec<Warning>>,
}

impl Reporter {
    pub(crate) fn new(options: &UnpackOptions) -> Self {
        Self {
            observer: options.observer.clone(),
            policies: if options.strict { Policies::all(OnLoss::Error) } else { options.policies.clone() },
            cancel: options.cancel.clone(),
            layer: 0,
            warnings: 0,
            quiet: false,
            kept: None,
        }
    }

    pub(crate) fn tell(&self, event: &Event) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    pub(crate) fn warn(&mut self, path: &[u8], warning: Warning) -> Result<()> {
        self.warn_about(self.layer, path, warning)
    }

    pub(crate) fn warn_about(&mut self, layer: usize, path: &[u8], warning: Warning) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            kept.push(warning);
            return Ok(());
        }
        let path = String::from_utf8_lossy(path).into_owned();
        match self.policies.of(&warning) {
            OnLoss::Ignore => {}
            OnLoss::Error => return Err(Error::Strict { path, warning }),
            OnLoss::Warn => {
                self.warnings += 1;
                self.tell(&Event::Warning { layer, path, warning });
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Cancelled`] when the token was raised.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

use std::os::fd::OwnedFd;

use oci_digest::content::Source;

use super::queue::{Queue, Step, Written};
use crate::ahead::{Ahead, Blob};
use crate::layer::{Budget, Entries, Stream, is_content};
use crate::rootfs::counted;
use crate::tree::{Place, ROOT, Tree};
use crate::{Result, UnpackOptions};

/// Writes the files of layers, each under a number in a folder of its own, and passes the entries on.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) options: &'a UnpackOptions,
    pub(super) budget: &'a Budget,
}

impl Writer<'_> {
    /// Writes one layer's.
    pub(super) fn write(self, blob: Blob<'_>, layer: usize, folder: &OwnedFd, queue: &Queue) {
        let _guard = OnPanic(queue);
        if let Err(error) = self.run(blob, layer, folder, queue) {
            queue.put(Step::Failed(error));
        }
    }

    fn run(self, blob: Blob<'_>, layer: usize, folder: &OwnedFd, queue: &Queue) -> Result<()> {
        let limits = &self.options.limits;
        let folder = folder.try_clone().map_err(|e| crate::Error::io("keeping a folder open", e))?;
        let mut tree = Tree::aside(folder, self.options)?;
        tree.reporter.layer = layer;
        std::thread::scope(|scope| {
            let ahead = Ahead::start(scope, self.source, vec![blob], limits.window)?;
            let mut entries = Stream { archive: counted(ahead, limits), budget: self.budget };
            let mut number = 0u64;
            loop {
                let entry = entries.next_entry()?;
                tree.reporter.check_cancelled()?;
                let odd = entries.warnings();
                if !odd.is_empty() && !queue.put(Step::Odd(odd)) {
                    return Ok(());
                }
                let Some(entry) = entry else { break };
                let mut written = None;
                if is_content(&entry) {
                    number += 1;
                    let name = number.to_string();
                    let at = Place { dir: ROOT, name: name.as_bytes() };
                    entries.file(&mut tree, at, &entry.path, entry.clone())?;
                    let warnings = tree.reporter.kept.as_mut().map(std::mem::take).unwrap_or_default();
                    written = Some(Written { name, warnings });
                }
                if !queue.put(Step::Entry { entry: Box::new(entry), written }) {
                    return Ok(());
                }
            }
            let (mut ahead, archive_bytes) = entries.archive.finish()?.into_parts();
            let notices = ahead.next_layer()?;
            queue.put(Step::End { archive_bytes, notices });
            Ok(())
        })
    }
}

/// A source may panic; who waits for its layer must not wait for ever.
struct OnPanic<'a>(&'a Queue);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

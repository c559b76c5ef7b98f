use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};

use crate::compression::{Decoder, Notice};
use crate::diff::Snapshot;
use crate::framing::ArchiveReader;
use crate::layer::{Budget, Done, Entries, Stream, apply};
use crate::report::LayerReport;
use crate::tree::Tree;
use crate::{Error, Event, Limits, Report, Result, UnpackOptions, Warning};

/// How much of a layer is inflated at once.
const BUFFER: usize = 256 << 10;

/// A folder that layers are applied to one by one, by callers who have the layers' bytes.
///
/// Unlike [`unpack`](crate::unpack) it works in the folder itself: after an error the folder is in between, and who
/// wants all or nothing applies to a folder of their own and renames it. The folder may hold a tree already, whose
/// files are then what the whiteouts of the first layer hide. Directories get their attributes in
/// [`finish`](Self::finish), and are 0700 until then.
///
/// ```
/// use oci_unpack::{Rootfs, UnpackOptions};
///
/// # let folder = tempfile::tempdir()?;
/// let layer: &[u8] = &[0; 1024]; // an empty archive; it may be compressed, too
/// let mut rootfs = Rootfs::open(folder.path(), &UnpackOptions::default())?;
/// rootfs.apply(layer)?;
/// assert_eq!(rootfs.finish()?.entries(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Rootfs {
    layers: Layers,
}

impl Rootfs {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::Io`] when it is not a directory or cannot be worked in.
    pub fn open(folder: &Path, options: &UnpackOptions) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(folder, flags, Mode::empty())
            .map_err(|e| Error::io(format!("opening {}", folder.display()), e))?;
        Ok(Self { layers: Layers::new(Tree::new(root, false, options)?, options) })
    }

    /// Applies one layer, plain or compressed, to the last byte of its stream.
    ///
    /// # Errors
    /// What is wrong with the layer or one of its entries, and what the file system refuses.
    pub fn apply(&mut self, layer: impl Read) -> Result<LayerReport> {
        let index = self.layers.report.layers.len();
        let wrap = |e| Error::Layer { index, source: Box::new(e) };
        let decoder = Decoder::with_window(layer, None, self.layers.limits.window).map_err(wrap)?;
        let mut stream = BufReader::with_capacity(BUFFER, decoder);
        self.layers.apply(&mut stream, |stream| Ok(stream.get_ref().notices())).map_err(wrap)
    }

    /// Gives the directories their attributes and times.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn finish(self) -> Result<Report> {
        self.layers.finish()
    }
}

/// One layer after the other, whatever their bytes come from.
#[derive(Debug)]
pub(crate) struct Layers {
    tree: Tree,
    budget: Arc<Budget>,
    done: Done,
    limits: Limits,
    report: Report,
}

impl Layers {
    pub(crate) fn new(tree: Tree, options: &UnpackOptions) -> Self {
        let budget = Arc::new(Budget::new(&options.limits));
        Self {
            tree,
            budget,
            done: Done::default(),
            limits: options.limits.clone(),
            report: Report::default(),
        }
    }

    /// Applies a layer's uncompressed bytes. `end` is asked after the last of them whether they were the right ones,
    /// and what was odd about the blob.
    pub(crate) fn apply<R: BufRead>(
        &mut self,
        stream: &mut R,
        end: impl FnOnce(&mut R) -> Result<Vec<Notice>>,
    ) -> Result<LayerReport> {
        let budget = Arc::clone(&self.budget);
        let archive = counted(stream, &self.limits);
        self.apply_entries(Stream { archive, budget: &budget }, |entries| {
            let (inner, bytes) = entries.archive.finish()?.into_parts();
            Ok((bytes, end(inner)?))
        })
    }

    /// What all layers may use, for those that are read elsewhere.
    pub(crate) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// Makes a folder for files of layers that are written ahead.
    pub(crate) fn make_aside(&self, name: &str) -> Result<OwnedFd> {
        self.tree.make_aside(name)
    }

    /// Removes it again.
    pub(crate) fn remove_aside(&self, name: &str) -> Result<()> {
        self.tree.remove_aside(name)
    }

    /// Applies a layer's entries, wherever they come from. `end` gives the archive's length and what was odd about
    /// the blob.
    pub(crate) fn apply_entries<E: Entries>(
        &mut self,
        mut entries: E,
        end: impl FnOnce(E) -> Result<(u64, Vec<Notice>)>,
    ) -> Result<LayerReport> {
        let layer = self.report.layers.len();
        self.tree.reporter.layer = layer;
        self.tree.reporter.tell(&Event::LayerStarted { layer });
        let mut report = apply(&mut self.tree, &self.budget, &mut self.done, &mut entries)?;
        let (bytes, notices) = end(entries)?;
        report.archive_bytes = bytes;
        for notice in notices {
            self.tree.reporter.warn(b"", Warning::Format { reason: notice.to_string() })?;
        }
        self.tree.reporter.tell(&Event::LayerDone { layer, entries: report.entries, bytes: report.bytes });
        self.report.layers.push(report);
        Ok(report)
    }

    pub(crate) fn finish(mut self) -> Result<Report> {
        let (root, digests) = (self.tree.root_fd(), self.tree.digests.take());
        let overlay = self.tree.overlay_format();
        let reporter = self.tree.finish()?;
        let snapshot = match digests {
            Some(digests) => Some(Snapshot::of_unpacked(&root, digests)?),
            None => None,
        };
        Ok(Report { warnings: reporter.warnings, snapshot, overlay, ..self.report })
    }
}

/// Reads an archive that may have so many bytes as a layer may.
pub(crate) fn counted<R: BufRead>(stream: R, limits: &Limits) -> ArchiveReader<Counted<R>> {
    ArchiveReader::new(Counted { inner: stream, bytes: 0, maximum: limits.layer_bytes }, &limits.framing)
}

/// Counts against the limit of a layer.
pub(crate) struct Counted<R> {
    inner: R,
    bytes: u64,
    maximum: u64,
}

impl<R> Counted<R> {
    /// The stream, and how many bytes of it were read.
    pub(crate) fn into_parts(self) -> (R, u64) {
        (self.inner, self.bytes)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.inner.fill_buf()?;
        if bytes.len() as u64 > self.maximum.saturating_sub(self.bytes) {
            return Err(
                Error::Limit { limit: "uncompressed bytes of one layer", maximum: self.maximum }.into()
            );
        }
        Ok(bytes)
    }

    fn consume(&mut self, amount: usize) {
        self.bytes += amount as u64;
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

//! `oci-image append`.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Cancellable, Failure, ImageName, Progress};
use oci_digest::{Algorithm, CancelToken, Descriptor, HashReader, Platform, platform};
use oci_layout::ImageLayout;
use oci_layout::edit::{ImageEdit, LayerAddition};
use oci_unpack::compression::Decoder;
use oci_unpack::framing::{ArchiveReader, FramingLimits};
use oci_unpack::pack::{LayerWriter, PackEvent, pack_observed};

use crate::history::{self, HistoryFlags};
use crate::layer::{self, LayerFlags};

/// Puts a layer on top of an image
///
/// The layer is what a folder holds, or a tar archive (plain or compressed, by any tool) as it is, or removes names that
/// lower layers have. The tag then names the new image, or --tag does. An image in an index is changed in there.
#[derive(Debug, clap::Args)]
pub(crate) struct Append {
    /// The image: LAYOUT[:TAG]
    image: ImageName,
    /// A folder, or a tar archive
    #[arg(required_unless_present = "whiteout")]
    path: Option<PathBuf>,
    /// Instead of a path: a name that the image shall not have any more
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    whiteout: Vec<PathBuf>,
    /// The tag of the new image [default: the image's own]
    #[arg(long, value_name = "NEW-TAG")]
    tag: Option<String>,
    /// The platform to take of an image for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    #[command(flatten)]
    layer: LayerFlags,
    #[command(flatten)]
    history: HistoryFlags,
}

impl Append {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let tag = self.image.new_tag(self.tag.as_deref())?;
        let layout = self.image.open()?;
        let mut edit = ImageEdit::open_in(&layout, self.image.name_or_latest(), self.platform.as_ref())?;
        let mut addition = self.addition(&layout, &cancel)?;
        addition.history = self.history.entry("append")?;
        edit.append_layer(addition)?;
        edit.config_mut()?.created(history::now()?.as_str());
        edit.commit_in(&layout, &[tag])?;
        Ok(ExitCode::SUCCESS)
    }

    fn addition(&self, layout: &ImageLayout, cancel: &CancelToken) -> Result<LayerAddition, Failure> {
        let options = self.layer.options(layer::own_files())?;
        let packed = match &self.path {
            Some(path) if path.is_dir() => {
                let progress = Progress::new(false);
                let mut observer = |event| tell(&progress, &event);
                layer::store(layout, cancel, |out| Ok(pack_observed(path, out, &options, &mut observer)?.1))?
            }
            Some(path) => return archive(layout, path, cancel),
            None => layer::store(layout, cancel, |out| {
                let mut layer = LayerWriter::new(out, &options)?;
                for name in &self.whiteout {
                    layer.add_whiteout(name)?;
                }
                Ok(layer.finish()?.1)
            })?,
        };
        Ok(LayerAddition::new(packed.descriptor(), packed.diff_id))
    }
}

/// What a folder has and the layer has not.
pub(crate) fn tell(progress: &Progress, event: &PackEvent) {
    match event {
        PackEvent::SocketSkipped { path } => {
            progress.warn(&path.display().to_string(), "socket skipped: no layer can hold one");
        }
        PackEvent::XattrSkipped { path, name } => {
            let what = format!("extended attribute {name} left out: it describes this host");
            progress.warn(&path.display().to_string(), &what);
        }
        _ => {}
    }
}

/// A layer as it is. It is stored while it is read through: what is not an archive to its end must not become a layer.
fn archive(layout: &ImageLayout, path: &Path, cancel: &CancelToken) -> Result<LayerAddition, Failure> {
    let reading = |e: oci_unpack::Error| Failure::during(format!("reading {}", path.display()), e);
    let file = File::open(path).map_err(|e| Failure::during(format!("reading {}", path.display()), e))?;
    let mut writer = layout.writer(Algorithm::Sha256)?;
    let tee = Tee { from: file, to: Cancellable::new(&mut writer, cancel) };
    let decoder = Decoder::new(tee, None).map_err(reading)?;
    let Some(compression) = decoder.compression() else {
        return Err(Failure::new(format!("{} is empty: no archive", path.display())));
    };
    let tar = BufReader::with_capacity(256 << 10, HashReader::new(decoder, Algorithm::Sha256));
    let mut archive = ArchiveReader::new(tar, &FramingLimits::default());
    while archive.next_entry().map_err(reading)?.is_some() {}
    let (diff_id, _) = archive.finish().map_err(reading)?.into_inner().finish();
    let (digest, size) = writer.commit()?;
    Ok(LayerAddition::new(Descriptor::new(compression.media_type(), size, digest), diff_id))
}

/// Writes what it reads.
struct Tee<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.to.write_all(buffer.get(..n).unwrap_or_default())?;
        Ok(n)
    }
}

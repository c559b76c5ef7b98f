//! How a new layer is made.

use std::io::Write;

use examples::{Cancellable, Failure, source_date_epoch};
use oci_digest::{Algorithm, CancelToken};
use oci_layout::ImageLayout;
use oci_unpack::compression::Compression;
use oci_unpack::pack::{Owners, PackOptions, PackedLayer};

/// How a new layer is made.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Layer")]
pub(crate) struct LayerFlags {
    /// How the new layer is compressed
    #[arg(long, value_enum, default_value = "gzip")]
    compression: Compress,
    /// The compression level: 0 to 9 for gzip [default: 7 and 9 in turn], 1 to 22 for zstd [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=22))]
    level: Option<u32>,
    /// One owner for everything in the layer [default: the files' own, and 0:0 where those mean nothing
    /// outside]
    #[arg(long, value_name = "UID:GID", value_parser = ids)]
    owner: Option<(u32, u32)>,
    /// Write files that have pages of zeros as sparse entries, which unpack to files with holes
    #[arg(long)]
    sparse: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Compress {
    Gzip,
    Zstd,
    None,
}

impl LayerFlags {
    /// No file is younger than SOURCE_DATE_EPOCH. Unless --owner says otherwise, the owners are these.
    pub(crate) fn options(&self, owners: Owners) -> Result<PackOptions, Failure> {
        let mut options = PackOptions::default().sparse(self.sparse).compression(match self.compression {
            Compress::Gzip => Compression::Gzip,
            Compress::Zstd => Compression::Zstd,
            Compress::None => Compression::None,
        });
        if let Some(level) = self.level {
            options = options.level(level);
        }
        if let Some(seconds) = source_date_epoch()? {
            options = options.latest_mtime(seconds);
        }
        Ok(options.owners(match self.owner {
            Some((uid, gid)) => Owners::Fixed { uid, gid },
            None => owners,
        }))
    }
}

/// Whose are the files that a user puts into an image: root's keep their owners, while the ids of an ordinary user mean
/// nothing there.
pub(crate) fn own_files() -> Owners {
    if rustix::process::geteuid().is_root() { Owners::Keep } else { Owners::Fixed { uid: 0, gid: 0 } }
}

/// Stores what `write` writes as a layer's blob.
pub(crate) fn store(
    layout: &ImageLayout,
    cancel: &CancelToken,
    write: impl FnOnce(&mut dyn Write) -> Result<PackedLayer, oci_unpack::Error>,
) -> Result<PackedLayer, Failure> {
    let mut writer = layout.writer(Algorithm::Sha256)?;
    let packed = write(&mut Cancellable::new(&mut writer, cancel))
        .map_err(|e| Failure::during("making the layer", e))?;
    writer.commit()?;
    Ok(packed)
}

fn ids(text: &str) -> Result<(u32, u32), String> {
    text.split_once(':')
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
        .ok_or_else(|| "expected UID:GID, two numbers".to_owned())
}

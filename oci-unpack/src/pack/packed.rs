use std::path::PathBuf;

use oci_digest::{Descriptor, Digest};

use crate::compression::Compression;

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedLayer {
    /// The digest of the blob, for the manifest.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The digest of the uncompressed archive, for the config.
    pub diff_id: Digest,
    /// The size of the uncompressed archive in bytes.
    pub uncompressed_size: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// The number of entries.
    pub entries: u64,
}

impl PackedLayer {
    /// The blob's descriptor, as the manifest lists it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.compression.media_type(), self.size, self.digest.clone())
    }
}

/// What a folder has and its layer has not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackEvent {
    /// A socket: no layer can hold one, and it is of no use without its process.
    SocketSkipped {
        /// Its name below the folder.
        path: PathBuf,
    },
    /// An extended attribute that describes this host, not the file: labels, `trusted.*`, overlayfs' own.
    XattrSkipped {
        /// The file's name below the folder.
        path: PathBuf,
        /// The attribute's name.
        name: String,
    },
}

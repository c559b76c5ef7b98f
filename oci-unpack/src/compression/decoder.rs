use std::fmt;
use std::io::{self, Read};

use super::Compression;
use super::gzip::GzipMembers;
use super::input::Input;
use crate::framing::is_header;
use crate::{Error, Result};

/// Decodes a layer by what its bytes are, whatever its media type says.
///
/// The read that gives 0 has seen the blob's last byte and every trailer; before that nothing is sure. What is odd
/// but readable is told by [`notices`](Self::notices) then.
///
/// ```
/// use std::io::Read;
/// use oci_unpack::compression::{Compression, Decoder, Encoder};
///
/// let mut encoder = Encoder::new(Vec::new(), Compression::Zstd, None)?;
/// std::io::Write::write_all(&mut encoder, b"not really a layer")?;
/// let blob = encoder.finish()?;
///
/// let mut decoder = Decoder::new(&blob[..], Some(Compression::Gzip))?;
/// let mut bytes = Vec::new();
/// decoder.read_to_end(&mut bytes)?;
/// assert_eq!(bytes, b"not really a layer");
/// assert_eq!(decoder.compression(), Some(Compression::Zstd));
/// assert_eq!(decoder.notices().len(), 1); // declared gzip, found zstd
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Decoder<R: Read> {
    state: State<R>,
    declared: Option<Compression>,
    found: Option<Compression>,
    window: u64,
}

enum State<R: Read> {
    Plain(Input<R>),
    Gzip(Box<GzipMembers<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    #[cfg(feature = "xz")]
    Xz(liblzma::bufread::XzDecoder<Input<R>>),
    #[cfg(feature = "bzip2")]
    Bzip2(bzip2::bufread::MultiBzDecoder<Input<R>>),
}

/// Something odd about a blob that did not stop the decoding. A strict caller makes it an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The media type says one compression, the bytes are another.
    Mismatch {
        /// What the media type says.
        declared: Compression,
        /// What the bytes are.
        found: Compression,
    },
    /// Bytes that are not zeros follow the compressed stream.
    TrailingBytes {
        /// About how many.
        bytes: u64,
    },
}

/// The default limit of windows: 128 MiB, what `zstd --long` writes and readers take unasked.
pub(crate) const WINDOW: u64 = 1 << 27;

/// What the limit is called in errors.
const WINDOW_NAME: &str = "bytes of a compression window";

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `inner` and decodes accordingly. `declared` is what the media type says. Windows
    /// may have 128 MiB.
    ///
    /// # Errors
    /// [`Error::Compression`] when the bytes are compressed in a way that is not supported, which it names, or are
    /// neither what was declared nor anything known; what reading can meet.
    pub fn new(inner: R, declared: Option<Compression>) -> Result<Self> {
        Self::with_window(inner, declared, WINDOW)
    }

    /// Like [`new`](Self::new), with another limit for windows: what zstd (rounded down to a power of two, at least
    /// 1 KiB) and xz may ask to be kept in memory, in bytes. The window of gzip is 32 KiB, bzip2 needs 4 MiB at most.
    /// A blob that asks for more is an [`Error::Limit`] when it is read.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_window(inner: R, declared: Option<Compression>, window: u64) -> Result<Self> {
        let mut input = Input::new(inner);
        let start = input.peek(512).map_err(|e| Error::io("reading the layer", e))?;
        let found = if start.is_empty() { None } else { Some(sniff(start, declared)?) };
        let state = match found {
            None | Some(Compression::None) => State::Plain(input),
            Some(Compression::Gzip) => State::Gzip(Box::new(GzipMembers::new(input))),
            Some(Compression::Zstd) => {
                let broken = |e: io::Error| Error::Compression { reason: format!("zstd: {e}") };
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(broken)?;
                // 31 is the format's own end on 64 bits.
                decoder.window_log_max(window.max(1).ilog2().clamp(10, 31)).map_err(broken)?;
                State::Zstd(decoder)
            }
            #[cfg(feature = "xz")]
            Some(Compression::Xz) => {
                use liblzma::stream::{CONCATENATED, Stream, TELL_UNSUPPORTED_CHECK};
                // The dictionary and a little for the decoder itself.
                let memory = window.saturating_add(1 << 20);
                let stream = Stream::new_stream_decoder(memory, CONCATENATED | TELL_UNSUPPORTED_CHECK)
                    .map_err(|e| Error::Compression { reason: format!("xz: {e}") })?;
                State::Xz(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            #[cfg(feature = "bzip2")]
            Some(Compression::Bzip2) => State::Bzip2(bzip2::bufread::MultiBzDecoder::new(input)),
            #[cfg(not(all(feature = "xz", feature = "bzip2")))]
            Some(other) => return Err(not_supported(&other.to_string())),
        };
        Ok(Self { state, declared, found, window })
    }

    /// What the bytes are; `None` for a blob of no bytes, which is an empty layer only if the diffID says so, too.
    pub fn compression(&self) -> Option<Compression> {
        self.found
    }

    /// What is odd about the blob: complete once a read gave 0.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let (Some(declared), Some(found)) = (self.declared, self.found)
            && declared != found
        {
            notices.push(Notice::Mismatch { declared, found });
        }
        if let State::Gzip(members) = &self.state
            && members.garbage() > 0
        {
            notices.push(Notice::TrailingBytes { bytes: members.garbage() });
        }
        notices
    }

    /// The source, as far as it was read: to its end after a read that gave 0, else somewhere ahead of the decoding.
    pub fn into_inner(self) -> Option<R> {
        match self.state {
            State::Plain(input) => Some(input.into_inner()),
            State::Gzip(members) => members.into_input().map(Input::into_inner),
            State::Zstd(decoder) => Some(decoder.finish().into_inner()),
            #[cfg(feature = "xz")]
            State::Xz(decoder) => Some(decoder.into_inner().into_inner()),
            #[cfg(feature = "bzip2")]
            State::Bzip2(decoder) => Some(decoder.into_inner().into_inner()),
        }
    }

    fn source_failed(&self) -> bool {
        match &self.state {
            State::Plain(_) => true,
            State::Gzip(members) => members.input().is_some_and(Input::failed),
            State::Zstd(decoder) => decoder.get_ref().failed(),
            #[cfg(feature = "xz")]
            State::Xz(decoder) => decoder.get_ref().failed(),
            #[cfg(feature = "bzip2")]
            State::Bzip2(decoder) => decoder.get_ref().failed(),
        }
    }

    /// What is wrong with the stream.
    fn broken(&self, error: &io::Error) -> Error {
        if is_window(error) {
            return Error::Limit { limit: WINDOW_NAME, maximum: self.window };
        }
        let name = self.found.unwrap_or_default();
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("the {name} stream is cut"),
            _ => format!("{name}: {error}"),
        };
        Error::Compression { reason }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = match &mut self.state {
            State::Plain(input) => input.read(buf),
            State::Gzip(members) => members.read(buf),
            State::Zstd(decoder) => decoder.read(buf),
            #[cfg(feature = "xz")]
            State::Xz(decoder) => decoder.read(buf),
            #[cfg(feature = "bzip2")]
            State::Bzip2(decoder) => decoder.read(buf),
        };
        result.map_err(|e| if self.source_failed() { e } else { self.broken(&e).into() })
    }
}

/// Whether a decoder gave up because of the window it was asked for.
fn is_window(error: &io::Error) -> bool {
    #[cfg(feature = "xz")]
    if let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<liblzma::stream::Error>()) {
        return *error == liblzma::stream::Error::MemLimit;
    }
    // The text of ZSTD_error_frameParameter_windowTooLarge, all that its bindings pass on.
    error.to_string() == "Frame requires too much memory for decoding"
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("declared", &self.declared)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch { declared, found } => {
                write!(f, "the media type says {declared}, the bytes are {found}")
            }
            Self::TrailingBytes { bytes } => {
                write!(f, "about {bytes} bytes follow the compressed stream: not read")
            }
        }
    }
}

/// What the first bytes (512 if there are as many) are.
fn sniff(start: &[u8], declared: Option<Compression>) -> Result<Compression> {
    // A header with a right checksum is a tar archive, however its first name begins.
    if is_header(start) {
        return Ok(Compression::None);
    }
    let other = match start {
        [0x1f, 0x8b, ..] => return Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return Ok(Compression::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => {
            return Ok(Compression::Bzip2);
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
        [0x1f, 0x9d, ..] => "compress (.Z)",
        [b'L', b'Z', b'I', b'P', ..] => "lzip",
        // An archive without entries is zeros; what else is no header is for the tar parser to name.
        _ if start.iter().all(|&b| b == 0) || matches!(declared, None | Some(Compression::None)) => {
            return Ok(Compression::None);
        }
        _ => {
            let declared = declared.unwrap_or_default();
            return Err(Error::Compression {
                reason: format!(
                    "the bytes are neither {declared}, as the media type says, nor a tar archive"
                ),
            });
        }
    };
    Err(not_supported(other))
}

fn not_supported(name: &str) -> Error {
    Error::Compression { reason: format!("{name} is not supported") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::Encoder;
    use std::io::Write as _;

    fn decode(blob: &[u8], declared: Option<Compression>) -> Result<(Vec<u8>, Vec<Notice>)> {
        let mut decoder = Decoder::new(blob, declared)?;
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).map_err(|e| Error::io("reading", e))?;
        let notices = decoder.notices();
        assert_eq!(decoder.into_inner().unwrap(), b"", "read to the last byte");
        Ok((out, notices))
    }

    fn encode(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), compression, None).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn sample() -> Vec<u8> {
        (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
    }

    #[test]
    fn round_trips() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let blob = encode(compression, &sample());
            let (out, notices) = decode(&blob, Some(compression)).unwrap();
            assert!(out == sample() && notices.is_empty(), "{compression}");
        }
        assert_eq!(decode(b"plain", None).unwrap().0, b"plain");
        assert_eq!(decode(b"", Some(Compression::Gzip)).unwrap().0, b"");
    }

    #[test]
    fn members_frames_and_padding() {
        let gzip = |bytes: &[u8]| encode(Compression::Gzip, bytes);
        let zstd = |bytes: &[u8]| encode(Compression::Zstd, bytes);
        let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let many = gzip(b"").repeat(1000);
        for (blob, expected) in [
            ([gzip(b"one"), gzip(b"two")].concat(), "onetwo"),
            ([gzip(b"one"), vec![0; 300_000]].concat(), "one"),
            ([many, gzip(b"one")].concat(), "one"),
            ([zstd(b"one"), zstd(b"two")].concat(), "onetwo"),
            ([&skippable[..], &zstd(b"one"), &skippable, &zstd(b"two"), &skippable].concat(), "onetwo"),
        ] {
            assert_eq!(decode(&blob, None).unwrap(), (expected.into(), vec![]));
        }
    }

    /// Member ends fall on every place of the buffer, and of single reads.
    #[test]
    fn boundaries() {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = buf.len().min(self.1);
                self.0.read(&mut buf[..n])
            }
        }
        for compression in [Compression::Gzip, Compression::Zstd] {
            let text = sample()[..100].to_vec();
            let blob = encode(compression, &text).repeat(3000);
            assert!(blob.len() > 2 * (128 << 10));
            for piece in [1, 3, usize::MAX] {
                let mut out = Vec::new();
                Decoder::new(Pieces(&blob, piece), None).unwrap().read_to_end(&mut out).unwrap();
                assert!(out == text.repeat(3000), "{compression} {piece}");
            }
        }
    }

    #[test]
    fn gzip_with_every_field() {
        let mut blob = flate2::GzBuilder::new()
            .extra(vec![7; 60_000])
            .filename("name")
            .comment("comment")
            .write(Vec::new(), flate2::Compression::fast());
        blob.write_all(b"hi").unwrap();
        assert_eq!(decode(&blob.finish().unwrap(), None).unwrap().0, b"hi");
    }

    #[test]
    fn notices() {
        let blob = encode(Compression::Gzip, b"one");
        let (out, notices) = decode(&blob, Some(Compression::Zstd)).unwrap();
        assert_eq!(out, b"one");
        assert_eq!(notices, [Notice::Mismatch { declared: Compression::Zstd, found: Compression::Gzip }]);
        for garbage in [&b"\0\0garbage"[..], b"\x1fgarbage", b"\x1f"] {
            let (out, notices) = decode(&[&blob[..], garbage].concat(), None).unwrap();
            assert_eq!(out, b"one");
            assert!(matches!(notices[..], [Notice::TrailingBytes { .. }]));
        }
    }

    #[test]
    fn every_cut_and_every_broken_trailer_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let blob = encode(compression, b"some text, some text, some text");
            for cut in 5..blob.len() {
                let error = decode(&blob[..cut], Some(compression)).unwrap_err();
                assert!(matches!(error, Error::Compression { .. }), "{compression} {cut}: {error:?}");
            }
            let mut broken = blob;
            let last = broken.len() - 1;
            broken[last] ^= 1;
            assert!(matches!(decode(&broken, None), Err(Error::Compression { .. })), "{compression}");
        }
    }

    #[test]
    fn other_compressions_are_named() {
        for (start, name) in [
            (&b"\xfd7zXZ\0\0\x04"[..], "xz"),
            (b"BZh91AY&SY\0", "bzip2"),
            (b"BZh9\x17\x72\x45\x38\x50\x90\0", "bzip2"),
            (b"\x04\x22\x4d\x18", "lz4"),
        ] {
            if cfg!(feature = "xz") && name == "xz" || cfg!(feature = "bzip2") && name == "bzip2" {
                continue;
            }
            let error = decode(start, Some(Compression::Gzip)).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = decode(b"what is this", Some(Compression::Gzip)).unwrap_err();
        assert!(error.to_string().contains("neither gzip"), "{error}");
    }

    /// RFC 8878, 3.1.1.1.2: the window descriptor's exponent is five bits above a base of 10.
    #[test]
    fn zstd_windows_up_to_128_mib() {
        // Magic, frame header descriptor (no single segment, no size, no checksum), window descriptor, and one last
        // raw block of one byte.
        let frame = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0x09, 0, 0, b'x'];
        assert_eq!(decode(&frame(27), None).unwrap().0, b"x");
        for log in [28, 31] {
            assert!(matches!(decode(&frame(log), None), Err(Error::Limit { maximum: WINDOW, .. })), "{log}");
        }
    }

    #[test]
    fn a_failing_source_is_not_a_broken_stream() {
        struct Failing<'a>(&'a [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Err(Error::Cancelled.into()) } else { self.0.read(buf) }
            }
        }
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let blob = encode(compression, &sample());
            let mut decoder = Decoder::new(Failing(&blob[..blob.len() / 2]), None).unwrap();
            let error = decoder.read_to_end(&mut Vec::new()).unwrap_err();
            assert!(matches!(Error::io("", error), Error::Cancelled), "{compression}");
        }
    }
}

//! Any bytes as a blob: no panic, and the same output and the same end however they are read.

use std::io::{self, Read, Write as _};

use oci_unpack::compression::{Compression, Decoder, Encoder, Notice};

/// Bombs are decoded so far and no farther.
const MOST: u64 = 1 << 20;

/// The first byte chooses the declared compression and the size of the reads.
pub fn run(data: &[u8]) {
    let Some((choice, blob)) = data.split_first() else { return };
    let declared = [None, Some(Compression::None), Some(Compression::Gzip), Some(Compression::Zstd)];
    let declared = declared[usize::from(choice % 4)];
    let whole = decode(blob, declared, usize::MAX);
    assert_eq!(decode(blob, declared, usize::from(choice / 4) + 1), whole);
    if let Ok((_, Some(left), _)) = &whole {
        assert_eq!(*left, 0, "at the end all is read");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let encode = |compression| {
        let mut encoder = Encoder::new(Vec::new(), compression, None).unwrap();
        encoder.write_all(&b"some text, some text, some text ".repeat(20)).unwrap();
        encoder.finish().unwrap()
    };
    let (gzip, zstd) = (encode(Compression::Gzip), encode(Compression::Zstd));
    let mut every_field = flate2::GzBuilder::new()
        .extra(vec![7; 30])
        .filename("name")
        .comment("comment")
        .write(Vec::new(), flate2::Compression::fast());
    every_field.write_all(b"hi").unwrap();
    let mut checked = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    checked.include_checksum(true).unwrap();
    checked.write_all(b"checked").unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"skip"].concat();
    [
        gzip.repeat(2),
        [&gzip[..], &[0; 20]].concat(),
        [&gzip[..], b"garbage"].concat(),
        every_field.finish().unwrap(),
        zstd.repeat(2),
        [skippable, zstd].concat(),
        checked.finish().unwrap(),
        b"plain".to_vec(),
    ]
    .map(|blob| [&[2][..], &blob].concat())
    .into()
}

/// The output, what is left of the blob at its end, and the notices; or the error.
type Decoded = Result<(Vec<u8>, Option<usize>, Vec<Notice>), String>;

fn decode(blob: &[u8], declared: Option<Compression>, piece: usize) -> Decoded {
    // In which words zstd's library refuses something depends on the pieces that it meets it in.
    let text = |e: io::Error| {
        let text = oci_unpack::Error::io("", e).to_string();
        text.split_once("zstd: ").map_or(text.clone(), |(before, _)| format!("{before}zstd"))
    };
    let mut decoder = Decoder::new(Pieces(blob, piece), declared).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    let mut buffer = vec![0; piece.min(4096)];
    loop {
        match decoder.read(&mut buffer).map_err(text)? {
            0 => break,
            n => out.extend(&buffer[..n]),
        }
        if out.len() as u64 >= MOST {
            out.truncate(MOST as usize);
            return Ok((out, None, Vec::new()));
        }
    }
    let notices = decoder.notices();
    Ok((out, decoder.into_inner().map(|rest| rest.0.len()), notices))
}

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(self.1);
        self.0.read(&mut buf[..n])
    }
}

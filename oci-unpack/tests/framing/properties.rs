//! Whatever the bytes are: no panic, bounded memory, and the same events however the input is cut.

use oci_unpack::Result;
use oci_unpack::framing::{Decoder, Entry, Event, FramingLimits, Warning};
use proptest::prelude::*;

use crate::builder::*;

/// What came out of an archive: entries and joined data, and the error's message.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    entries: Vec<Entry>,
    /// Data per entry, pieces that follow each other joined.
    data: Vec<Vec<(u64, Vec<u8>)>>,
    warnings: Vec<Warning>,
    end: bool,
    position: u64,
    error: Option<String>,
}

fn decode(archive: &[u8], cuts: &[usize]) -> Seen {
    let mut seen = Seen::default();
    let mut decoder = Decoder::new(&FramingLimits::default());
    seen.error = run(&mut decoder, archive, cuts, &mut seen).err().map(|e| e.to_string());
    seen.warnings = decoder.warnings().collect();
    seen
}

fn run(decoder: &mut Decoder, archive: &[u8], cuts: &[usize], seen: &mut Seen) -> Result<()> {
    let mut rest = archive;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let len = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        loop {
            let (used, event) = decoder.decode(piece)?;
            assert!(used <= piece.len());
            match event {
                Event::NeedInput => {
                    assert_eq!(used, piece.len(), "all input is taken");
                    break;
                }
                Event::Entry(entry) => {
                    seen.entries.push(entry);
                    seen.data.push(Vec::new());
                }
                Event::Data { offset } => {
                    assert!(used > 0);
                    let data = seen.data.last_mut().unwrap();
                    match data.last_mut() {
                        Some((start, bytes)) if *start + bytes.len() as u64 == offset => {
                            bytes.extend(&piece[..used])
                        }
                        _ => data.push((offset, piece[..used].to_vec())),
                    }
                }
                Event::End => {
                    seen.end = true;
                    seen.position = decoder.position();
                    return Ok(());
                }
                _ => {}
            }
            piece = &piece[used..];
        }
    }
    decoder.end_of_input()
}

/// A well-formed archive out of the parts that there are.
fn archive() -> impl Strategy<Value = Vec<u8>> {
    let data = proptest::collection::vec(any::<u8>(), 0..1500);
    let part = (0..12u8, "[a-z/]{1,40}", data).prop_map(|(kind, name, data)| match kind {
        0 => Header::new(&name, b'5').block(),
        1 => Header::new(&name, b'2').link(&name).block(),
        2 => [pax(&[("path", &name), ("mtime", "1.5")]), Header::new("x", b'0').with(&data)].concat(),
        3 => [extension(b'L', name.repeat(5)), Header::new("x", b'0').with(&data)].concat(),
        4 => extension(b'g', record("uid", "5")),
        5 => [pax(&[("SCHILY.xattr.user.x", &name)]), Header::new(&name, b'0').with(&data)].concat(),
        6 => {
            let map = format!("1\n{}\n{}\n", 10, data.len());
            let size = (data.len() + 50).to_string();
            let records = [
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", &name[..]),
                ("GNU.sparse.realsize", &size),
            ];
            [pax(&records), Header::new("x", b'0').with([padded(map.as_bytes()), data].concat())].concat()
        }
        7 => Header::new(&name, b'S')
            .put(257, GNU)
            .put(386, format!("{:011o}\0{:011o}\0", 7, data.len()))
            .put(483, format!("{:011o}\0", data.len() + 9))
            .with(&data),
        _ => Header::new(&name, b'0').with(&data),
    });
    (proptest::collection::vec(part, 0..6), 0..3usize)
        .prop_map(|(parts, zeros)| [parts.concat(), vec![0; zeros * 512]].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        decode(&bytes, &[]);
    }

    #[test]
    fn built_archives_are_fine(archive in archive()) {
        prop_assert_eq!(decode(&archive, &[]).error, None);
    }

    #[test]
    fn cuts_change_nothing(
        archive in archive(),
        cuts in proptest::collection::vec(1..1200usize, 1..8),
        broken in proptest::option::of((any::<prop::sample::Index>(), any::<u8>(), any::<bool>())),
    ) {
        let mut archive = archive;
        if let Some((at, value, checksum)) = broken && !archive.is_empty() {
            let at = at.index(archive.len());
            archive[at] = value;
            if checksum {
                // So that what is wrong is seen by more than the checksum.
                repair(&mut archive, at / 512 * 512);
            }
        }
        let whole = decode(&archive, &[]);
        prop_assert_eq!(&decode(&archive, &cuts), &whole);
        prop_assert_eq!(&decode(&archive, &[1]), &whole);
    }
}

/// Makes the block at `start` a header with a right checksum.
fn repair(archive: &mut [u8], start: usize) {
    if let Some(block) = archive.get_mut(start..start + 512) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

//! Well-formed archives, whole and damaged: the same events however the input is cut.

use proptest::prelude::*;

use crate::builder::*;
use crate::targets::framing::{checksum, decode};

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
        if let Some((at, value, repair)) = broken && !archive.is_empty() {
            let at = at.index(archive.len());
            archive[at] = value;
            if repair {
                // So that what is wrong is seen by more than the checksum.
                if let Some(block) = archive.get_mut(at / 512 * 512..at / 512 * 512 + 512) {
                    checksum(block);
                }
            }
        }
        let whole = decode(&archive, &[]);
        prop_assert_eq!(&decode(&archive, &cuts), &whole);
        prop_assert_eq!(&decode(&archive, &[1]), &whole);
    }
}

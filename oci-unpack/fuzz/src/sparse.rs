//! Sparse maps in the four formats, against the rules in their plainest form.

use super::choices::Choices;
use super::framing::decode;
use super::layer::{Item, archive, extension, file, padded, raw, records};

/// The most that a map here spans: it is compared byte by byte.
const SIZE: u64 = 1 << 12;

/// (offset, length) pairs.
type Map = Vec<(u64, u64)>;

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let format = choices.below(4);
    let (size, sum_off) = (number(&mut choices), choices.one_in(8));
    let mut map = Map::new();
    let mut at: u64 = 0;
    while !choices.is_empty() && map.len() < 60 {
        // Mostly in order.
        let (gap, len) = (u64::from(choices.byte()) % 32, u64::from(choices.byte()) % 32);
        let offset = if choices.one_in(16) { number(&mut choices) } else { at.saturating_add(gap) };
        at = offset.saturating_add(len);
        map.push((offset, len));
    }
    let size = if choices.one_in(4) { size } else { at.max(size % 64) };
    // A map that lies may promise any amount; what is stored stays small.
    let sum = map.iter().map(|(_, len)| len).sum::<u64>() + u64::from(sum_off);
    let stored: Vec<u8> = (0..sum).map(|i| b'a' + (i % 26) as u8).collect();
    let seen = decode(&encode(format, &map, size, &stored), &[]);
    seen.check();
    let in_order = map.is_sorted_by(|a, b| a.0.checked_add(a.1).is_some_and(|end| end <= b.0));
    let inside = map.iter().all(|(offset, len)| offset.checked_add(*len).is_some_and(|end| end <= size));
    let fine = in_order && inside && !sum_off && size < 1 << 63;
    assert_eq!(seen.error.is_none(), fine, "format {format}, size {size}: {map:?}: {:?}", seen.error);
    if !fine {
        return;
    }
    assert_eq!((seen.entries.len(), seen.entries[0].size), (2, size), "{map:?}");
    assert_eq!(seen.entries[0].path, b"sparse");
    if size <= SIZE {
        let (mut want, mut got) = (vec![0; size as usize], vec![0; size as usize]);
        let mut rest = &stored[..];
        for (offset, len) in &map {
            let (part, after) = rest.split_at(*len as usize);
            want[*offset as usize..][..part.len()].copy_from_slice(part);
            rest = after;
        }
        for (offset, bytes) in &seen.data[0] {
            got[*offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(got, want, "format {format}: {map:?}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    (0..4).map(|format| [&[format, 0, 9, 0][..], &[8, 3, 0].repeat(30)].concat()).collect()
}

/// One of each format.
pub(crate) fn archives() -> Vec<Vec<u8>> {
    let map: Map = (0..6).map(|i| (i * 100, 10)).chain([(600, 0)]).collect();
    (0..4).map(|format| encode(format, &map, 600, &[b'd'; 60])).collect()
}

/// Small ones, and those at the edges.
fn number(choices: &mut Choices<'_>) -> u64 {
    let small = u64::from(choices.byte()) * 8;
    choices.of(&[small, small, small, small, 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX - 3])
}

fn encode(format: usize, map: &Map, size: u64, stored: &[u8]) -> Vec<u8> {
    let mut items = match format {
        0 => old_gnu(map, size, stored),
        1 => {
            let mut body = records(&[("GNU.sparse.size", &size.to_string())]);
            for (offset, len) in map {
                let pair =
                    [("GNU.sparse.offset", &*offset.to_string()), ("GNU.sparse.numbytes", &len.to_string())];
                body.extend(records(&pair));
            }
            vec![extension(b'x', body), file("sparse", stored)]
        }
        2 => {
            let list: Vec<_> = map.iter().map(|(offset, len)| format!("{offset},{len}")).collect();
            vec![
                file("sparse", stored)
                    .pax("GNU.sparse.size", size.to_string())
                    .pax("GNU.sparse.map", list.join(",")),
            ]
        }
        _ => {
            let lines: String = map.iter().map(|(offset, len)| format!("{offset}\n{len}\n")).collect();
            let lines = format!("{}\n{lines}", map.len());
            let item = file("0/sparse", [padded(lines.as_bytes()), stored.to_vec()].concat())
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.name", "sparse")
                .pax("GNU.sparse.realsize", size.to_string());
            vec![item]
        }
    };
    items.push(file("next", "n"));
    archive(&items)
}

/// Twelve bytes each, in base-256 where octal digits do not do.
fn old_gnu(map: &Map, size: u64, stored: &[u8]) -> Vec<Item> {
    let field = |value: u64| match value {
        0..0o77777777777 => format!("{value:011o}\0").into_bytes(),
        _ => [&[0x80, 0, 0, 0][..], &value.to_be_bytes()].concat(),
    };
    let pairs = |map: &[(u64, u64)]| -> Vec<u8> {
        map.iter().flat_map(|(offset, len)| [field(*offset), field(*len)].concat()).collect()
    };
    let (head, rest) = map.split_at(map.len().min(4));
    let header = file("sparse", "")
        .flag(b'S')
        .magic(b"ustar  \0")
        .size(stored.len() as u64)
        .at(386, pairs(head))
        .at(482, [u8::from(!rest.is_empty())])
        .at(483, field(size));
    let mut items = vec![header];
    let mut blocks = rest.chunks(21).peekable();
    while let Some(chunk) = blocks.next() {
        let mut block = pairs(chunk);
        block.resize(512, 0);
        block[504] = u8::from(blocks.peek().is_some());
        items.push(raw(block));
    }
    items.push(raw(padded(stored)));
    items
}

//! Layers built byte by byte: nothing between a test and its headers.

/// The time of entries that say nothing else, in seconds.
pub(crate) const TIME: i64 = 1000;

/// One entry of a layer.
#[derive(Clone)]
pub(crate) struct Item {
    name: Vec<u8>,
    flag: u8,
    link: Vec<u8>,
    data: Vec<u8>,
    size: Option<u64>,
    mode: u32,
    owner: (u64, u64),
    names: &'static [u8],
    device: (u64, u64),
    pax: Vec<(Vec<u8>, Vec<u8>)>,
    magic: &'static [u8],
    /// Fields of the header that are written over the rest, before the checksum.
    fields: Vec<(usize, Vec<u8>)>,
    /// These bytes instead of all else.
    raw: Option<Vec<u8>>,
    /// Whether the archive ends without a mark when this is its last item.
    cut: bool,
}

pub(crate) fn item(name: impl AsRef<[u8]>, flag: u8) -> Item {
    Item {
        name: name.as_ref().to_vec(),
        flag,
        link: Vec::new(),
        data: Vec::new(),
        size: None,
        mode: if flag == b'5' { 0o755 } else { 0o644 },
        owner: (0, 0),
        names: b"root",
        device: (0, 0),
        pax: Vec::new(),
        magic: b"ustar\x0000",
        fields: Vec::new(),
        raw: None,
        cut: false,
    }
}

/// Bytes as they are, in the place of an entry.
pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Item {
    Item { raw: Some(bytes.into()), ..item("", 0) }
}

/// The last item of an archive that has no end mark behind these bytes.
pub(crate) fn cut(bytes: impl Into<Vec<u8>>) -> Item {
    Item { cut: true, ..raw(bytes) }
}

/// An extension header: PAX records (`x`, `g`), or a GNU long name or target (`L`, `K`).
pub(crate) fn extension(flag: u8, body: impl AsRef<[u8]>) -> Item {
    file("extension", body).flag(flag)
}

/// Several records for the body of an extension header.
pub(crate) fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| record(key.as_bytes(), value.as_bytes())).collect()
}

pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
    Item { data: data.as_ref().to_vec(), ..item(name, b'0') }
}

pub(crate) fn dir(name: impl AsRef<[u8]>) -> Item {
    item(name, b'5')
}

pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    item(name, b'2').link(target)
}

pub(crate) fn hard(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
    item(name, b'1').link(target)
}

pub(crate) fn fifo(name: impl AsRef<[u8]>) -> Item {
    item(name, b'6')
}

pub(crate) fn chr(name: &str, major: u64, minor: u64) -> Item {
    Item { device: (major, minor), ..item(name, b'3') }
}

/// A marker: an empty file, as most tools write it.
pub(crate) fn wh(name: &str) -> Item {
    file(name, "")
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let link =
            if self.link.is_empty() { String::new() } else { format!(" {}", self.link.escape_ascii()) };
        write!(f, "{} {}{link}", self.flag as char, self.name.escape_ascii())
    }
}

impl Item {
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub(crate) fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    pub(crate) fn time(self, time: &str) -> Self {
        self.pax("mtime", time)
    }

    pub(crate) fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    pub(crate) fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.into(), value.as_ref().to_vec()));
        self
    }

    /// A size in the header that is not that of the data.
    pub(crate) fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    pub(crate) fn names(mut self, names: &'static [u8]) -> Self {
        self.names = names;
        self
    }

    pub(crate) fn magic(mut self, magic: &'static [u8]) -> Self {
        self.magic = magic;
        self
    }

    pub(crate) fn flag(mut self, flag: u8) -> Self {
        self.flag = flag;
        self
    }

    /// Writes over a part of the header; the checksum is made after it.
    pub(crate) fn at(mut self, offset: usize, bytes: impl AsRef<[u8]>) -> Self {
        self.fields.push((offset, bytes.as_ref().to_vec()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut pax = self.pax.clone();
        let mut name = self.name.as_slice();
        let mut link = self.link.as_slice();
        if name.len() > 100 {
            pax.push((b"path".to_vec(), name.to_vec()));
            name = b"long";
        }
        if link.len() > 100 {
            pax.push((b"linkpath".to_vec(), link.to_vec()));
            link = b"long";
        }
        if self.owner.0 >= 1 << 21 {
            pax.push((b"uid".to_vec(), self.owner.0.to_string().into_bytes()));
        }
        if self.owner.1 >= 1 << 21 {
            pax.push((b"gid".to_vec(), self.owner.1.to_string().into_bytes()));
        }
        let mut out = Vec::new();
        if !pax.is_empty() {
            let body: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            out.extend(block(b"pax", b'x', b"", body.len() as u64, |_| {}));
            out.extend(padded(&body));
        }
        let size = self.size.unwrap_or(self.data.len() as u64);
        out.extend(block(name, self.flag, link, size, |header| {
            put(header, 100, format!("{:07o}\0", self.mode).as_bytes());
            put(header, 108, format!("{:07o}\0", self.owner.0 & 0o7777777).as_bytes());
            put(header, 116, format!("{:07o}\0", self.owner.1 & 0o7777777).as_bytes());
            put(header, 257, self.magic);
            put(header, 265, self.names);
            put(header, 297, self.names);
            put(header, 329, format!("{:07o}\0", self.device.0).as_bytes());
            put(header, 337, format!("{:07o}\0", self.device.1).as_bytes());
            for (offset, bytes) in &self.fields {
                put(header, *offset, bytes);
            }
        }));
        out.extend(padded(&self.data));
        out
    }
}

/// An archive, with its end mark unless its last item is a [`cut`].
pub(crate) fn archive(items: &[Item]) -> Vec<u8> {
    let mut out: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
    if !items.last().is_some_and(|last| last.cut) {
        out.extend([0; 1024]);
    }
    out
}

fn block(name: &[u8], flag: u8, link: &[u8], size: u64, more: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    let mut header = [0; 512];
    put(&mut header, 0, name);
    put(&mut header, 124, format!("{size:011o}\0").as_bytes());
    put(&mut header, 136, format!("{TIME:011o}\0").as_bytes());
    put(&mut header, 156, &[flag]);
    put(&mut header, 157, link);
    put(&mut header, 257, b"ustar\x0000");
    more(&mut header);
    put(&mut header, 148, b"        ");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    header.to_vec()
}

fn put(header: &mut [u8; 512], offset: usize, bytes: &[u8]) {
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
}

pub(crate) fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(512), 0);
    data
}

pub(crate) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap();
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

//! Archives built byte by byte, so that every field can be wrong.

/// One header block.
#[derive(Clone)]
pub(crate) struct Header([u8; 512]);

pub(crate) const USTAR: &[u8] = b"ustar\x0000";
pub(crate) const GNU: &[u8] = b"ustar  \0";

impl Header {
    pub(crate) fn new(name: impl AsRef<[u8]>, flag: u8) -> Self {
        Self([0; 512])
            .put(0, name)
            .put(100, "0000644\0")
            .put(108, "0000000\0")
            .put(116, "0000000\0")
            .size(0)
            .put(136, "00000000000\0")
            .put(156, [flag])
            .put(257, USTAR)
    }

    pub(crate) fn put(mut self, offset: usize, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn size(self, size: u64) -> Self {
        self.put(124, format!("{size:011o}\0"))
    }

    pub(crate) fn link(self, link: impl AsRef<[u8]>) -> Self {
        self.put(157, link)
    }

    /// The block with its checksum.
    pub(crate) fn block(self) -> Vec<u8> {
        let summed = self.put(148, "        ");
        let sum: u32 = summed.0.iter().map(|&b| u32::from(b)).sum();
        summed.put(148, format!("{sum:06o}\0 ")).0.to_vec()
    }

    /// The block and its data, padded; the size is the data's.
    pub(crate) fn with(self, data: impl AsRef<[u8]>) -> Vec<u8> {
        let data = data.as_ref();
        [self.size(data.len() as u64).block(), padded(data)].concat()
    }
}

pub(crate) fn padded(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(512), 0);
    data
}

pub(crate) fn file(name: &str, data: &str) -> Vec<u8> {
    Header::new(name, b'0').with(data)
}

pub(crate) fn next() -> Vec<u8> {
    file("next", "n")
}

pub(crate) fn end() -> Vec<u8> {
    vec![0; 1024]
}

pub(crate) fn extension(flag: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    Header::new("extension", flag).with(body)
}

pub(crate) fn record(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let rest = key.len() + value.len() + 3;
    let len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap();
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    extension(b'x', body)
}

//! What header and extension headers say of an entry, put together.

use super::{Decoder, Event, State};
use crate::framing::entry::{Entry, EntryKind, Segment};
use crate::framing::fault::{Fault, shown};
use crate::framing::header::Header;
use crate::framing::pax::{Records, SparseRecords};
use crate::framing::sparse::{MapLines, SparseMap};
use crate::framing::{FramingLimits, Timestamp, Warning};

impl Decoder {
    /// The header of an entry: everything that is known about it comes together.
    pub(super) fn entry(&mut self, header: &Header<'_>) -> Result<Option<Event>, Fault> {
        // The buffer of the bodies is used again, unless one was large.
        let body = std::mem::take(&mut self.pending.body);
        let pending = std::mem::take(&mut self.pending);
        if body.capacity() <= 64 << 10 {
            self.pending.body = body;
        }
        let Records {
            path,
            link,
            size,
            uid,
            gid,
            mtime,
            device_major,
            device_minor,
            xattrs,
            sparse,
            unsupported,
        } = pending.records;

        let pax_path = sparse.name.clone().set().or(path.set());
        let path = agreed("name", pax_path, pending.long_name)?.unwrap_or_else(|| header.path());
        self.last.clone_from(&path);
        self.in_entry = true;
        self.last_claims_data = false;
        check_name(&path, &self.limits)?;
        let flag = header.type_flag();
        let device = || -> Result<(u32, u32), Fault> {
            let major = device_major.set().map_or_else(|| header.device_major(), Ok)?;
            let minor = device_minor.set().map_or_else(|| header.device_minor(), Ok)?;
            Ok((major, minor))
        };
        let kind = match flag {
            // Archives from before there was a type for directories.
            0 if path.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::Regular,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => device().map(|(major, minor)| EntryKind::CharDevice { major, minor })?,
            b'4' => device().map(|(major, minor)| EntryKind::BlockDevice { major, minor })?,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            _ => return Err(format!("unknown entry type {:?}", char::from(flag)).into()),
        };
        let link = match kind {
            EntryKind::HardLink | EntryKind::Symlink => agreed("link target", link.set(), pending.long_link)?
                .unwrap_or_else(|| header.link().to_vec()),
            _ => Vec::new(),
        };
        let stored = match (kind, size.set()) {
            (EntryKind::Regular, Some(size)) => size,
            (EntryKind::Regular, None) => header.size()?,
            _ => {
                self.last_claims_data = header.size()? > 0;
                if flag == 0 && self.last_claims_data {
                    return Err("a directory with data".into());
                }
                0
            }
        };
        let entry = Entry {
            kind,
            link,
            size: stored,
            mode: header.mode()?,
            uid: uid.or(self.global.uid).map_or_else(|| header.uid(), Ok)?,
            gid: gid.or(self.global.gid).map_or_else(|| header.gid(), Ok)?,
            mtime: match mtime.or(self.global.mtime) {
                Some(mtime) => mtime,
                None => Timestamp { seconds: header.mtime()?, nanos: 0 },
            },
            xattrs: xattrs.into_list(),
            segments: None,
            path,
        };
        for key in unsupported {
            self.warnings.push(Warning::UnsupportedRecord { entry: shown(&self.last), key });
        }
        if flag == b'S' && !sparse.any {
            return self.gnu_sparse(entry, header, stored);
        }
        if sparse.any {
            return self.pax_sparse(entry, sparse, stored);
        }
        let whole = Segment { offset: 0, len: stored };
        Ok(Some(self.begin_data(entry, whole, Vec::new(), stored)))
    }

    fn gnu_sparse(
        &mut self,
        mut entry: Entry,
        header: &Header<'_>,
        stored: u64,
    ) -> Result<Option<Event>, Fault> {
        let (pairs, more, size) = header.gnu_sparse()?;
        entry.size = size;
        let mut map = SparseMap::default();
        map.push_gnu(pairs, self.limits.sparse_segments)?;
        if more {
            self.state = State::GnuMap { entry, map, stored };
            return Ok(None);
        }
        self.sparse_entry(entry, map, stored, stored).map(Some)
    }

    fn pax_sparse(
        &mut self,
        mut entry: Entry,
        sparse: SparseRecords,
        stored: u64,
    ) -> Result<Option<Event>, Fault> {
        if entry.kind != EntryKind::Regular {
            return Err("a sparse map on something else than a file".into());
        }
        entry.size = sparse.size.ok_or("a sparse file without its size")?;
        match (sparse.major, sparse.minor) {
            (1, 0) => {
                if stored == 0 {
                    return Err("a sparse file without its map".into());
                }
                self.state = State::PaxMap { entry, lines: MapLines::default(), stored };
                Ok(None)
            }
            (0, 0 | 1) => {
                let map = SparseMap::from_numbers(&sparse.numbers, self.limits.sparse_segments)?;
                if sparse.blocks.is_some_and(|blocks| blocks != sparse.numbers.len() as u64 / 2) {
                    return Err("the sparse map has another number of segments than it says".into());
                }
                self.sparse_entry(entry, map, stored, stored).map(Some)
            }
            (major, minor) => Err(format!("unknown sparse format {major}.{minor}").into()),
        }
    }

    /// A sparse entry whose map is complete. `data` bytes of the `stored` ones are the file's content.
    pub(super) fn sparse_entry(
        &mut self,
        mut entry: Entry,
        map: SparseMap,
        data: u64,
        stored: u64,
    ) -> Result<Event, Fault> {
        let segments = map.finish(entry.size, data)?;
        entry.segments = Some(segments.clone());
        Ok(self.begin_data(entry, Segment { offset: 0, len: 0 }, segments, stored))
    }
}

/// The name that PAX and GNU extension headers agree on, if there are any.
///
/// Readers differ in which one they prefer; an archive where they differ would be two archives.
fn agreed(what: &str, pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Fault> {
    match (pax, gnu) {
        (Some(pax), Some(gnu)) if pax != gnu => {
            Err(format!("the PAX {what} {:?} differs from the GNU one {:?}", shown(&pax), shown(&gnu)).into())
        }
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

fn check_name(path: &[u8], limits: &FramingLimits) -> Result<(), Fault> {
    const COMPONENT: usize = 255;
    if path.is_empty() {
        return Err("an entry has no name".into());
    }
    if path.len() > limits.path_bytes {
        return Err(Fault::too_long(path, limits.path_bytes));
    }
    if path.len() > COMPONENT && path.split(|&b| b == b'/').any(|component| component.len() > COMPONENT) {
        return Err("a component of the name is longer than 255 bytes".into());
    }
    Ok(())
}

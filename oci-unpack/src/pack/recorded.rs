//! What an ordinary user's tree only records of its files becomes what their entries say.

use std::collections::HashMap;

use super::PackOptions;
use super::node::Node;
use crate::framing::{Entry, EntryKind};
use crate::recorded::{Form, Kind};
use crate::{Error, Result};

/// The records of one tree, in whatever form, if any.
#[derive(Debug)]
pub(crate) struct Records {
    form: Option<Form>,
    /// Owner and mode of files with more than one name, by device and inode: only the first name is opened. `None`
    /// for sockets.
    linked: HashMap<(u64, u64), Option<Owned>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owned {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Records {
    pub(crate) fn of(options: &PackOptions) -> Self {
        Self { form: options.owners.form(), linked: HashMap::new() }
    }

    /// Takes the record out of an entry's attributes and makes it true. `false`: the entry stands for a socket, which
    /// no layer can hold.
    pub(crate) fn restore(&mut self, node: &Node, entry: &mut Entry) -> Result<bool> {
        let Some(form) = self.form else { return Ok(true) };
        let inode = node.identity.inode();
        if node.kind == EntryKind::HardLink {
            let first = self.linked.get(&inode).copied();
            if let Some(Some(Owned { uid, gid, mode })) = first {
                (entry.uid, entry.gid, entry.mode) = (uid, gid, mode);
            }
            return Ok(first != Some(None));
        }
        let stays = apply(entry, form)?;
        if node.linked {
            let owned = Owned { uid: entry.uid, gid: entry.gid, mode: entry.mode };
            self.linked.insert(inode, stays.then_some(owned));
        }
        Ok(stays)
    }
}

fn apply(entry: &mut Entry, form: Form) -> Result<bool> {
    let mut record = None;
    entry.xattrs.retain(|(name, value)| {
        // The list is sorted, and the newer of two names is the one that sorts first.
        let claimed = form.claims(name);
        if claimed && record.is_none() {
            record = Some(value.clone());
        }
        !claimed
    });
    let Some(record) = record else { return Ok(true) };
    let record = form.parse(&record).map_err(|reason| Error::entry(&entry.path, reason))?;
    entry.uid = record.uid.unwrap_or(entry.uid);
    entry.gid = record.gid.unwrap_or(entry.gid);
    entry.mode = record.mode.unwrap_or(entry.mode);
    let stands_for = match record.kind {
        None => return Ok(true),
        Some(Kind::Entry(kind)) if kind == entry.kind => return Ok(true),
        Some(Kind::Entry(kind)) => Some(kind),
        Some(Kind::Socket) => None,
    };
    if entry.kind != EntryKind::Regular
        || matches!(stands_for, Some(EntryKind::Regular | EntryKind::Directory | EntryKind::Symlink))
    {
        return Err(Error::entry(&entry.path, "its record says that it is something else"));
    }
    if entry.size > 0 {
        let reason = "its record says that it is a device, a pipe or a socket, but it has content";
        return Err(Error::entry(&entry.path, reason));
    }
    entry.kind = stands_for.unwrap_or(entry.kind);
    Ok(stands_for.is_some())
}

//! A disk that loses its power: what a process did to files, recorded by strace(1), and the states a disk may be in after
//! any part of it.
//!
//! The model is the strict reading of POSIX: bytes are on the disk when their file was synced, names when their folder
//! was, and everything else may be there or not.

mod log;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

pub(crate) use log::{Call, TRACED, calls};

/// What of the things that were not forced to the disk is there all the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Survives {
    /// Nothing.
    Nothing,
    /// All names, and no bytes: files are empty, or as long as they were synced.
    Names,
    /// All bytes, and no names.
    Bytes,
    /// Everything.
    All,
    /// Anything; the number is the seed.
    Some(u64),
}

/// The files below one folder.
pub(crate) struct Disk {
    nodes: Vec<Node>,
    heeds: Heeds,
    /// How many calls there were, and at which of them each node was as it is synced.
    time: usize,
    synced_at: BTreeMap<usize, usize>,
    /// What syncs that have not returned will have promised: by when they began, the nodes as they were.
    begun: BTreeMap<usize, (usize, Vec<(usize, Node)>)>,
}

/// Everything below a folder by path; folders, which come before what is in them, have no bytes.
pub(crate) type State = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Which calls that force things to the disk do so: a disk that heeds fewer shows that they are needed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heeds {
    All,
    OfFiles,
    OfFolders,
}

#[derive(Clone)]
enum Node {
    File { bytes: Vec<u8>, synced: Vec<u8> },
    Folder { names: BTreeMap<String, usize>, synced: BTreeMap<String, usize> },
}

impl Node {
    fn folder() -> Self {
        Self::Folder { names: BTreeMap::new(), synced: BTreeMap::new() }
    }

    fn file() -> Self {
        Self::File { bytes: Vec::new(), synced: Vec::new() }
    }

    /// On the disk is what another state of it has.
    fn sync(&mut self, as_in: &Self) {
        match (self, as_in) {
            (Self::File { synced, .. }, Self::File { bytes, .. }) => synced.clone_from(bytes),
            (Self::Folder { synced, .. }, Self::Folder { names, .. }) => synced.clone_from(names),
            _ => unreachable!("a file is no folder"),
        }
    }
}

/// Of a process: what its descriptors are.
#[derive(Default)]
pub(crate) struct Descriptors {
    open: BTreeMap<i64, (usize, usize)>,
}

impl Disk {
    /// One empty folder.
    pub(crate) fn new(heeds: Heeds) -> Self {
        let (synced_at, begun) = Default::default();
        Self { nodes: vec![Node::folder()], heeds, time: 0, synced_at, begun }
    }

    /// Does what a call did. `false`: nothing to these files.
    pub(crate) fn apply(&mut self, call: &Call, descriptors: &mut Descriptors) -> bool {
        let open = &mut descriptors.open;
        self.time += 1;
        match call {
            Call::Open { at, path, create, unnamed, truncate, fd } => {
                let Some((folder, name)) = self.locate(*at, path, open) else { return false };
                let (node, changed) = if *unnamed {
                    (self.add(Node::file()), false)
                } else {
                    match (self.look(folder, &name), *create) {
                        (Some(node), _) => (node, false),
                        (None, true) => {
                            let node = self.add(Node::file());
                            self.names(folder).insert(name, node);
                            (node, true)
                        }
                        (None, false) => panic!("opened what is not there: {path}"),
                    }
                };
                if *truncate && let Node::File { bytes, .. } = &mut self.nodes[node] {
                    bytes.clear();
                }
                open.insert(*fd, (node, 0));
                changed || *truncate
            }
            Call::Write { fd, bytes: new } => {
                let Some((node, position)) = open.get_mut(fd) else { return false };
                let Node::File { bytes, .. } = &mut self.nodes[*node] else { panic!("wrote to a folder") };
                let end = *position + new.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*position..end].copy_from_slice(new);
                *position = end;
                true
            }
            Call::Truncate { fd, size } => {
                let Some((node, _)) = open.get(fd) else { return false };
                let Node::File { bytes, .. } = &mut self.nodes[*node] else { panic!("truncated a folder") };
                bytes.resize(*size, 0);
                true
            }
            Call::Seek { fd, to } => {
                if let Some((_, position)) = open.get_mut(fd) {
                    *position = *to;
                }
                false
            }
            Call::Duplicate { fd, new } => {
                if let Some(node) = open.get(fd).copied() {
                    open.insert(*new, node);
                }
                false
            }
            Call::Close { fd } => {
                open.remove(fd);
                false
            }
            Call::Syncing { fd, all, began } => {
                if let Some((node, _)) = open.get(fd) {
                    self.begun.insert(*began, (self.time, self.states(*node, *all)));
                }
                false
            }
            Call::Sync { fd, began } => {
                let Some((node, _)) = open.get(fd) else { return false };
                let heeded = match (self.heeds, &self.nodes[*node]) {
                    (Heeds::All, _) => true,
                    (Heeds::OfFiles, node) => matches!(node, Node::File { .. }),
                    (Heeds::OfFolders, node) => matches!(node, Node::Folder { .. }),
                };
                if heeded {
                    self.sync(*node, false, *began);
                }
                true
            }
            Call::SyncAll { fd, began } => {
                let Some((node, _)) = open.get(fd) else { return false };
                self.sync(*node, true, *began);
                true
            }
            Call::Folder { at, path } => {
                let Some((folder, name)) = self.locate(*at, path, open) else { return false };
                let node = self.add(Node::folder());
                self.names(folder).insert(name, node);
                true
            }
            Call::Link { from, at, path } => {
                let Some((folder, name)) = self.locate(*at, path, open) else { return false };
                let (node, _) = open[from];
                self.names(folder).insert(name, node);
                true
            }
            Call::Rename { from, to } => {
                let Some((folder, name)) = self.locate(from.0, &from.1, open) else { return false };
                let node = self.names(folder).remove(&name).expect("renamed what is not there");
                let (folder, name) = self.locate(to.0, &to.1, open).expect("renamed to elsewhere");
                self.names(folder).insert(name, node);
                true
            }
            Call::Unlink { at, path } => {
                let Some((folder, name)) = self.locate(*at, path, open) else { return false };
                self.names(folder).remove(&name).is_some()
            }
            Call::Said { .. } => false,
        }
    }

    /// What is there after a loss of power: files by path, and folders without bytes.
    pub(crate) fn after_loss(&self, survives: Survives) -> State {
        let mut chance = match survives {
            Survives::Some(seed) => Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            _ => Chance(1),
        };
        let mut state = State::new();
        self.gather(0, survives, &mut chance, Path::new(""), &mut state);
        state
    }

    fn gather(&self, node: usize, survives: Survives, chance: &mut Chance, at: &Path, state: &mut State) {
        match &self.nodes[node] {
            Node::File { bytes, synced } => {
                let bytes: &[u8] = match survives {
                    Survives::All | Survives::Bytes => bytes,
                    Survives::Nothing | Survives::Names => synced,
                    Survives::Some(_) if bytes == synced => bytes,
                    Survives::Some(_) => match chance.below(3) {
                        0 => synced,
                        1 => bytes,
                        _ => &bytes[..chance.below(bytes.len() + 1)],
                    },
                };
                state.insert(at.to_owned(), Some(bytes.to_vec()));
            }
            Node::Folder { names, synced } => {
                state.insert(at.to_owned(), None);
                let mut all = synced.clone();
                all.extend(names.clone());
                for name in all.keys() {
                    let there = match survives {
                        Survives::All | Survives::Names => names.get(name),
                        Survives::Nothing | Survives::Bytes => synced.get(name),
                        Survives::Some(_) if chance.below(2) == 0 => names.get(name),
                        Survives::Some(_) => synced.get(name),
                    };
                    if let Some(node) = there {
                        self.gather(*node, survives, chance, &at.join(name), state);
                    }
                }
            }
        }
    }

    /// A node as it is, or all of them.
    fn states(&self, node: usize, all: bool) -> Vec<(usize, Node)> {
        let wanted = self.nodes.iter().enumerate().filter(|(n, _)| all || *n == node);
        wanted.map(|(n, state)| (n, state.clone())).collect()
    }

    /// Syncs a node, or all, as they were when the call began.
    fn sync(&mut self, node: usize, all: bool, began: Option<usize>) {
        let begun = began.and_then(|began| self.begun.remove(&began));
        let (time, states) = begun.unwrap_or_else(|| (self.time, self.states(node, all)));
        for (node, state) in states {
            let at = self.synced_at.entry(node).or_default();
            // One that began later has returned already.
            if *at < time {
                *at = time;
                self.nodes[node].sync(&state);
            }
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn names(&mut self, folder: usize) -> &mut BTreeMap<String, usize> {
        match &mut self.nodes[folder] {
            Node::Folder { names, .. } => names,
            Node::File { .. } => panic!("a name in a file"),
        }
    }

    fn look(&self, folder: usize, name: &str) -> Option<usize> {
        match &self.nodes[folder] {
            _ if name == "." => Some(folder),
            Node::Folder { names, .. } => names.get(name).copied(),
            Node::File { .. } => None,
        }
    }

    /// The folder and the last name of a path; `None` when it is not below ours. Paths in the log that lie below the
    /// recorded folder begin with `/`.
    fn locate(
        &self,
        at: Option<i64>,
        path: &str,
        open: &BTreeMap<i64, (usize, usize)>,
    ) -> Option<(usize, String)> {
        let mut folder = match (path.starts_with('/'), at) {
            (true, _) => 0,
            (false, Some(fd)) => open.get(&fd)?.0,
            (false, None) => return None,
        };
        let names: Vec<&str> = Path::new(path)
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => name.to_str(),
                Component::CurDir => Some("."),
                _ => None,
            })
            .collect();
        let Some((last, parents)) = names.split_last() else { return Some((folder, ".".to_owned())) };
        for name in parents {
            folder = self.look(folder, name)?;
        }
        Some((folder, (*last).to_owned()))
    }
}

/// xorshift64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % n
    }
}

//! What is known of the tree's directories: a trie of names that holds no links, so that a [`DirId`] is one
//! directory however an entry spelt its name.
//!
//! It also remembers, per directory, what the layer at work brought. Whiteouts hide what lower layers hold and
//! only that (image-spec layer.md, Whiteouts), wherever in the layer they stand, so that they must be able to tell.
//! A directory that holds nothing lower (made by this layer, or swept by it) needs no such list: it is *clean*.

use std::collections::{HashMap, HashSet};

use crate::framing::Timestamp;

/// A directory of the tree. Ids are never used again, so that a stale one is dead and not another directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DirId(u32);

/// The root of the tree.
pub(crate) const ROOT: DirId = DirId(0);

/// What the final pass gives a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    /// No entry names it: 0755, 0:0, time 0, no extended attributes.
    Implicit,
    /// The newest entry that names it.
    Listed(Box<Listed>),
    /// It was there before us and no entry names it: what it had.
    Found(Box<Found>),
}

/// What an entry says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The layer of the entry, for warnings.
    pub(crate) layer: usize,
}

/// What a directory had before it was first touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) mode: u32,
    pub(crate) mtime: Timestamp,
    /// Taken away while we work, since new nodes would inherit it.
    pub(crate) default_acl: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Dir {
    parent: DirId,
    name: Box<[u8]>,
    depth: u32,
    alive: bool,
    children: HashMap<Box<[u8]>, DirId>,
    attributes: Attributes,
    /// Whether it was there before us, so that it may have extended attributes.
    found: bool,
    /// The layer since whose work nothing lower is in it.
    clean: u32,
    /// The last layer that brought something to it or below it.
    touched: u32,
    /// The names that layer `own_of` brought, while it was not clean.
    own: HashSet<Box<[u8]>>,
    own_of: u32,
}

/// The known directories.
#[derive(Debug)]
pub(crate) struct DirMap {
    dirs: Vec<Dir>,
    /// The layer at work, from 1.
    layer: u32,
}

impl DirMap {
    pub(crate) fn new(root: Attributes) -> Self {
        let found = matches!(root, Attributes::Found(_));
        let root = Dir {
            parent: ROOT,
            name: Box::default(),
            depth: 0,
            alive: true,
            children: HashMap::new(),
            attributes: root,
            found,
            clean: u32::from(!found),
            touched: 0,
            own: HashSet::new(),
            own_of: 0,
        };
        Self { dirs: vec![root], layer: 0 }
    }

    pub(crate) fn begin_layer(&mut self) {
        self.layer += 1;
    }

    pub(crate) fn child(&self, dir: DirId, name: &[u8]) -> Option<DirId> {
        self.dir(dir).children.get(name).copied()
    }

    /// The known directories in it.
    pub(crate) fn children(&self, dir: DirId) -> Vec<DirId> {
        self.dir(dir).children.values().copied().collect()
    }

    pub(crate) fn parent(&self, dir: DirId) -> DirId {
        self.dir(dir).parent
    }

    pub(crate) fn name(&self, dir: DirId) -> &[u8] {
        &self.dir(dir).name
    }

    pub(crate) fn is_alive(&self, dir: DirId) -> bool {
        self.dir(dir).alive
    }

    /// Adds a directory that was just made, or was found.
    pub(crate) fn add(&mut self, parent: DirId, name: &[u8], attributes: Attributes) -> DirId {
        // Four thousand million directories do not fit in memory; the entry limit comes long before.
        let id = DirId(u32::try_from(self.dirs.len()).unwrap_or(u32::MAX));
        let found = matches!(attributes, Attributes::Found(_));
        self.dirs.push(Dir {
            parent,
            name: name.into(),
            depth: self.dir(parent).depth + 1,
            alive: true,
            children: HashMap::new(),
            attributes,
            found,
            clean: if found { 0 } else { self.layer },
            touched: 0,
            own: HashSet::new(),
            own_of: 0,
        });
        self.dir_mut(parent).children.insert(name.into(), id);
        id
    }

    /// Forgets a directory and everything below it. `false` when it was not known.
    pub(crate) fn remove(&mut self, parent: DirId, name: &[u8]) -> bool {
        let Some(id) = self.dir_mut(parent).children.remove(name) else { return false };
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let dir = self.dir_mut(id);
            dir.alive = false;
            stack.extend(std::mem::take(&mut dir.children).into_values());
            dir.own = HashSet::new();
            dir.attributes = Attributes::Implicit;
        }
        true
    }

    /// Remembers that the layer at work brought `name`.
    pub(crate) fn brought(&mut self, dir: DirId, name: &[u8]) {
        self.touch(dir);
        let layer = self.layer;
        let dir = self.dir_mut(dir);
        if dir.clean == layer {
            return;
        }
        if dir.own_of != layer {
            dir.own = HashSet::new();
            dir.own_of = layer;
        }
        if !dir.own.contains(name) {
            dir.own.insert(name.into());
        }
    }

    /// Remembers that the layer at work has something in `dir` or below it.
    pub(crate) fn touch(&mut self, mut dir: DirId) {
        let layer = self.layer;
        // Ancestors of a touched directory are touched already, so the total cost is linear.
        while self.dir(dir).touched != layer {
            self.dir_mut(dir).touched = layer;
            dir = self.dir(dir).parent;
        }
    }

    /// Whether the layer at work brought `name`.
    pub(crate) fn is_own(&self, dir: DirId, name: &[u8]) -> bool {
        let dir = self.dir(dir);
        dir.clean == self.layer || (dir.own_of == self.layer && dir.own.contains(name))
    }

    /// Whether the layer at work has something in or below it.
    pub(crate) fn is_touched(&self, dir: DirId) -> bool {
        self.dir(dir).touched == self.layer
    }

    /// Whether nothing of lower layers is in it.
    pub(crate) fn is_clean(&self, dir: DirId) -> bool {
        self.dir(dir).clean == self.layer
    }

    pub(crate) fn set_clean(&mut self, dir: DirId) {
        let layer = self.layer;
        let dir = self.dir_mut(dir);
        dir.clean = layer;
        dir.own = HashSet::new();
    }

    pub(crate) fn attributes(&self, dir: DirId) -> &Attributes {
        &self.dir(dir).attributes
    }

    pub(crate) fn set_attributes(&mut self, dir: DirId, attributes: Attributes) {
        self.dir_mut(dir).attributes = attributes;
    }

    /// Whether it was there before us.
    pub(crate) fn was_found(&self, dir: DirId) -> bool {
        self.dir(dir).found
    }

    /// The name from the root, without a leading slash; empty for the root.
    pub(crate) fn path(&self, dir: DirId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = dir;
        while at != ROOT {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// All directories that ever were.
    pub(crate) fn all(&self) -> Vec<DirId> {
        (0..self.dirs.len()).map(|i| DirId(i as u32)).collect()
    }

    /// Those that were not removed, deepest first, those of one parent together.
    pub(crate) fn deepest_first(&self, mut ids: Vec<DirId>) -> Vec<DirId> {
        ids.retain(|id| self.dir(*id).alive);
        ids.sort_by_key(|id| {
            let dir = self.dir(*id);
            (std::cmp::Reverse(dir.depth), dir.parent)
        });
        ids
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by `add` alone and never removed")]
    fn dir(&self, id: DirId) -> &Dir {
        &self.dirs[id.0 as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by `add` alone and never removed")]
    fn dir_mut(&mut self, id: DirId) -> &mut Dir {
        &mut self.dirs[id.0 as usize]
    }
}

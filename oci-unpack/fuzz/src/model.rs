//! What a tree must be: in memory, as plain as it can be said. The markers of a layer act first, on the lower tree
//! alone; then its entries come, one after the other.

use std::collections::BTreeMap;

use super::steps::{Step, What};

/// The model has no answer, because of this step of the layer: it is an error, or it means one thing or another by
/// where in the layer it stands.
#[derive(Debug)]
pub(crate) struct Unsaid(usize);

/// The same within a step.
struct NoAnswer;

#[derive(Debug, Clone)]
pub(crate) struct Model {
    root: Dir,
    inodes: Vec<Inode>,
}

#[derive(Debug, Clone)]
struct Dir {
    attributes: Attributes,
    children: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Dir(Dir),
    /// An index of the inodes: hard links share one.
    Leaf(usize),
}

#[derive(Debug, Clone)]
struct Inode {
    attributes: Attributes,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    File(String),
    Symlink(&'static str),
    Fifo,
}

#[derive(Debug, Clone, Copy)]
struct Attributes {
    mode: u32,
    owner: u32,
    time: i64,
    xattr: Option<&'static str>,
}

/// Of a directory that no entry names.
const IMPLICIT: Attributes = Attributes { mode: 0o755, owner: 0, time: 0, xattr: None };

type Names = Vec<String>;

/// Links that came before their targets: where they go, what they name, and their steps.
type Late = BTreeMap<Names, (Names, usize)>;

impl Model {
    pub(crate) fn new() -> Self {
        let root = Dir { attributes: IMPLICIT, children: BTreeMap::new() };
        Self { root, inodes: Vec::new() }
    }

    /// Takes out of the layer what it has no answer to, and applies the rest.
    pub(crate) fn apply_most(&mut self, layer: &mut Vec<Step>) {
        loop {
            let mut next = self.clone();
            match next.apply(layer) {
                Ok(()) => return *self = next,
                Err(Unsaid(step)) => _ = layer.remove(step),
            }
        }
    }

    fn apply(&mut self, layer: &[Step]) -> Result<(), Unsaid> {
        let lower = self.clone();
        let mut entries = false;
        for (number, step) in layer.iter().enumerate() {
            entries |= !matches!(step.what, What::Whiteout | What::Opaque);
            // Entries before that would go through the link, those after it not.
            if self.hide(step, &lower).map_err(|NoAnswer| Unsaid(number))? && entries {
                return Err(Unsaid(number));
            }
        }
        let mut late = Late::new();
        for (number, step) in layer.iter().enumerate() {
            self.enter(number, step, &lower, &mut late).map_err(|NoAnswer| Unsaid(number))?;
        }
        // Each after the one it names; in circles none.
        while let Some((_, (_, number))) = late.first_key_value() {
            let ready =
                |target: &Names, late: &Late| !late.contains_key(target) && self.leaf(target).is_some();
            let found = late.iter().find(|(_, (target, _))| ready(target, &late));
            let Some(at) = found.map(|(at, _)| at.clone()) else { return Err(Unsaid(*number)) };
            if let Some((target, number)) = late.remove(&at) {
                let inode = self.leaf(&target).ok_or(Unsaid(number))?;
                self.put(&at, Node::Leaf(inode));
            }
        }
        Ok(())
    }

    /// What a marker hides, of the lower tree alone. Whether there was a symbolic link in that.
    fn hide(&mut self, step: &Step, lower: &Self) -> Result<bool, NoAnswer> {
        let names = names(&step.path);
        let (leaf, parent) = names.split_last().ok_or(NoAnswer)?;
        let whiteout = match step.what {
            What::Whiteout => true,
            What::Opaque => false,
            _ => return Ok(false),
        };
        lower.no_links(parent)?;
        // Another marker of the layer may have hidden it already.
        let Some(Node::Dir(_)) = self.node(parent) else { return Ok(false) };
        let mut gone = Vec::new();
        let dir = self.dir(parent);
        if whiteout {
            gone.extend(dir.children.remove(leaf));
        } else {
            gone.extend(std::mem::take(&mut dir.children).into_values());
        }
        Ok(gone.iter().any(|node| self.has_link(node)))
    }

    fn enter(&mut self, number: usize, step: &Step, lower: &Self, late: &mut Late) -> Result<(), NoAnswer> {
        let path = names(&step.path);
        let (leaf, parent) = path.split_last().ok_or(NoAnswer)?;
        if matches!(step.what, What::Whiteout | What::Opaque) {
            return self.no_links(parent);
        }
        let mut at = self.resolve(parent, Some(late))?.ok_or(NoAnswer)?;
        at.push(leaf.clone());
        let attributes =
            Attributes { mode: step.mode, owner: step.owner, time: step.time, xattr: step.xattr };
        let kind = match &step.what {
            What::Dir => {
                late.remove(&at);
                match self.node(&at) {
                    Some(Node::Dir(_)) => self.dir(&at).attributes = attributes,
                    _ => self.put(&at, Node::Dir(Dir { attributes, children: BTreeMap::new() })),
                }
                return Ok(());
            }
            What::Hard(target) => return self.link(at, &names(target), number, lower, late),
            What::File(content) => Kind::File(content.clone()),
            What::Symlink(target) => Kind::Symlink(target),
            What::Fifo | What::Whiteout | What::Opaque => Kind::Fifo,
        };
        late.remove(&at);
        // Files and directories alone have attributes of the user's namespace.
        let xattr = attributes.xattr.filter(|_| matches!(kind, Kind::File(_)));
        self.inodes.push(Inode { attributes: Attributes { xattr, ..attributes }, kind });
        self.put(&at, Node::Leaf(self.inodes.len() - 1));
        Ok(())
    }

    fn link(
        &mut self,
        at: Names,
        target: &[String],
        number: usize,
        lower: &Self,
        late: &mut Late,
    ) -> Result<(), NoAnswer> {
        let (leaf, parent) = target.split_last().ok_or(NoAnswer)?;
        let found = self.resolve(parent, None)?.map(|mut to| {
            to.push(leaf.clone());
            to
        });
        match found {
            Some(to) if late.contains_key(&to) && to != at => {
                self.take_away(&at);
                late.insert(at, (to, number));
            }
            Some(to) => match self.node(&to) {
                Some(Node::Leaf(inode)) => {
                    let inode = *inode;
                    late.remove(&at);
                    self.put(&at, Node::Leaf(inode));
                }
                Some(Node::Dir(_)) => return Err(NoAnswer),
                // Hidden by this layer, but when?
                None if lower.node(&to).is_some() || to == at => return Err(NoAnswer),
                None => {
                    self.take_away(&at);
                    late.insert(at, (to, number));
                }
            },
            // Where the target will be is known at the end only.
            None => return Err(NoAnswer),
        }
        Ok(())
    }

    /// What was there goes when the link's entry comes, as if the link were made then.
    fn take_away(&mut self, at: &[String]) {
        if let Some((leaf, parent)) = at.split_last() {
            self.dir(parent).children.remove(leaf);
        }
    }

    /// The directory that a name leads to, as in a chroot. What is missing is made when `make` is given, the links
    /// that wait; a name of one of them is not waited for any more when it becomes a directory.
    fn resolve(&mut self, path: &[String], mut make: Option<&mut Late>) -> Result<Option<Names>, NoAnswer> {
        let mut at = Names::new();
        let mut rest: Names = path.iter().rev().cloned().collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(name),
            }
            match self.node(&at) {
                Some(Node::Dir(_)) => {}
                Some(Node::Leaf(inode)) if matches!(self.inodes[*inode].kind, Kind::Symlink(_)) => {
                    let Kind::Symlink(target) = self.inodes[*inode].kind else { return Err(NoAnswer) };
                    links += 1;
                    if links > 40 {
                        return Err(NoAnswer);
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(target.split('/').rev().map(String::from));
                }
                _ => {
                    let Some(late) = &mut make else { return Ok(None) };
                    late.remove(&at);
                    self.put(&at, Node::Dir(Dir { attributes: IMPLICIT, children: BTreeMap::new() }));
                }
            }
        }
        Ok(Some(at))
    }

    fn no_links(&self, path: &[String]) -> Result<(), NoAnswer> {
        for end in 1..=path.len() {
            if let Some(node @ Node::Leaf(_)) = self.node(&path[..end])
                && self.has_link(node)
            {
                return Err(NoAnswer);
            }
        }
        Ok(())
    }

    fn has_link(&self, node: &Node) -> bool {
        match node {
            Node::Dir(dir) => dir.children.values().any(|node| self.has_link(node)),
            Node::Leaf(inode) => matches!(self.inodes[*inode].kind, Kind::Symlink(_)),
        }
    }

    fn leaf(&self, path: &[String]) -> Option<usize> {
        match self.node(path) {
            Some(Node::Leaf(inode)) => Some(*inode),
            _ => None,
        }
    }

    /// The node of that very name. The root is asked for by nobody who wants more than that it is a directory.
    fn node(&self, path: &[String]) -> Option<&Node> {
        static ROOT: Node = Node::Dir(Dir { attributes: IMPLICIT, children: BTreeMap::new() });
        let Some((leaf, parent)) = path.split_last() else { return Some(&ROOT) };
        let mut dir = &self.root;
        for name in parent {
            match dir.children.get(name)? {
                Node::Dir(next) => dir = next,
                Node::Leaf(_) => return None,
            }
        }
        dir.children.get(leaf)
    }

    /// A directory that is there.
    fn dir(&mut self, path: &[String]) -> &mut Dir {
        path.iter().fold(&mut self.root, |dir, name| match dir.children.get_mut(name) {
            Some(Node::Dir(next)) => next,
            other => panic!("{path:?} is no directory: {other:?}"),
        })
    }

    fn put(&mut self, at: &[String], node: Node) {
        if let Some((leaf, parent)) = at.split_last() {
            self.dir(parent).children.insert(leaf.clone(), node);
        }
    }

    /// As `tree::show` shows a real one.
    pub(crate) fn show(&self, owners: bool) -> String {
        let mut lines = BTreeMap::new();
        self.root.collect("", &mut lines);
        let mut first: BTreeMap<usize, &str> = BTreeMap::new();
        let mut text = Vec::new();
        for (path, node) in &lines {
            let (line, attributes, usual) = match node {
                None => (format!("{path}/"), self.dir_attributes(path), Some(0o755)),
                Some(inode) => {
                    if let Some(other) = first.insert(*inode, path) {
                        first.insert(*inode, other);
                        text.push(format!("{path} == {other}"));
                        continue;
                    }
                    let Inode { attributes, kind } = &self.inodes[*inode];
                    match kind {
                        Kind::File(content) => (format!("{path} ={content}"), *attributes, Some(0o644)),
                        Kind::Symlink(target) => (format!("{path} -> {target}"), *attributes, None),
                        Kind::Fifo => (format!("{path} |"), *attributes, Some(0o644)),
                    }
                }
            };
            let line = line + &attributes.show(usual, owners);
            if line != "./ @0" {
                text.push(line);
            }
        }
        text.join("\n")
    }

    fn dir_attributes(&self, path: &str) -> Attributes {
        let names = if path == "." { Names::new() } else { names(path) };
        names
            .iter()
            .fold(&self.root, |dir, name| match dir.children.get(name) {
                Some(Node::Dir(next)) => next,
                _ => dir,
            })
            .attributes
    }
}

impl Dir {
    fn collect(&self, path: &str, lines: &mut BTreeMap<String, Option<usize>>) {
        lines.insert(if path.is_empty() { ".".into() } else { path.into() }, None);
        for (name, node) in &self.children {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match node {
                Node::Dir(dir) => dir.collect(&path, lines),
                Node::Leaf(inode) => {
                    lines.insert(path, Some(*inode));
                }
            }
        }
    }
}

impl Attributes {
    fn show(&self, usual_mode: Option<u32>, owners: bool) -> String {
        let mut text = String::new();
        if usual_mode.is_some_and(|usual| usual != self.mode) {
            text += &format!(" {:04o}", self.mode);
        }
        if owners && self.owner != 0 {
            text += &format!(" {}:0", self.owner);
        }
        if self.time != super::layer::TIME {
            text += &format!(" @{}", self.time);
        }
        if let Some(value) = self.xattr {
            text += &format!(" {{user.a={value}}}");
        }
        text
    }
}

fn names(path: &str) -> Names {
    path.split('/').map(String::from).collect()
}

//! Hard links that came before their targets: kept until the end of the layer, then made in one pass.

use std::collections::HashMap;

use super::name::Path;
use crate::tree::{DirId, Linked, Missing, Place, Tree};
use crate::{Error, Result, Warning};

#[derive(Debug, Default)]
pub(super) struct LateLinks {
    links: Vec<Link>,
    by_place: HashMap<(DirId, Box<[u8]>), usize>,
}

#[derive(Debug)]
struct Link {
    dir: DirId,
    name: Box<[u8]>,
    target: Path,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// On the chain that is being followed.
    Followed,
    /// Made, or not wanted any more.
    Done,
}

impl LateLinks {
    pub(super) fn keep(&mut self, at: Place<'_>, target: Path) {
        self.forget(at);
        self.by_place.insert((at.dir, at.name.into()), self.links.len());
        self.links.push(Link { dir: at.dir, name: at.name.into(), target, state: State::Waiting });
    }

    /// Whether a link of this name is waiting, so that one to it has to wait, too.
    pub(super) fn holds(&self, at: Place<'_>) -> bool {
        !self.by_place.is_empty() && self.by_place.contains_key(&(at.dir, at.name.into()))
    }

    /// A later entry has the name: it wins.
    pub(super) fn forget(&mut self, at: Place<'_>) {
        if self.by_place.is_empty() {
            return;
        }
        if let Some(index) = self.by_place.remove(&(at.dir, at.name.into()))
            && let Some(link) = self.links.get_mut(index)
        {
            link.state = State::Done;
        }
    }

    /// Makes them all, each after the one it names, in linear time.
    pub(super) fn make(mut self, tree: &mut Tree) -> Result<()> {
        for start in 0..self.links.len() {
            let mut chain = Vec::new();
            let mut next = Some(start);
            while let Some(index) = next {
                next = None;
                let Some(link) = self.links.get_mut(index) else { break };
                if link.state != State::Waiting {
                    break;
                }
                link.state = State::Followed;
                chain.push(index);
                if let Some(dir) = tree.resolve(link.target.parent(), Missing::Tell)? {
                    next = self.by_place.get(&(dir, link.target.leaf().into())).copied();
                }
            }
            while let Some(index) = chain.pop() {
                let Some(link) = self.links.get_mut(index) else { break };
                link.state = State::Done;
                if tree.is_alive(link.dir) {
                    link.make(tree)?;
                }
            }
        }
        Ok(())
    }
}

impl Link {
    fn make(&self, tree: &mut Tree) -> Result<()> {
        let at = Place { dir: self.dir, name: &self.name };
        // Way was made for the link, and other entries of its name made it forgotten; but names that lead through it
        // made a directory of it.
        if tree.is_directory(at) {
            let path = tree.path_of(at);
            return tree.reporter.warn(&path, Warning::ParentReplaced);
        }
        let linked = match tree.resolve(self.target.parent(), Missing::Tell)? {
            Some(dir) => tree.link(at, Place { dir, name: self.target.leaf() })?,
            None => Linked::NoTarget,
        };
        match linked {
            Linked::Done => Ok(()),
            Linked::NoTarget => {
                let target = String::from_utf8_lossy(self.target.as_bytes());
                let reason = format!("the target of the hard link does not exist: {target:?}");
                Err(Error::entry(&tree.path_of(at), reason))
            }
        }
    }
}

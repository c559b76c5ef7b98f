//! Files with more than one name: what they are one file with is part of what they are.

use std::collections::HashMap;

use super::change::ChangeKind;
use super::plan::Plan;
use crate::Result;

type Inode = (u64, u64);

/// The names that lead to nodes with more than one name, now or before.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By what they are now.
    groups: HashMap<Inode, Vec<Member>>,
    /// In the order of their first names.
    order: Vec<Inode>,
}

/// One name.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    /// What it led to before, if that was of the same type.
    pub(super) before: Option<Inode>,
    /// Whether content and attributes are what they were under this name.
    pub(super) same: bool,
    /// What has happened if it is not the same.
    pub(super) kind: ChangeKind,
}

impl Links {
    /// Whether two nodes are the same, if they were compared under another name.
    pub(super) fn known(&self, now: Inode, before: Inode) -> Option<bool> {
        let group = self.groups.get(&now)?;
        group.iter().find(|member| member.before == Some(before)).map(|member| member.same)
    }

    pub(super) fn note(&mut self, now: Inode, member: Member) {
        let group = self.groups.entry(now).or_default();
        if group.is_empty() {
            self.order.push(now);
        }
        group.push(member);
    }

    /// Decides what is written: a file under all of its names, or under none.
    pub(super) fn settle(mut self, plan: &mut Plan) -> Result<()> {
        // What stays of a file before: one of those that its names lead to now.
        let mut kept = HashMap::new();
        for inode in self.order {
            let group = self.groups.remove(&inode).unwrap_or_default();
            let befores = group.iter().filter_map(|member| member.before);
            let one = befores.clone().next().filter(|first| befores.clone().all(|before| before == *first));
            let unchanged = group.iter().all(|member| member.same);
            let stays = one.filter(|_| unchanged).is_some_and(|before| match kept.contains_key(&before) {
                true => false,
                false => kept.insert(before, inode).is_none(),
            });
            if stays {
                continue;
            }
            // Joined out of several, or split off.
            let regrouped = unchanged || one.is_none();
            for member in group {
                plan.write(&member.path, (regrouped || !member.same).then_some(member.kind))?;
            }
        }
        Ok(())
    }
}

use std::borrow::Cow;

use oci_digest::{Descriptor, Digest};
use rustix::fs::{self, AtFlags};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::Value;

use super::document::{entry, is_of, tag_of};
use super::scan::first;
use crate::blobs::BlobName;
use crate::layout::INDEX;
use crate::{Error, ImageLayout, Result};

/// The longest tag this crate writes, in bytes.
const MAX_TAG: usize = 1024;

impl ImageLayout {
    /// Gives content a tag. A tag that named something else moves: all entries with that name are replaced by one.
    ///
    /// The content need not be there; who tags it puts it before.
    ///
    /// # Errors
    /// [`Error::InvalidTag`], and as [`edit_index`](Self::edit_index).
    pub fn tag(&self, descriptor: &Descriptor, tag: &str) -> Result<()> {
        self.tag_all(descriptor, &[tag])
    }

    /// Whether a layout can hold a tag, for programs that want to know before they work.
    ///
    /// # Errors
    /// [`Error::InvalidTag`].
    pub fn check_tag(tag: &str) -> Result<()> {
        check_tag(tag)
    }

    /// Makes content a root of the layout: under these tags, in one step, or without a tag.
    pub(crate) fn tag_all(&self, descriptor: &Descriptor, tags: &[&str]) -> Result<()> {
        for tag in tags {
            check_tag(tag)?;
        }
        let path = self.path().join(INDEX);
        self.edit(|document| {
            let entries = document.entries_mut(&path)?;
            if tags.is_empty() {
                if entries.iter().any(|other| is_of(other, descriptor.digest())) {
                    return Ok(false);
                }
                entries.push(entry(descriptor, None));
                return Ok(true);
            }
            let mut changed = false;
            for tag in tags {
                changed |= set_tag(entries, descriptor, tag);
            }
            Ok(changed)
        })?;
        Ok(())
    }

    /// Lets an edited image take the place of what it was opened by: the entry of that tag and digest is changed where it
    /// is, and what else it and its siblings say survives. Other tags are set as usual.
    pub(crate) fn replace_root(
        &self,
        opened: Option<(&str, &Descriptor)>,
        new: &Descriptor,
        tags: &[&str],
    ) -> Result<()> {
        let Some((name, old)) = opened.filter(|(name, _)| tags.contains(name)) else {
            return self.tag_all(new, tags);
        };
        let path = self.path().join(INDEX);
        for tag in tags {
            check_tag(tag)?;
        }
        let mut moved = false;
        self.edit(|document| {
            let entries = document.entries_mut(&path)?;
            let Some(place) = entries.iter_mut().find(|e| tag_of(e) == Some(name) && is_of(e, old.digest()))
            else {
                moved = true;
                return Ok(false);
            };
            let mut changed = update(place, &entry(old, Some(name)), &entry(new, Some(name)));
            for tag in tags.iter().filter(|tag| **tag != name) {
                changed |= set_tag(entries, new, tag);
            }
            Ok(changed)
        })?;
        // Whoever was faster is not overwritten: the edit was not made on what they left.
        if moved { Err(Error::Conflict { path }) } else { Ok(()) }
    }

    /// Takes a tag away, with all entries that have it. `false`: there was none. The content stays.
    ///
    /// # Errors
    /// As [`edit_index`](Self::edit_index).
    pub fn untag(&self, tag: &str) -> Result<bool> {
        let path = self.path().join(INDEX);
        let (changed, _lock) = self.edit(|document| {
            let entries = document.entries_mut(&path)?;
            let before = entries.len();
            entries.retain(|entry| tag_of(entry) != Some(tag));
            Ok(entries.len() != before)
        })?;
        Ok(changed)
    }

    /// The tags there are, sorted by bytes, each once.
    ///
    /// # Errors
    /// What reading index.json can meet.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut tags = self.scan_index(Vec::new, |tags: &mut Vec<String>, _, entry| {
            // An entry that is odd is looked at as a whole.
            tags.extend(match first::<Tagged<'_>>(entry) {
                Ok(tagged) => tagged.annotations.and_then(|annotations| annotations.tag).map(Cow::into_owned),
                Err(_) => first::<Value>(entry).ok().and_then(|entry| tag_of(&entry).map(str::to_owned)),
            });
        })?;
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    /// Removes content: its entries in index.json, then its blob. `false`: there was none.
    ///
    /// Content that it refers to stays, as do manifests that refer to it. A blob in a
    /// [shared folder](crate::LayoutOptions::shared_blobs) stays, too, for the other layouts.
    ///
    /// # Errors
    /// As [`edit_index`](Self::edit_index), and what unlinking can meet.
    pub fn remove(&self, digest: &Digest) -> Result<bool> {
        let blob = BlobName::of(digest)?;
        let path = self.path().join(INDEX);
        // The lock is kept: nobody may find the blob there, rely on it, and lose it.
        let (unlisted, _lock) = self.edit(|document| {
            let entries = document.entries_mut(&path)?;
            let before = entries.len();
            entries.retain(|entry| !is_of(entry, digest));
            Ok(entries.len() != before)
        })?;
        let Some(folder) = self.root.folder(&blob.folder())? else { return Ok(unlisted) };
        // Others may have it in their index.
        if self.root.is_shared() {
            return Ok(unlisted);
        }
        match fs::unlinkat(&folder, blob.encoded, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(unlisted),
            Err(errno) => Err(Error::io("remove", &blob.path(&self.root))(errno)),
        }
    }
}

/// Changes in an entry what is not the same in two views of it; tells whether that was anything.
fn update(place: &mut Value, old: &Value, new: &Value) -> bool {
    let Some(place) = place.as_object_mut() else { return false };
    let names: Vec<&String> =
        old.as_object().into_iter().chain(new.as_object()).flat_map(|o| o.keys()).collect();
    let mut changed = false;
    for name in names.into_iter().filter(|name| old.get(name) != new.get(name)) {
        changed = true;
        match new.get(name) {
            Some(value) => place.insert(name.clone(), value.clone()),
            None => place.shift_remove(name),
        };
    }
    changed
}

/// Of an entry, its tag alone.
#[derive(Deserialize)]
struct Tagged<'t> {
    #[serde(borrow)]
    annotations: Option<Annotations<'t>>,
}

#[derive(Deserialize)]
struct Annotations<'t> {
    // The literal of REF_NAME.
    #[serde(borrow, rename = "org.opencontainers.image.ref.name")]
    tag: Option<Cow<'t, str>>,
}

/// Lets a tag name a descriptor; tells whether that changed anything.
pub(crate) fn set_tag(entries: &mut Vec<Value>, descriptor: &Descriptor, tag: &str) -> bool {
    let mut named = entries.iter().enumerate().filter(|(_, entry)| tag_of(entry) == Some(tag));
    let first = named.next();
    match first {
        // The one entry of this name is right already; what else it says survives.
        Some((_, only)) if is_of(only, descriptor.digest()) && named.next().is_none() => false,
        Some((position, _)) => {
            let mut at = 0;
            entries.retain(|entry| {
                at += 1;
                tag_of(entry) != Some(tag) || at == position + 1
            });
            // Nothing before it was removed, so it is where it was.
            if let Some(place) = entries.get_mut(position)
                && !is_of(place, descriptor.digest())
            {
                *place = entry(descriptor, Some(tag));
            }
            true
        }
        None => {
            // An entry without a tag for the same content becomes the tagged one.
            let new = entry(descriptor, Some(tag));
            match entries.iter_mut().find(|e| is_of(e, descriptor.digest()) && tag_of(e).is_none()) {
                Some(untagged) => *untagged = new,
                None => entries.push(new),
            }
            true
        }
    }
}

/// What a tag may be: the characters of the grammar in image-spec annotations.md, in any order within a
/// component, so that every tag of the distribution-spec is one, too (`a__b`, `_a`).
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    let invalid = |reason| Err(Error::InvalidTag { value: tag.chars().take(64).collect(), reason });
    if tag.is_empty() {
        return invalid("it is empty");
    }
    if tag.len() > MAX_TAG {
        return invalid("it is longer than 1024 bytes");
    }
    if !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:@+/".contains(&b)) {
        return invalid("only letters, digits and -._:@+/ are allowed");
    }
    for component in tag.split('/') {
        if !component.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return invalid("every component must begin with a letter, a digit or an underscore");
        }
    }
    if tag.parse::<Digest>().is_ok() {
        return invalid("it is a digest");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for good in ["latest", "v1.0-rc.1+build", "_a", "a__b", "a..b", "docker.io/library/alpine:3", "a@b"] {
            assert!(check_tag(good).is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_TAG + 1);
        let digest = format!("sha256:{}", "0".repeat(64));
        for bad in
            ["", " ", "a b", "a\n", "ä", "-a", ".a", "/a", "a/", "a//b", "..", "a/../b", &long, &digest]
        {
            assert!(matches!(check_tag(bad), Err(Error::InvalidTag { .. })), "{bad}");
        }
    }
}

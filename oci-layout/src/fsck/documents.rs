//! The walk from index.json through everything it leads to.

use std::collections::{HashMap, HashSet};

use oci_digest::media_type::{self, Kind};
use oci_digest::platform::{is_attestation, normalize, to_text};
use oci_digest::{Algorithm, Descriptor, Digest, MediaType, Platform, VerifyReader};
use serde_json::Value;
use std::io::Read;

use super::report::Findings;
use super::{Finding, FsckOptions, Problem, Severity, schema};
use crate::index::{REF_NAME, descriptor, sniff};
use crate::layout::INDEX;
use crate::{Error, ImageLayout, Result};

/// How many findings one document can cause: of a list of a hundred thousand broken entries the first ones tell.
const FLAWS: usize = 100;

/// What the walk learned.
#[derive(Default)]
pub(super) struct Walked {
    /// How blobs are named, by digest.
    pub(super) named: HashMap<Digest, Descriptor>,
    /// The diffIDs that configs promise, by layer.
    pub(super) diff_ids: HashMap<Digest, Vec<Promise>>,
    /// Documents whose bytes were found to be wrong.
    pub(super) damaged: HashSet<Digest>,
    pub(super) documents: u64,
}

/// A config says that a layer, decompressed, has a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) diff_id: Digest,
    pub(super) config: Digest,
    pub(super) pointer: String,
}

pub(super) struct Walk<'a, 'o> {
    layout: &'a ImageLayout,
    options: &'a FsckOptions,
    findings: &'a mut Findings<'o>,
    walked: Walked,
    pending: Vec<Descriptor>,
    queued: HashSet<Digest>,
    /// The platform of each image's config, by manifest.
    configs: HashMap<Digest, Platform>,
    /// What indexes say of the platform of an image: manifest, platform, index, pointer.
    said: Vec<(Digest, Platform, Option<Digest>, String)>,
}

/// How what is named may be missing.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// In index.json.
    Root,
    /// In an index below: one platform of many may be there.
    Child,
    /// Part of a manifest.
    Part,
    /// What a referrer is about, which need not exist (image-spec manifest.md, subject).
    Subject,
}

impl<'a, 'o> Walk<'a, 'o> {
    pub(super) fn new(
        layout: &'a ImageLayout,
        options: &'a FsckOptions,
        findings: &'a mut Findings<'o>,
    ) -> Self {
        Self {
            layout,
            options,
            findings,
            walked: Walked::default(),
            pending: Vec::new(),
            queued: HashSet::new(),
            configs: HashMap::new(),
            said: Vec::new(),
        }
    }

    /// Walks from index.json. `false`: it cannot be read.
    pub(super) fn index(&mut self) -> Result<bool> {
        let path = self.layout.path().join(INDEX);
        let document = match self.layout.read_index() {
            Ok((_, document)) => document,
            Err(error @ (Error::Document { .. } | Error::Limit { .. } | Error::Refused { .. })) => {
                self.findings
                    .add(Finding::new(Severity::Error, Problem::Index, error.to_string()).path(path));
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let value = document.value();
        for (pointer, reason) in schema::flaws(value, Kind::Index).into_iter().take(FLAWS) {
            let severity = if pointer == "/schemaVersion" { Severity::Warning } else { Severity::Error };
            self.findings
                .add(Finding::new(severity, Problem::Schema, reason).path(path.clone()).pointer(pointer));
        }
        self.media_type(value, &MediaType::ImageIndex, None);
        self.tags(value);
        self.names(value, Kind::Index, None, Role::Root);
        self.run()?;
        Ok(true)
    }

    /// Walks from a manifest that is in the layout because of its subject.
    pub(super) fn referrer(&mut self, digest: &Digest, size: u64) -> Result<()> {
        if self.queued.contains(digest) {
            return Ok(());
        }
        let octets = Descriptor::new("application/octet-stream".into(), size, digest.clone());
        if let Some(value) = self.read(&octets, false)?
            && let Some(media_type) = sniff(&value)
        {
            self.queue(Descriptor::new(media_type, size, digest.clone()));
        }
        self.run()
    }

    /// Compares what indexes say with what configs say, and gives what was learned.
    pub(super) fn finish(self) -> Walked {
        for (manifest, said, index, pointer) in self.said {
            let Some(config) = self.configs.get(&manifest) else { continue };
            let (is, says) = (normalize(config), normalize(&said));
            let other_variant = match (is.variant(), says.variant()) {
                (Some(is), Some(says)) => is != says,
                _ => false,
            };
            if is.os() != says.os() || is.architecture() != says.architecture() || other_variant {
                let reason =
                    format!("it says {} of {manifest}, which is for {}", to_text(&said), to_text(config));
                let finding = Finding::new(Severity::Warning, Problem::Platform, reason)
                    .pointer(format!("{pointer}/platform"));
                self.findings.add(match &index {
                    Some(index) => finding.digest(index),
                    None => finding.path(self.layout.path().join(INDEX)),
                });
            }
        }
        self.walked
    }

    fn run(&mut self) -> Result<()> {
        while let Some(next) = self.pending.pop() {
            self.options.cancel.check()?;
            let kind = Kind::of(next.media_type());
            let Some(value) = self.read(&next, true)? else { continue };
            self.schema(&value, kind, &next);
            if !kind.is_manifest_or_index() {
                continue;
            }
            self.media_type(&value, next.media_type(), Some(&next));
            let role = if kind == Kind::Index { Role::Child } else { Role::Part };
            self.names(&value, kind, Some(&next), role);
            if kind == Kind::Manifest {
                self.image(&value, &next)?;
            }
        }
        Ok(())
    }

    fn queue(&mut self, descriptor: Descriptor) {
        if self.queued.insert(descriptor.digest().clone()) {
            self.pending.push(descriptor);
        }
    }

    /// Looks at everything that a document names: is it there, with the right size?
    fn names(&mut self, value: &Value, kind: Kind, of: Option<&Descriptor>, role: Role) {
        let mut flaws = 0;
        let mut seen = HashSet::new();
        let path = self.layout.path().join(INDEX);
        for (pointer, entry) in schema::descriptors(value, kind) {
            // What is wrong with it the schema has said.
            let Ok(named) = descriptor(entry, 0, &path) else { continue };
            let role = if pointer == "/subject" { Role::Subject } else { role };
            if kind == Kind::Index
                && let Some(platform) = named.platform()
                && Kind::of(named.media_type()) == Kind::Manifest
                && !is_attestation(&named)
                && seen.insert((named.digest().clone(), to_text(platform)))
            {
                let index = of.map(|of| of.digest().clone());
                self.said.push((named.digest().clone(), platform.clone(), index, pointer.clone()));
            }
            if !seen.insert((named.digest().clone(), format!("{} {}", named.size(), named.media_type()))) {
                continue;
            }
            if let Some(finding) = self.presence(&named, role) {
                flaws += 1;
                if flaws <= FLAWS {
                    let finding = Finding {
                        reason: match of {
                            Some(of) => format!("{}, named by {} at {pointer}", finding.reason, of.digest()),
                            None => format!("{}, named by {INDEX} at {pointer}", finding.reason),
                        },
                        ..finding
                    };
                    self.findings.add(finding);
                }
            }
        }
    }

    /// Looks whether content is there, and queues documents.
    fn presence(&mut self, named: &Descriptor, role: Role) -> Option<Finding> {
        let kind = Kind::of(named.media_type());
        if Algorithm::of(named.digest()).is_err() {
            let reason = "its algorithm is not supported, so it cannot be checked";
            return Some(Finding::new(Severity::Warning, Problem::Algorithm, reason).named(named));
        }
        match self.layout.blob(named.digest()) {
            Ok((_, size)) => {
                self.walked.named.entry(named.digest().clone()).or_insert_with(|| named.clone());
                if size != named.size() {
                    let reason = format!("it has {size} bytes, and {} by its descriptor", named.size());
                    return Some(Finding::new(Severity::Error, Problem::Size, reason).named(named));
                }
                if kind.is_manifest_or_index() || kind == Kind::Config {
                    self.queue(named.clone());
                }
                None
            }
            Err(error) if error.is_not_found() => {
                let (severity, problem, reason) = match role {
                    Role::Root => (Severity::Error, Problem::Dangling, "it is not there"),
                    // image-spec layer.md, Non-Distributable Layers: it may come from its urls.
                    Role::Part if kind.is_foreign() => return None,
                    Role::Part => (Severity::Error, Problem::Missing, "it is not there"),
                    Role::Child if super::repair::is_quarantined(self.layout, named.digest()) => {
                        (Severity::Error, Problem::Missing, "it was damaged and is in quarantine")
                    }
                    Role::Child => (Severity::Warning, Problem::Missing, "it is not there"),
                    Role::Subject => (Severity::Info, Problem::Missing, "the subject is not there"),
                };
                Some(Finding::new(severity, problem, reason).named(named))
            }
            Err(Error::Refused { reason, .. }) => {
                Some(Finding::new(Severity::Error, Problem::Refused, reason).named(named))
            }
            Err(error) => {
                Some(Finding::new(Severity::Error, Problem::Unreadable, chain(&error)).named(named))
            }
        }
    }

    /// Reads and parses a document; what is wrong is a finding when `tell` says so.
    fn read(&mut self, of: &Descriptor, tell: bool) -> Result<Option<Value>> {
        let limit = self.layout.options.max_manifest_bytes;
        let mut finding = |finding: Finding| {
            if tell {
                self.findings.add(finding.named(of));
            }
        };
        if of.size() > limit {
            let reason = format!("it has more than {limit} bytes");
            finding(Finding::new(Severity::Error, Problem::Schema, reason));
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = self.layout.blob(of.digest()).and_then(|(file, _)| {
            VerifyReader::of(file, of)?
                .read_to_end(&mut bytes)
                .map_err(|e| oci_digest::Error::io("reading", e).into())
        });
        if let Err(error) = read {
            let problem = match &error {
                Error::Content { source } => match **source {
                    oci_digest::Error::DigestMismatch { .. } => Problem::Digest,
                    oci_digest::Error::SizeMismatch { .. } => Problem::Size,
                    _ => Problem::Unreadable,
                },
                _ => Problem::Unreadable,
            };
            if problem != Problem::Unreadable && tell {
                self.walked.damaged.insert(of.digest().clone());
            }
            finding(Finding::new(Severity::Error, problem, chain(&error)));
            return Ok(None);
        }
        match serde_json::from_slice(&bytes) {
            Ok(value) => {
                self.walked.documents += u64::from(tell);
                Ok(Some(value))
            }
            Err(error) => {
                finding(Finding::new(Severity::Error, Problem::Schema, format!("not JSON: {error}")));
                Ok(None)
            }
        }
    }

    fn schema(&mut self, value: &Value, kind: Kind, of: &Descriptor) {
        for (pointer, reason) in schema::flaws(value, kind).into_iter().take(FLAWS) {
            self.findings
                .add(Finding::new(Severity::Error, Problem::Schema, reason).named(of).pointer(pointer));
        }
    }

    /// image-spec descriptor.md: the media type of the content; a document's own SHOULD match.
    fn media_type(&mut self, value: &Value, expected: &MediaType, of: Option<&Descriptor>) {
        let Some(own) = value.get("mediaType").and_then(Value::as_str) else { return };
        if media_type::same(&MediaType::from(own), expected) {
            return;
        }
        let own: String = own.chars().take(128).collect();
        let reason = format!("it names {own}, but is described as {expected}");
        let finding = Finding::new(Severity::Error, Problem::MediaType, reason).pointer("/mediaType");
        self.findings.add(match of {
            Some(of) => finding.named(of),
            None => finding.path(self.layout.path().join(INDEX)),
        });
    }

    /// Tags and entries that are in index.json more than once.
    fn tags(&mut self, value: &Value) {
        let entries = value.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut by_tag: HashMap<&str, Vec<&Value>> = HashMap::new();
        let mut seen = HashSet::new();
        let path = self.layout.path().join(INDEX);
        let mut flaws = 0;
        for (i, entry) in entries.iter().enumerate() {
            let tag = entry.pointer(&format!("/annotations/{REF_NAME}")).and_then(Value::as_str);
            let digest = entry.get("digest").and_then(Value::as_str);
            if digest.is_some() && !seen.insert((tag, digest, entry.get("platform").map(Value::to_string))) {
                flaws += 1;
                if flaws <= FLAWS {
                    let reason = "the same entry comes earlier";
                    let finding = Finding::new(Severity::Warning, Problem::DuplicateEntry, reason);
                    self.findings.add(finding.path(path.clone()).pointer(format!("/manifests/{i}")));
                }
            } else if let Some(tag) = tag {
                by_tag.entry(tag).or_default().push(entry);
            }
        }
        let mut repeated: Vec<_> = by_tag.into_iter().filter(|(_, entries)| entries.len() > 1).collect();
        repeated.sort_unstable_by_key(|(tag, _)| *tag);
        for (tag, entries) in repeated.into_iter().take(FLAWS) {
            let platforms: HashSet<String> =
                entries.iter().filter_map(|entry| entry.get("platform").map(Value::to_string)).collect();
            // The platforms of an image side by side are what some tools write; then a platform tells them apart.
            let severity = if platforms.len() == entries.len() { Severity::Info } else { Severity::Warning };
            let tag: String = tag.chars().take(128).collect();
            let reason = format!("{} entries have the tag {tag:?}, and the first counts", entries.len());
            self.findings.add(Finding::new(severity, Problem::DuplicateTag, reason).path(path.clone()));
        }
    }

    /// Compares an image's config with its manifest.
    fn image(&mut self, manifest: &Value, of: &Descriptor) -> Result<()> {
        let path = self.layout.path().join(INDEX);
        let one = |value: &Value| descriptor(value, 0, &path).ok();
        let Some(config) = manifest.get("config").and_then(one) else { return Ok(()) };
        let layers = manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if Kind::of(config.media_type()) != Kind::Config {
            return Ok(());
        }
        // It is reported, if there is something to report, on its own.
        let Some(document) = self.read(&config, false)? else { return Ok(()) };
        if let Some(platform) = platform_of(&document) {
            self.configs.insert(of.digest().clone(), platform);
        }
        let diff_ids = document.pointer("/rootfs/diff_ids").and_then(Value::as_array);
        let diff_ids = diff_ids.map(Vec::as_slice).unwrap_or_default();
        let mut tell = |problem, severity, pointer: &str, reason: String| {
            let finding = Finding::new(severity, problem, reason).named(&config).pointer(pointer);
            self.findings.add(finding);
        };
        if diff_ids.len() != layers.len() {
            let reason =
                format!("{} diffIDs for the {} layers of {}", diff_ids.len(), layers.len(), of.digest());
            tell(Problem::DiffId, Severity::Error, "/rootfs/diff_ids", reason);
        }
        if let Some(history) = document.get("history").and_then(Value::as_array).filter(|h| !h.is_empty()) {
            let is_empty = |entry: &&Value| entry.get("empty_layer").and_then(Value::as_bool) == Some(true);
            let count = history.len() - history.iter().filter(is_empty).count();
            if count != diff_ids.len() {
                let reason = format!("it tells of {count} layers, and there are {}", diff_ids.len());
                tell(Problem::History, Severity::Warning, "/history", reason);
            }
        }
        for (i, (layer, diff_id)) in layers.iter().zip(diff_ids).enumerate() {
            let (Some(layer), Some(Ok(diff_id))) = (one(layer), diff_id.as_str().map(str::parse)) else {
                continue;
            };
            let pointer = format!("/rootfs/diff_ids/{i}");
            let promise = Promise { diff_id, config: config.digest().clone(), pointer };
            let promises = self.walked.diff_ids.entry(layer.digest().clone()).or_default();
            if promises.iter().all(|other| other.diff_id != promise.diff_id) {
                promises.push(promise);
            }
        }
        Ok(())
    }
}

fn platform_of(config: &Value) -> Option<Platform> {
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    let mut platform = Platform::default();
    platform.set_os(text("os")?.into());
    platform.set_architecture(text("architecture")?.into());
    platform.set_variant(text("variant").map(str::to_owned));
    Some(platform)
}

/// An error with what caused it, for a finding's one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

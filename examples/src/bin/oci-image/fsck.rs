//! `oci-image fsck`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Access, Failure, Progress, SharedBlobs, decompress, print_line, printable};
use oci_client::Reference;
use oci_digest::content::Source;
use oci_layout::ImageLayout;
use oci_layout::fsck::{Finding, FsckEvent, FsckOptions, FsckReport, Level, RepairOptions, Severity};
use serde_json::{Value, json};

/// Checks a layout, and mends it
///
/// Each finding is a line: "error" is damage, "warning" is not as it should be, "info" is worth knowing. The exit status
/// is 1 when there is damage (after the repair, with --repair).
#[derive(Debug, clap::Args)]
pub(crate) struct Fsck {
    /// The layout's folder
    layout: PathBuf,
    /// How much is looked at: the documents and the presence of blobs; the digest of every blob, too; or also the diffID of
    /// every layer, for which it is decompressed
    #[arg(long, value_enum, default_value = "digests")]
    level: Depth,
    /// Move damaged blobs to .oci-layout/quarantine, and fetch what is damaged or missing if --from says where
    #[arg(long)]
    repair: bool,
    /// Where to fetch from: another layout's folder, or a repository of a registry, as registry.example/name
    #[arg(long, value_name = "SOURCE", requires = "repair")]
    from: Option<String>,
    /// Remove entries of index.json whose content is not there and could not be fetched
    #[arg(long, requires = "repair")]
    remove_dangling: bool,
    /// Fetch what indexes list and was never here, too, such as other platforms
    #[arg(long, requires = "from")]
    fetch_all: bool,
    /// One JSON object per line: member "event" is "finding" (severity, problem, digest, path, pointer, reason), with --repair
    /// "quarantined" (digest, path), "fetched" (digest), "failed" (digest, reason), and at the end "done" (sound, documents,
    /// blobs, bytes, diff_ids)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: SharedBlobs,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Depth {
    Structure,
    Digests,
    DiffIds,
}

impl Fsck {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let progress = Progress::new(self.json);
        let layout = self.shared.open(&self.layout)?;
        let mut options = FsckOptions::default().cancel(cancel).observer(observer(&progress));
        if let Some(others) = self.shared.sharing() {
            options = options.sharing(others);
        }
        let options = match self.level {
            Depth::Structure => options.level(Level::Structure),
            Depth::Digests => options,
            Depth::DiffIds => options.decompress(decompress),
        };
        let report =
            if self.repair { self.mend(&layout, &options, &progress) } else { Ok(layout.fsck(&options)?) };
        progress.finish();
        self.show(&report?, &progress)
    }

    fn mend(
        &self,
        layout: &ImageLayout,
        options: &FsckOptions,
        progress: &Progress,
    ) -> Result<FsckReport, Failure> {
        let source = match &self.from {
            Some(from) => Some(self.source(from)?),
            None => None,
        };
        let mut repair =
            RepairOptions::default().remove_dangling(self.remove_dangling).fetch_all(self.fetch_all);
        if let Some(source) = &source {
            repair = repair.source(&**source);
        }
        let report = layout.repair(options, &repair)?;
        progress.finish();
        let tell = |event: Value, line: String| {
            print_line(if self.json { event.to_string() } else { printable(&line) })
        };
        for (digest, path) in &report.quarantined {
            tell(
                json!({"event": "quarantined", "digest": digest.to_string(), "path": path.to_string_lossy()}),
                format!("quarantined {digest}: it is {} now", path.display()),
            );
        }
        for fetched in &report.fetched {
            let digest = fetched.digest().to_string();
            tell(json!({"event": "fetched", "digest": digest}), format!("fetched {digest}"));
        }
        for (descriptor, error) in &report.failed {
            let (digest, reason) = (descriptor.digest().to_string(), error.to_string());
            tell(
                json!({"event": "failed", "digest": digest, "reason": reason}),
                format!("cannot fetch {digest}: {reason}"),
            );
        }
        if report.removed_entries > 0 {
            let count = report.removed_entries;
            tell(
                json!({"event": "removed-entries", "count": count}),
                format!("removed {count} entries of index.json"),
            );
        }
        Ok(report.after)
    }

    fn source(&self, from: &str) -> Result<Box<dyn Source>, Failure> {
        if Path::new(from).join("oci-layout").exists() {
            return Ok(Box::new(ImageLayout::open(from)?));
        }
        let reference: Reference = from.parse()?;
        Ok(Box::new(self.access.repository(&reference)?))
    }

    fn show(&self, report: &FsckReport, progress: &Progress) -> Result<ExitCode, Failure> {
        for finding in &report.findings {
            if self.json {
                progress.event(&told(finding));
            } else {
                print_line(printable(&finding.to_string()));
            }
        }
        progress.event(&json!({"event": "done", "sound": report.is_sound(), "documents": report.documents,
            "blobs": report.blobs, "bytes": report.bytes, "diff_ids": report.diff_ids,
            "suppressed": report.suppressed}));
        if report.is_sound() {
            return Ok(ExitCode::SUCCESS);
        }
        let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let more = if report.suppressed > 0 { " and more" } else { "" };
        Err(Failure::new(format!("{} is damaged: {errors}{more} errors", self.layout.display())))
    }
}

fn observer(progress: &Progress) -> impl Fn(&FsckEvent<'_>) + Send + Sync + 'static {
    let progress = progress.clone();
    move |event| match event {
        FsckEvent::Planned { bytes, .. } => progress.start(*bytes, "reading blobs"),
        FsckEvent::Read { descriptor } => progress.advance(descriptor.size()),
        _ => {}
    }
}

fn told(finding: &Finding) -> Value {
    json!({
        "event": "finding",
        "severity": format!("{:?}", finding.severity).to_lowercase(),
        "problem": kebab(&format!("{:?}", finding.problem)),
        "digest": finding.digest.as_ref().map(ToString::to_string),
        "path": finding.path.as_ref().map(|path| path.to_string_lossy()),
        "pointer": finding.pointer,
        "reason": finding.reason,
    })
}

/// `DuplicateTag` is `duplicate-tag`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

//! `oci-copy copy`.

use std::path::PathBuf;

use examples::{Access, Failure, Progress, human_size, print_line};
use oci_digest::content::{self, CopyOptions, CopyReport, Event, Platforms, Source};
use oci_digest::{Descriptor, Platform, platform};
use oci_layout::edit::{Converted, Family};
use serde_json::{Value, json};

use crate::destination::{self, Destination};
use crate::place::{Archive, Place};
use crate::plan::Plan;
use crate::source;

/// Copies an image, or an index of images, from one place to another
///
/// Of an index it is the image for this machine, unless --all or --platform says otherwise. What the destination has is
/// not sent again. Without a tag, a layout as destination gets "latest", an archive none; a source without a name gives the
/// only image there is, or "latest".
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    /// The whole index, with the images for all platforms
    #[arg(long, conflicts_with = "platform")]
    all: bool,
    /// The image for a platform, for example linux/arm64; several make an index of those
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Vec<Platform>,
    /// Bring along what refers to the image: signatures, attestations, bills of materials
    #[arg(long)]
    referrers: bool,
    /// Give the image this family's media types; its manifest becomes another one, and signatures fit no more. "oci" is for
    /// layouts and archives of it that other tools read, "docker" for old registries; it has no zstd, artifacts or annotations
    #[arg(long, value_enum, conflicts_with = "referrers")]
    format: Option<Format>,
    /// How many blobs at a time
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Tell what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object per line on standard output: an event for each blob, and what was done at the end
    #[arg(long)]
    json: bool,
    /// The folder that has the blobs of the source, an oci: layout which shares them with others
    #[arg(long, value_name = "FOLDER")]
    src_shared_blob_dir: Option<PathBuf>,
    /// The folder that the destination, an oci: layout, shares with others for its blobs
    #[arg(long, value_name = "FOLDER")]
    dest_shared_blob_dir: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// Where it comes from
    source: Place,
    /// Where it goes to
    destination: Place,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Oci,
    Docker,
}

impl Copy {
    pub(crate) fn go(self) -> Result<(), Failure> {
        // First, so that threads inherit which signals wait.
        let cancel = examples::interruption()?;
        self.check()?;
        let progress = Progress::new(self.json);
        let opened = source::open(&self.source, &self.access, self.src_shared_blob_dir.as_deref())?;
        let converted = self.format.map(|format| {
            let family = match format {
                Format::Oci => Family::Oci,
                Format::Docker => Family::Docker,
            };
            Converted::new(&*opened.source, family).platforms(self.platforms())
        });
        let source: &dyn Source = converted.as_ref().map_or(&*opened.source, |converted| converted);
        let told = progress.clone();
        let options = CopyOptions::default()
            .platforms(self.platforms())
            .referrers(self.referrers)
            .jobs(self.jobs.into())
            .tags(destination::tags(&self.destination))
            .cancel(cancel)
            .observer(move |event| tell(&told, event));
        let during = |e: oci_digest::Error| {
            Failure::during(format!("copying {} to {}", self.source, self.destination), e)
        };
        let shared = self.dest_shared_blob_dir.as_deref();
        let report = if self.dry_run {
            let there = Destination::look(&self.destination, &self.access, shared)?;
            let plan = Plan { of: there.as_ref().map(Destination::sink) };
            content::copy(source, &opened.name, &plan, &options).map_err(during)?
        } else {
            // Before anything is made there: whether there is anything to copy.
            source.resolve(&opened.name).map_err(during)?;
            let destination = Destination::open(&self.destination, &self.access, shared)?;
            let report = content::copy(source, &opened.name, destination.sink(), &options).map_err(during)?;
            destination.finish()?;
            report
        };
        progress.finish();
        for loss in converted.iter().flat_map(Converted::losses) {
            let what = format!("{} was left out: docker's format has no place for it", loss.pointer);
            progress.warn(loss.digest.as_ref(), &what);
        }
        self.report(&report, &progress);
        Ok(())
    }

    /// What would fail only late, or would be lost without a word.
    fn check(&self) -> Result<(), Failure> {
        let holds_one =
            matches!(self.destination, Place::Flat(_) | Place::Archive { kind: Archive::Docker, .. });
        if self.referrers && holds_one {
            return Err(Failure::new(format!("{} has no place for referrers", self.destination)).with_code(2));
        }
        if self.json && self.destination.is_stream() && !self.dry_run {
            return Err(Failure::new("--json and an archive cannot both go to standard output").with_code(2));
        }
        Ok(())
    }

    fn platforms(&self) -> Platforms {
        match (self.all, self.platform.is_empty()) {
            (true, _) => Platforms::All,
            (false, true) => Platforms::Host,
            (false, false) => Platforms::Only(self.platform.clone()),
        }
    }

    fn report(&self, report: &CopyReport, progress: &Progress) {
        for skipped in &report.skipped {
            progress.warn(
                skipped.digest().as_ref(),
                "the source does not have it, and need not: it was left out",
            );
        }
        if progress.is_json() {
            progress.event(&json!({
                "event": if self.dry_run { "planned" } else { "copied" },
                "digest": report.root.digest().to_string(),
                "mediaType": report.root.media_type().to_string(),
                "size": report.root.size(),
                "tags": report.tags,
                "sent": report.sent,
                "sentBytes": report.sent_bytes,
                "present": report.present,
                "adopted": report.adopted,
                "skipped": digests(&report.skipped),
                "referrers": digests(&report.referrers),
            }));
        } else if !self.destination.is_stream() || self.dry_run {
            let (sent, bytes) = (report.sent, human_size(report.sent_bytes));
            let verb = if self.dry_run { "would be sent" } else { "sent" };
            let more = match (report.present, report.adopted) {
                (present, 0) => format!("{present} there already"),
                (present, adopted) => format!("{present} there already, {adopted} taken without sending"),
            };
            print_line(format_args!("{}: {sent} {verb} ({bytes}), {more}", report.root.digest()));
        }
    }
}

fn tell(progress: &Progress, event: &Event<'_>) {
    let (what, descriptor) = match event {
        Event::Present { descriptor } => ("present", descriptor),
        Event::Adopted { descriptor } => ("adopted", descriptor),
        Event::Done { descriptor } => ("sent", descriptor),
        Event::Skipped { descriptor } => ("skipped", descriptor),
        Event::Started { descriptor } => {
            return progress.message(format!("{} {}", descriptor.digest(), human_size(descriptor.size())));
        }
        _ => return,
    };
    progress.event(&json!({
        "event": what,
        "digest": descriptor.digest().to_string(),
        "mediaType": descriptor.media_type().to_string(),
        "size": descriptor.size(),
    }));
}

fn digests(of: &[Descriptor]) -> Value {
    of.iter().map(|one| Value::from(one.digest().to_string())).collect()
}

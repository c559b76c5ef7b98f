//! `oci-image gc`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use examples::{Failure, SharedBlobs, human_size, print_line};
use oci_layout::gc::{Count, GcEvent, GcOptions};
use serde_json::{Value, json};

/// Removes blobs that no tag and no entry of index.json leads to
///
/// It knows what manifests and indexes of OCI and docker name, subjects and referrers, and any JSON with descriptors;
/// what it does not know it leaves alone. Blobs younger than the grace age are spared, because somebody may be writing an
/// image that names them; so it may run beside others.
#[derive(Debug, clap::Args)]
pub(crate) struct Gc {
    /// The layout's folder
    layout: PathBuf,
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// How young a blob is spared, as 30m, 24h, 7d; 0 when nobody else writes
    #[arg(long, value_name = "AGE", default_value = "24h", value_parser = age)]
    grace: Duration,
    /// Go on when a manifest is damaged, whose layers are then not known and may be removed
    #[arg(long)]
    ignore_damage: bool,
    /// One JSON object per line: member "event" is "removed", "spared" or "missing" (digest, bytes), "stale" (path, bytes),
    /// and at the end "done" (live, removed, spared, stale, each with files and bytes)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: SharedBlobs,
}

impl Gc {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let layout = self.shared.open(&self.layout)?;
        let (is_json, dry_run) = (self.json, self.dry_run);
        let mut options = GcOptions::default()
            .dry_run(dry_run)
            .grace(self.grace)
            .ignore_damage(self.ignore_damage)
            .cancel(cancel)
            .observer(move |event| {
                let (event, text) = told(event, dry_run);
                match (is_json, text) {
                    (true, _) => print_line(event),
                    (false, Some(text)) => print_line(text),
                    (false, None) => {}
                }
            });
        if let Some(others) = self.shared.sharing() {
            options = options.sharing(others);
        }
        let report = layout.gc(&options)?;
        if self.json {
            print_line(json!({"event": "done", "dry_run": dry_run, "live": counted(report.live),
                "removed": counted(report.removed), "spared": counted(report.spared), "stale": counted(report.stale),
                "missing": report.missing.len(), "unknown": report.unknown}));
        } else {
            let verb = if dry_run { "would remove" } else { "removed" };
            let of = |count: Count| format!("{} ({})", count.files, human_size(count.bytes));
            print_line(format!(
                "{verb} {}, spared {} as too young, kept {}",
                of(report.removed),
                of(report.spared),
                of(report.live)
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An event for machines, and its line for people if it is worth one.
fn told(event: &GcEvent<'_>, dry_run: bool) -> (Value, Option<String>) {
    let verb = if dry_run { "would remove" } else { "removed" };
    match event {
        GcEvent::Removed { digest, bytes } => (
            json!({"event": "removed", "digest": digest.to_string(), "bytes": bytes}),
            Some(format!("{verb} {digest} {}", human_size(*bytes))),
        ),
        GcEvent::Spared { digest, bytes } => {
            (json!({"event": "spared", "digest": digest.to_string(), "bytes": bytes}), None)
        }
        GcEvent::Stale { path, bytes } => (
            json!({"event": "stale", "path": path.to_string_lossy(), "bytes": bytes}),
            Some(format!("{verb} {} {}", examples::printable(&path.to_string_lossy()), human_size(*bytes))),
        ),
        GcEvent::Missing { digest } => (json!({"event": "missing", "digest": digest.to_string()}), None),
        _ => (json!({"event": "other"}), None),
    }
}

fn counted(count: Count) -> Value {
    json!({"files": count.files, "bytes": count.bytes})
}

fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds: Option<u64> = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    seconds
        .and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit))
        .map(Duration::from_secs)
        .ok_or_else(|| "expected an age as 30m, 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("2m", Some(120)),
            ("24h", Some(86_400)),
            ("7d", Some(604_800)),
            ("h", None),
            ("1w", None),
            ("-1", None),
            ("", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(age(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }
}

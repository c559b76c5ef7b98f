//! What an image's history says of a change.

use examples::{Failure, rfc3339, source_date};
use oci_digest::spec::{History, HistoryBuilder};

/// The entry of the history that tells of the change.
#[derive(Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "History")]
pub(crate) struct HistoryFlags {
    /// Add no entry to the image's history
    #[arg(long, conflicts_with_all = ["history_author", "history_comment", "history_created", "history_created_by"])]
    no_history: bool,
    /// Who made the change
    #[arg(long = "history.author", value_name = "TEXT")]
    history_author: Option<String>,
    /// A comment
    #[arg(long = "history.comment", value_name = "TEXT")]
    history_comment: Option<String>,
    /// When it was made [default: SOURCE_DATE_EPOCH, or now]
    #[arg(long = "history.created", value_name = "DATE", value_parser = date)]
    history_created: Option<String>,
    /// The command that made it [default: this command]
    #[arg(long = "history.created_by", alias = "history.created-by", value_name = "TEXT")]
    history_created_by: Option<String>,
}

impl HistoryFlags {
    /// The entry, if there shall be one.
    pub(crate) fn entry(&self, command: &str) -> Result<Option<History>, Failure> {
        if self.no_history {
            return Ok(None);
        }
        let created = match &self.history_created {
            Some(created) => created.clone(),
            None => now()?,
        };
        let by = self.history_created_by.clone().unwrap_or_else(|| format!("oci-image {command}"));
        let mut history = HistoryBuilder::default().created(created).created_by(by).build()?;
        history.set_author(self.history_author.clone());
        history.set_comment(self.history_comment.clone());
        Ok(Some(history))
    }
}

/// The time that a changed image bears.
pub(crate) fn now() -> Result<String, Failure> {
    Ok(rfc3339(source_date()?))
}

/// A date as images have them, RFC 3339, section 5.6, in its most usual form.
pub(crate) fn date(text: &str) -> Result<String, String> {
    let shape: String = text
        .chars()
        .take(19)
        .map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() })
        .collect();
    let zone =
        text.get(19..).unwrap_or_default().trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let is_offset = |zone: &str| {
        let shape: String = zone.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape == "+00:00" || shape == "-00:00"
    };
    if shape == "0000-00-00T00:00:00" && (zone.eq_ignore_ascii_case("z") || is_offset(zone)) {
        return Ok(text.to_owned());
    }
    Err("expected a date as 2024-02-29T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        for good in ["2024-02-29T12:00:00Z", "2024-02-29t12:00:00.123456789z", "2024-02-29T12:00:00+02:00"] {
            assert_eq!(date(good).as_deref(), Ok(good));
        }
        for bad in
            ["", "now", "2024-02-29", "2024-02-29 12:00:00Z", "2024-02-29T12:00:00", "2024-02-29T12:00:00Zz"]
        {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}

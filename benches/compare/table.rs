use std::io::{self, Write};

use crate::statistics::{median, median_of_ratios};
use crate::tournament::Outcome;

/// Fewer rounds say little.
const ENOUGH: u32 = 5;

/// The heading of all tables: what was done, on which machine, how often.
pub(crate) fn begin(job: &str, machine: &str, rounds: u32) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "## {job}\n\n{machine}; {rounds} interleaved rounds.")?;
    if rounds < ENOUGH {
        writeln!(out, "**Fewer than {ENOUGH} rounds: this shows that it works, and measures nothing.**")?;
    }
    writeln!(out)
}

/// One table. Ours is the first line; the ratios are to it.
pub(crate) fn print(title: &str, outcome: &Outcome) -> io::Result<()> {
    write!(io::stdout().lock(), "{}", render(title, outcome))
}

fn render(title: &str, outcome: &Outcome) -> String {
    let mut text =
        format!("| {title} | median, ms | least, ms | ÷ ours | peak, MiB |\n|---|---:|---:|---:|---:|\n");
    let ours = outcome.standings.first().map_or(&[][..], |standing| &standing.seconds);
    for standing in &outcome.standings {
        let least = standing.seconds.iter().copied().min_by(f64::total_cmp);
        text += &format!(
            "| {} | {} | {} | {} | {} |\n",
            standing.name,
            cell(median(&standing.seconds).map(|s| s * 1e3), 1),
            cell(least.map(|s| s * 1e3), 1),
            cell(median_of_ratios(&standing.seconds, ours), 2),
            cell(standing.peak.map(|kib| kib as f64 / 1024.0), 1),
        );
    }
    text.push('\n');
    for reason in &outcome.left_out {
        text += &format!("Left out: {}\n", reason.replace('\n', " "));
    }
    if !outcome.left_out.is_empty() {
        text.push('\n');
    }
    text
}

fn cell(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tournament::Standing;

    #[test]
    fn a_table() {
        let outcome = Outcome {
            standings: vec![
                Standing { name: "ours", seconds: vec![0.010, 0.020, 0.012], peak: Some(2048) },
                Standing { name: "theirs", seconds: vec![0.020, 0.080, 0.036], peak: None },
            ],
            left_out: vec!["other: is not\ninstalled".to_owned()],
        };
        assert_eq!(
            render("an image", &outcome),
            "| an image | median, ms | least, ms | ÷ ours | peak, MiB |\n\
             |---|---:|---:|---:|---:|\n\
             | ours | 12.0 | 10.0 | 1.00 | 2.0 |\n\
             | theirs | 36.0 | 20.0 | 3.00 | – |\n\n\
             Left out: other: is not installed\n\n"
        );
    }
}

use std::io::{self, Write};

use crate::measure::Cost;
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

/// A line below a table.
pub(crate) fn note(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}\n")
}

fn render(title: &str, outcome: &Outcome) -> String {
    let mut text = format!(
        "| {title} | median, ms | least, ms | ÷ ours | CPU, ms | ÷ ours | peak, MiB |\n{}\n",
        "|---".to_owned() + &"|---:".repeat(6) + "|"
    );
    let column = |costs: &[Cost], of: fn(&Cost) -> f64| costs.iter().map(of).collect::<Vec<f64>>();
    let ours = outcome.standings.first().map_or(&[][..], |standing| &standing.costs);
    let (our_wall, our_cpu) = (column(ours, |cost| cost.wall), column(ours, |cost| cost.cpu));
    for standing in &outcome.standings {
        let (wall, cpu) =
            (column(&standing.costs, |cost| cost.wall), column(&standing.costs, |cost| cost.cpu));
        let least = wall.iter().copied().min_by(f64::total_cmp);
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            standing.name,
            cell(median(&wall).map(|s| s * 1e3), 1),
            cell(least.map(|s| s * 1e3), 1),
            cell(median_of_ratios(&wall, &our_wall), 2),
            cell(median(&cpu).map(|s| s * 1e3), 1),
            cell(median_of_ratios(&cpu, &our_cpu), 2),
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
        let costs = |pairs: &[(f64, f64)]| pairs.iter().map(|&(wall, cpu)| Cost { wall, cpu }).collect();
        let outcome = Outcome {
            standings: vec![
                Standing {
                    name: "ours",
                    costs: costs(&[(0.010, 0.004), (0.020, 0.005), (0.012, 0.004)]),
                    peak: Some(2048),
                },
                Standing {
                    name: "theirs",
                    costs: costs(&[(0.020, 0.008), (0.080, 0.010), (0.036, 0.012)]),
                    peak: None,
                },
            ],
            left_out: vec!["other: is not\ninstalled".to_owned()],
        };
        assert_eq!(
            render("an image", &outcome),
            "| an image | median, ms | least, ms | ÷ ours | CPU, ms | ÷ ours | peak, MiB |\n\
             |---|---:|---:|---:|---:|---:|---:|\n\
             | ours | 12.0 | 10.0 | 1.00 | 4.0 | 1.00 | 2.0 |\n\
             | theirs | 36.0 | 20.0 | 3.00 | 10.0 | 2.00 | – |\n\n\
             Left out: other: is not installed\n\n"
        );
    }
}

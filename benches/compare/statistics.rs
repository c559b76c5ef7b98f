//! What is told of many measurements.

/// The middle one; of an even number the mean of the middle two. `None` of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(middle.checked_sub(1)?)? + upper) / 2.0)
}

/// The median of `theirs / ours`, round by round: what disturbs a round disturbs both, and cancels out. `None` when
/// there is no round that both have.
pub(crate) fn median_of_ratios(theirs: &[f64], ours: &[f64]) -> Option<f64> {
    let ratios: Vec<_> = theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[10.0, 1.0, 4.0, 2.0], Some(3.0)),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The third round was slow for both: no other ratio than in the rest.
        assert_eq!(median_of_ratios(&[2.0, 4.0, 60.0], &[1.0, 2.0, 30.0]), Some(2.0));
        // The ratio of medians would be 1.
        assert_eq!(median_of_ratios(&[1.0, 2.0, 3.0], &[2.0, 3.0, 1.0]), Some(2.0 / 3.0));
        assert_eq!(median_of_ratios(&[], &[1.0]), None);
        assert_eq!(median_of_ratios(&[3.0, 5.0], &[1.0]), Some(3.0));
    }
}

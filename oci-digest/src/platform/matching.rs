use super::normalize;
use crate::Platform;

/// Whether an image for `candidate` can be run where `wanted` is what there is.
///
/// The architecture must be the same. Of the variants, amd64 runs its own level and lower ones (none is v1), arm
/// its own version down to v5 (none is v7), arm64 its own down to v8 (none is v8); of other architectures only
/// the same, or none. The operating system's version must be that of `wanted` or a more exact one, if `wanted`
/// names one; features that the candidate requires must be among those of `wanted`.
pub fn matches(wanted: &Platform, candidate: &Platform) -> bool {
    rank(wanted, candidate).is_some()
}

/// How good a match is: lower is better.
pub(super) fn rank(wanted: &Platform, candidate: &Platform) -> Option<Rank> {
    let (wanted, candidate) = (normalize(wanted), normalize(candidate));
    if wanted.os() != candidate.os() || wanted.architecture() != candidate.architecture() {
        return None;
    }
    let variant = variant_rank(
        &wanted.architecture().to_string(),
        wanted.variant().as_deref().unwrap_or_default(),
        candidate.variant().as_deref().unwrap_or_default(),
    )?;
    let version = version_rank(wanted.os_version().as_deref(), candidate.os_version().as_deref())?;
    let required = candidate.os_features().as_deref().unwrap_or_default();
    let there = wanted.os_features().as_deref().unwrap_or_default();
    if !required.iter().all(|feature| there.contains(feature)) {
        return None;
    }
    Some(Rank { variant, version, unused_features: there.len().saturating_sub(required.len()) })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    variant: u32,
    version: u32,
    unused_features: usize,
}

fn variant_rank(arch: &str, wanted: &str, candidate: &str) -> Option<u32> {
    if wanted == candidate {
        return Some(0);
    }
    let down = |wanted: u32, candidate: u32, lowest: u32| {
        (candidate >= lowest && candidate <= wanted).then(|| wanted - candidate)
    };
    match arch {
        "amd64" => down(level(wanted, 1)?, level(candidate, 1)?, 1),
        "arm" => down(level(wanted, 7)?, level(candidate, 7)?, 5),
        "arm64" => {
            let ((major, minor), (other, below)) = (dotted(wanted)?, dotted(candidate)?);
            // Armv9.n has all of Armv8.(n+5).
            let minor_of_8 = if major >= 9 { minor.saturating_add(5) } else { minor };
            match (major, other) {
                _ if major == other => (below <= minor).then(|| minor - below),
                (9.., 8) => (below <= minor_of_8).then(|| 100 + minor_of_8 - below),
                _ => None,
            }
        }
        _ => candidate.is_empty().then_some(1),
    }
}

/// `v7` is 7, and nothing is the default. At most two digits.
fn level(variant: &str, default: u32) -> Option<u32> {
    if variant.is_empty() {
        return Some(default);
    }
    number(variant.strip_prefix('v')?)
}

/// `v8.2` is (8, 2).
fn dotted(variant: &str) -> Option<(u32, u32)> {
    if variant.is_empty() {
        return Some((8, 0));
    }
    let version = variant.strip_prefix('v')?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((number(major)?, number(minor)?))
}

fn number(text: &str) -> Option<u32> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `10.0.17763` is wanted: `10.0.17763` is best, then `10.0.17763.99`, then one that says nothing.
fn version_rank(wanted: Option<&str>, candidate: Option<&str>) -> Option<u32> {
    let present = |version: Option<&str>| version.is_some_and(|version| !version.is_empty());
    if !present(wanted) {
        return Some(u32::from(present(candidate)));
    }
    if !present(candidate) {
        return Some(2);
    }
    let rest = candidate?.strip_prefix(wanted?)?;
    match rest.chars().next() {
        None => Some(0),
        Some('.') => Some(1),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn order(wanted: &str, candidates: &[&str]) -> Vec<String> {
        let wanted = parse(wanted).unwrap();
        let mut ranked: Vec<(Rank, &str)> = candidates
            .iter()
            .filter_map(|text| Some((rank(&wanted, &parse(text).unwrap())?, *text)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, text)| text.to_owned()).collect()
    }

    #[test]
    fn variants_in_order() {
        let arm =
            ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8", "linux/arm64", "linux/arm/x"];
        let amd = ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4", "linux/386"];
        let arm64 = ["linux/arm64", "linux/arm64/v8.2", "linux/arm64/v9", "linux/arm/v7", "linux/arm64/v8.7"];
        for (wanted, candidates, expected) in [
            ("linux/arm/v7", &arm[..], &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"][..]),
            ("linux/arm", &arm, &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
            ("linux/arm/v6", &arm, &["linux/arm/v6", "linux/arm/v5"]),
            ("linux/amd64", &amd, &["linux/amd64"]),
            ("linux/amd64/v3", &amd, &["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]),
            ("linux/arm64", &arm64, &["linux/arm64"]),
            ("linux/arm64/v8.2", &arm64, &["linux/arm64/v8.2", "linux/arm64"]),
            ("linux/arm64/v9", &arm64, &["linux/arm64/v9", "linux/arm64/v8.2", "linux/arm64"]),
            ("linux/riscv64/rva22", &["linux/riscv64", "linux/riscv64/rva23"], &["linux/riscv64"]),
            ("windows/amd64", &["linux/amd64"], &[]),
        ] {
            assert_eq!(order(wanted, candidates), expected, "{wanted}");
        }
        assert!(matches(&parse("linux/arm64").unwrap(), &parse("linux/arm64/v8").unwrap()));
    }

    #[test]
    fn versions_and_features() {
        let of = |version: Option<&str>, features: &[&str]| {
            let mut platform = parse("windows/amd64").unwrap();
            platform.set_os_version(version.map(str::to_owned));
            platform.set_os_features(Some(features.iter().map(|f| (*f).to_owned()).collect()));
            platform
        };
        for (wanted, candidate, expected) in [
            (of(None, &[]), of(Some("10.0.1"), &[]), true),
            (of(Some("10.0.17763"), &[]), of(Some("10.0.17763.5"), &[]), true),
            (of(Some("10.0.17763"), &[]), of(Some("10.0.177631"), &[]), false),
            (of(Some("10.0.17763"), &[]), of(Some("10.0.20348"), &[]), false),
            (of(Some("10.0.17763"), &[]), of(None, &[]), true),
            (of(None, &[]), of(None, &["win32k"]), false),
            (of(None, &["win32k", "x"]), of(None, &["win32k"]), true),
        ] {
            assert_eq!(matches(&wanted, &candidate), expected, "{wanted:?} {candidate:?}");
        }
    }
}

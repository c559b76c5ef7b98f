use super::matching::rank;
use super::to_text;
use crate::error::shortened;
use crate::media_type::Kind;
use crate::{Descriptor, Error, Platform, Result};

/// Chooses the entry of an index for a platform: of those that [match](super::matches) the best, the first of
/// equals.
///
/// Attestations are never chosen. Where nothing matches and the only entry there is names no platform, it is that
/// one: an index around one image.
///
/// # Errors
/// [`Error::NoPlatform`], which names the platforms there are.
pub fn select<'a>(wanted: &Platform, manifests: &'a [Descriptor]) -> Result<&'a Descriptor> {
    let images = || {
        manifests
            .iter()
            .filter(|entry| Kind::of(entry.media_type()).is_manifest_or_index() && !is_attestation(entry))
    };
    let best = images()
        .filter_map(|entry| Some((rank(wanted, entry.platform().as_ref()?)?, entry)))
        .min_by_key(|(rank, _)| *rank);
    if let Some((_, entry)) = best {
        return Ok(entry);
    }
    if let (Some(only), 1) = (images().next(), images().count())
        && only.platform().is_none()
    {
        return Ok(only);
    }
    Err(no_platform(wanted, images().map(|entry| entry.platform().as_ref())))
}

/// Whether an entry of an index is not an image but a statement about one, as buildkit adds them.
pub fn is_attestation(entry: &Descriptor) -> bool {
    let unknown = entry.platform().as_ref().is_some_and(|platform| {
        platform.os().to_string() == "unknown" && platform.architecture().to_string() == "unknown"
    });
    let said = entry
        .annotations()
        .as_ref()
        .and_then(|annotations| annotations.get("vnd.docker.reference.type"))
        .is_some_and(|kind| kind == "attestation-manifest");
    unknown || said
}

fn no_platform<'a>(wanted: &Platform, available: impl Iterator<Item = Option<&'a Platform>>) -> Error {
    // The names come from outside and there may be 10^4 of them.
    const MOST: usize = 32;
    let mut names: Vec<String> = Vec::new();
    let mut more = 0;
    for platform in available {
        let name =
            platform.map_or_else(|| "unspecified".to_owned(), |platform| shortened(&to_text(platform)));
        match names.len() {
            _ if names.contains(&name) => {}
            MOST => more += 1,
            _ => names.push(name),
        }
    }
    let mut available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if more > 0 {
        available.push_str(&format!(" and {more} more"));
    }
    Error::NoPlatform { wanted: to_text(wanted), available }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::{Algorithm, MediaType, digest_of};

    fn entry(n: usize, platform: Option<&str>) -> Descriptor {
        let digest = digest_of(Algorithm::Sha256, &n.to_le_bytes());
        let mut entry = Descriptor::new(MediaType::ImageManifest, 1, digest);
        entry.set_platform(platform.map(|text| parse(text).unwrap()));
        entry
    }

    fn chosen(wanted: &str, entries: &[Option<&str>]) -> Option<usize> {
        let entries: Vec<_> = entries.iter().enumerate().map(|(n, p)| entry(n, *p)).collect();
        let found = select(&parse(wanted).unwrap(), &entries).ok()?;
        entries.iter().position(|entry| entry == found)
    }

    #[test]
    fn the_best_of_what_there_is() {
        for (wanted, entries, expected) in [
            ("linux/amd64", &[Some("linux/arm64"), Some("linux/amd64")][..], Some(1)),
            (
                "linux/amd64/v3",
                &[Some("linux/amd64"), Some("linux/amd64/v2"), Some("linux/amd64/v4")],
                Some(1),
            ),
            ("linux/arm/v7", &[Some("linux/arm/v5"), Some("linux/arm/v6")], Some(1)),
            ("linux/amd64", &[Some("linux/amd64"), Some("linux/amd64")], Some(0)),
            ("linux/amd64", &[Some("unknown/unknown"), Some("linux/amd64")], Some(1)),
            ("unknown/unknown", &[Some("unknown/unknown")], None),
            ("linux/amd64", &[None], Some(0)),
            ("linux/amd64", &[None, Some("unknown/unknown")], Some(0)),
            ("linux/amd64", &[None, None], None),
            ("linux/amd64", &[None, Some("linux/amd64")], Some(1)),
            ("linux/amd64", &[], None),
            ("linux/amd64", &[Some("linux/386")], None),
        ] {
            assert_eq!(chosen(wanted, entries), expected, "{wanted} in {entries:?}");
        }
    }

    #[test]
    fn the_error_names_what_there_is() {
        let entries = [
            entry(0, Some("linux/arm/v7")),
            entry(1, Some("linux/arm64")),
            entry(2, Some("unknown/unknown")),
        ];
        let error = select(&parse("linux/s390x").unwrap(), &entries).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no image for platform linux/s390x; available: linux/arm/v7, linux/arm64"
        );
        let many: Vec<_> = (0..10_000).map(|n| entry(n, Some(&format!("linux/x{n}")))).collect();
        let error = select(&parse("linux/s390x").unwrap(), &many).unwrap_err().to_string();
        assert!(error.len() < 1000 && error.ends_with("and 9968 more"), "{error}");
    }
}

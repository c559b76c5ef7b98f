//! Texts and bytes from outside never panic, and what is understood has one form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use oci_digest::media_type::{self, Kind};
use oci_digest::{
    Algorithm, Digest, Document, Error, ImageIndex, ImageManifest, MediaType, VerifyReader, canonical,
    digest_of, platform,
};
use proptest::prelude::*;
use serde_json::Value;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn platforms(text in "(\\PC{0,20}|[a-z0-9_]{1,8}(/[a-zA-Z0-9._-]{0,8}){0,4})") {
        if let Ok(parsed) = platform::parse(&text) {
            prop_assert_eq!(&platform::normalize(&parsed), &parsed);
            prop_assert!(platform::matches(&parsed, &parsed));
            prop_assert_eq!(platform::parse(&platform::to_text(&parsed)).unwrap(), parsed);
        }
    }

    #[test]
    fn any_two_platforms_compare(a in "[a-z]{1,5}/(arm|arm64|amd64)/v?[0-9.]{0,6}", b in "[a-z]{1,5}/(arm|arm64|amd64)/v?[0-9.]{0,6}") {
        if let (Ok(a), Ok(b)) = (platform::parse(&a), platform::parse(&b)) {
            // Both ways only if they are the same but for spelling.
            if platform::matches(&a, &b) && platform::matches(&b, &a) {
                prop_assert_eq!(a.architecture(), b.architecture());
            }
        }
    }

    #[test]
    fn digests(text in "(\\PC{0,40}|(sha256|sha512|[a-z+.]{1,8}):[a-fA-F0-9=_-]{0,130})") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text);
            match Algorithm::of(&digest) {
                Ok(algorithm) => {
                    prop_assert_eq!(algorithm.as_str(), digest.algorithm().as_ref());
                    prop_assert!(digest.digest().bytes().all(|b| b.is_ascii_hexdigit()));
                }
                Err(error) => prop_assert!(matches!(error, Error::UnsupportedAlgorithm { .. }), "another error"),
            }
        }
    }

    #[test]
    fn media_types(text in "\\PC{0,60}") {
        let kind = Kind::parse(&text);
        prop_assert_eq!(kind, Kind::parse(&text.to_ascii_uppercase()));
        prop_assert_eq!(kind, Kind::of(&media_type::to_oci(&MediaType::from(text.as_str()))));
    }

    #[test]
    fn documents(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::<ImageManifest>::parse(bytes.clone(), None);
        let _ = Document::<ImageIndex>::parse(bytes.clone(), None);
        let _ = Document::<Value>::parse(bytes, None);
    }

    #[test]
    fn canonical_json_is_read_back_and_stable(value in json()) {
        let once = canonical::to_vec(&value).unwrap();
        let back: Value = serde_json::from_slice(&once).unwrap();
        prop_assert_eq!(canonical::to_vec(&back).unwrap(), once);
    }

    #[test]
    fn only_the_right_bytes_verify(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let digest = digest_of(Algorithm::Sha256, &bytes);
        let read = |bytes: &[u8]| {
            let mut reader = VerifyReader::new(bytes, &digest, bytes.len() as u64).unwrap();
            std::io::copy(&mut reader, &mut std::io::sink()).is_ok()
        };
        prop_assert!(read(&bytes));
        let mut other = bytes.clone();
        if !other.is_empty() {
            let at = at.index(other.len());
            other[at] ^= flip;
            prop_assert!(!read(&other));
        }
    }
}

//! `gc`: what goes, what stays, and what is told.

use serde_json::{Value, json};

use crate::scratch::{Scratch, names};

#[test]
fn what_no_tag_leads_to_goes() {
    let scratch = Scratch::new();
    let kept = scratch.small("v1");
    scratch.image("v2", &[|layer| layer.add_dir("x", 0o755).unwrap()], json!({"author": "v2"}));
    scratch.prints(&["untag", "images:v2"]);
    let blobs = || names(&scratch.path("images/blobs/sha256")).len();
    assert_eq!(blobs(), 7);
    let last = |out: &str| out.lines().last().unwrap().to_owned();
    // Somebody might still be about to tag the manifest, which keeps what it names.
    let out = scratch.prints(&["gc", "images"]);
    assert!(last(&out).starts_with("removed 0 (0 B), spared 1 "), "{out}");
    let dry = scratch.prints(&["gc", "images", "--grace=0", "--dry-run"]);
    assert!(last(&dry).starts_with("would remove 3 "), "{dry}");
    assert_eq!(dry.lines().count(), 4);
    assert_eq!(blobs(), 7);
    let out = scratch.prints(&["gc", "images", "--grace=0", "--json"]);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().filter(|event| event["event"] == "removed").count(), 3);
    assert_eq!(events.last().unwrap()["live"]["files"], 4);
    assert_eq!(blobs(), 4);
    scratch.prints(&["unpack", &format!("images@{}", kept.digest()), "bundle"]);
    assert!(last(&scratch.prints(&["gc", "images", "--grace=0"])).starts_with("removed 0 (0 B), spared 0 "));
    scratch.misused(&["gc", "images", "--grace=soon"], "expected an age");
    scratch.fails(
        &["gc", "nowhere"],
        &format!("{} is not an image layout: no such folder", scratch.path("nowhere").display()),
        "",
    );
}

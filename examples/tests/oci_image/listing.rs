//! `new`, `ls`, `tag`, `untag`, `stat`.

use std::fs;

use serde_json::{Value, json};

use crate::scratch::{Scratch, names};

#[test]
fn layouts_and_images_are_made() {
    let scratch = Scratch::new();
    scratch.prints(&["new", "a"]);
    assert_eq!(scratch.prints(&["ls", "a"]), "");
    scratch.prints(&["new", "--platform", "linux/arm64", "a:v1"]);
    scratch.prints(&["new", "b:v1"]);
    assert_eq!(scratch.prints(&["ls", "a"]), "v1\n");
    let stat: Value =
        serde_json::from_str(&scratch.prints(&["stat", "--json", "--platform", "linux/arm64", "a:v1"]))
            .unwrap();
    assert_eq!(
        (&stat["platform"], &stat["size"], &stat["layers"]),
        (&json!("linux/arm64"), &json!(0), &json!([]))
    );
    let path = |name: &str| scratch.path(name).display().to_string();
    scratch.fails(&["new", "a"], &format!("{} is an image layout already", path("a")), "");
    scratch.fails(&["new", "a:v1"], "a:v1: there is such a tag already", "");
    fs::create_dir(scratch.path("c")).unwrap();
    fs::write(scratch.path("c/file"), "x").unwrap();
    let error =
        format!("{} is not an image layout: the folder holds other files, for example file", path("c"));
    scratch.fails(&["new", "c"], &error, "");
    scratch.fails(&["new", "c:v1"], &error, "");
}

#[test]
fn a_new_image_is_the_same_at_the_same_time() {
    let scratch = Scratch::new();
    for layout in ["a", "b"] {
        let mut command = scratch.command(&["new", &format!("{layout}:v1")]);
        assert!(command.env("SOURCE_DATE_EPOCH", "1709251199").status().unwrap().success());
    }
    assert_eq!(names(&scratch.path("a/blobs/sha256")), names(&scratch.path("b/blobs/sha256")));
    assert!(scratch.prints(&["stat", "a:v1"]).contains("2024-02-29T23:59:59Z"));
    let mut command = scratch.command(&["new", "c:v1"]);
    let output = command.env("SOURCE_DATE_EPOCH", "yesterday").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"error: SOURCE_DATE_EPOCH is no number of seconds: yesterday\n");
    assert!(!scratch.path("c").exists());
}

#[test]
fn tags_come_and_go() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.small("one"), scratch.image("two", &[], json!({})));
    scratch.prints(&["tag", "images:one", "again"]);
    scratch.prints(&["tag", &format!("images@{}", two.digest()), "127.0.0.1:5000/a/b:c"]);
    assert_eq!(scratch.prints(&["ls", "images"]), "127.0.0.1:5000/a/b:c\nagain\none\ntwo\n");
    scratch.prints(&["tag", "images:two", "again"]);
    let layout = scratch.layout("images");
    assert_eq!(layout.resolve("again").unwrap().digest(), two.digest());
    scratch.prints(&["untag", "images:one"]);
    scratch.prints(&["untag", "images:127.0.0.1:5000/a/b:c"]);
    assert_eq!(scratch.prints(&["ls", "images"]), "again\ntwo\n");
    // The blobs stay until they are collected.
    assert!(layout.blob(one.digest()).is_ok());
    scratch.fails(&["untag", "images:one"], "images:one: there is no such tag", "");
    scratch.fails(
        &["tag", "images:absent", "x"],
        &format!("absent not found in {}", scratch.path("images").display()),
        "",
    );
    let tag = "a b";
    scratch.fails(&["tag", "images:two", tag], &tag_error(&scratch, tag), "");
    let output = scratch.run(&["untag", "images"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stderr, b"error: images: name the tag to take away\n");
}

/// What the layout itself says of a tag it cannot hold.
fn tag_error(scratch: &Scratch, tag: &str) -> String {
    let layout = scratch.layout("images");
    let image = layout.resolve("two").unwrap();
    layout.tag(&image, tag).unwrap_err().to_string()
}

#[test]
fn listings_are_for_people_and_machines() {
    let scratch = Scratch::new();
    let image = scratch.small("v1");
    let out = scratch.prints(&["ls", "--json", "images"]);
    let entry: Value = serde_json::from_str(out.trim_end()).unwrap();
    assert_eq!(
        entry,
        json!({"tag": "v1", "digest": image.digest().to_string(), "mediaType": image.media_type().to_string(),
            "size": image.size(), "platform": null, "artifactType": null})
    );
    let long = scratch.prints(&["ls", "-l", "images"]);
    let lines: Vec<Vec<&str>> = long.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["TAG", "DIGEST", "KIND", "SIZE"]);
    assert_eq!(lines[1][..3], ["v1", image.digest().as_ref(), "image"]);
    assert_eq!(lines.len(), 2);
    scratch.fails(
        &["ls", "nowhere"],
        &format!("{} is not an image layout: no such folder", scratch.path("nowhere").display()),
        "",
    );
}

#[test]
fn stat_shows_each_step_with_its_layer() {
    let scratch = Scratch::new();
    let fill: crate::scratch::Fill = |layer| layer.add_dir("a", 0o755).unwrap();
    let history = json!([
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD . /"},
        {"created_by": "ENV A=b", "empty_layer": true, "comment": "no files"},
    ]);
    scratch.image(
        "v1",
        &[fill, |layer| layer.add_dir("b", 0o755).unwrap()],
        json!({"history": history, "author": "me\u{1b}[2J"}),
    );
    let stat: Value = serde_json::from_str(&scratch.prints(&["stat", "--json", "images:v1"])).unwrap();
    let steps = stat["history"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    let layers: Vec<bool> = steps.iter().map(|step| step["layer"].is_object()).collect();
    assert_eq!(layers, [true, false, true], "the last layer has no step of its own");
    assert_eq!(steps[0]["created_by"], "ADD . /");
    assert_eq!(stat["layers"][0]["present"], true);
    let text = scratch.prints(&["stat", "images:v1"]);
    assert!(text.contains("LAYER") && text.contains("ENV A=b") && text.contains("no files"), "{text}");
    assert!(text.contains("author    me\\u{1b}[2J\n"), "{text}");
    let layer = stat["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    fs::remove_file(scratch.path("images/blobs").join(layer)).unwrap();
    let stat: Value = serde_json::from_str(&scratch.prints(&["stat", "--json", "images:v1"])).unwrap();
    assert_eq!(stat["layers"][0]["present"], false);
}

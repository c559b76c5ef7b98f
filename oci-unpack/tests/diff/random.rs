//! Random trees and random edits: what was before and the layer make what is there now.

use std::fs;

use oci_unpack::diff::{self, Snapshot};
use oci_unpack::pack::PackOptions;

use crate::edits::{Dice, Where, edit, grow};
use crate::{apply, copy, exact, list, show};

const SEEDS: u64 = 25;

#[test]
fn two_trees() {
    for seed in 0..SEEDS {
        let dir = tempfile::tempdir().unwrap();
        let [old, new, result] = ["old", "new", "result"].map(|name| dir.path().join(name));
        let mut dice = Dice::new(seed);
        fs::create_dir(&old).unwrap();
        grow(&old, &mut dice, 25);
        copy(&old, &new);
        assert_eq!(list(&diff::trees(&old, &new, &exact()).unwrap()), [""; 0], "seed {seed}");
        edit(&new, &mut dice, 12, Where::Plain);

        let diff = diff::trees(&old, &new, &exact()).unwrap();
        let (blob, layer) = diff.write(Vec::new()).unwrap();
        copy(&old, &result);
        apply(&blob, &result);
        assert_eq!(show(&result), show(&new), "seed {seed}: {:#?}", list(&diff));
        assert_eq!(list(&diff::trees(&result, &new, &exact()).unwrap()), [""; 0], "seed {seed}");
        assert_eq!(diff.is_empty(), layer.entries == 0, "seed {seed}");

        // The same trees elsewhere give the same layer.
        let [old_copy, new_copy] = ["old copy", "new copy"].map(|name| dir.path().join(name));
        copy(&old, &old_copy);
        copy(&new, &new_copy);
        let again = diff::trees(&old_copy, &new_copy, &exact()).unwrap();
        assert_eq!(list(&again), list(&diff), "seed {seed}");
        assert!(again.write(Vec::new()).unwrap().0 == blob, "seed {seed}");
    }
}

#[test]
fn a_tree_and_its_snapshot() {
    for seed in 100..100 + SEEDS {
        let dir = tempfile::tempdir().unwrap();
        let [tree, result, moved] = ["tree", "result", "moved"].map(|name| dir.path().join(name));
        let mut dice = Dice::new(seed);
        fs::create_dir(&tree).unwrap();
        grow(&tree, &mut dice, 25);
        copy(&tree, &result);
        let before = Snapshot::of(&tree).unwrap();
        assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()), [""; 0], "seed {seed}");
        // A copy is another tree with the same things in it.
        assert_eq!(list(&diff::since(&before, &result, &exact()).unwrap()), [""; 0], "seed {seed}");
        edit(&tree, &mut dice, 12, Where::Plain);

        let diff = diff::since(&before, &tree, &exact()).unwrap();
        let (blob, _) = diff.write(Vec::new()).unwrap();
        apply(&blob, &result);
        assert_eq!(show(&result), show(&tree), "seed {seed}: {:#?}", list(&diff));

        copy(&tree, &moved);
        let elsewhere = diff::since(&before, &moved, &exact()).unwrap();
        assert_eq!(list(&elsewhere), list(&diff), "seed {seed}");
        assert!(elsewhere.write(Vec::new()).unwrap().0 == blob, "seed {seed}");
    }
}

/// Without fractions of seconds, a tree that lost them is the same.
#[test]
fn whole_seconds() {
    for seed in 200..210 {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        fs::create_dir(&old).unwrap();
        grow(&old, &mut Dice::new(seed), 25);
        fs::create_dir(&new).unwrap();
        let options = PackOptions::default().root_entry(true);
        apply(&oci_unpack::pack::pack(&old, Vec::new(), &options).unwrap().0, &new);
        assert_eq!(list(&diff::trees(&old, &new, &options).unwrap()), [""; 0], "seed {seed}");
    }
}

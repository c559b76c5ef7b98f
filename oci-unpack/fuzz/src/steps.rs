//! Random layers, as steps that say what an entry is for, so that a model can follow them.

use super::choices::Choices;
use super::layer::{self, Item};

#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// From the root; without slashes around it, unless it is hostile.
    pub(crate) path: String,
    pub(crate) what: What,
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) time: i64,
    pub(crate) xattr: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Dir,
    File(String),
    Symlink(&'static str),
    Hard(String),
    Fifo,
    /// Of a name beside the marker.
    Whiteout,
    /// Of the directory.
    Opaque,
}

/// What names and targets are made of.
pub(crate) struct Alphabet {
    pub(crate) names: &'static [&'static str],
    pub(crate) before: &'static [&'static str],
    pub(crate) after: &'static [&'static str],
    pub(crate) targets: &'static [&'static str],
}

/// Few names, so that they meet often.
pub(crate) const TAME: Alphabet = Alphabet {
    names: &["a", "b", "c", "a.b"],
    before: &[""],
    after: &[""],
    targets: &["a", "b/c", "/a", "../b", "c/..", "/", ".", "nowhere"],
};

/// Everything that leads out, if anything does.
pub(crate) const HOSTILE: Alphabet = Alphabet {
    names: &[
        "a",
        "b",
        "c",
        "canary",
        "a",
        "b",
        "c",
        "file",
        "a",
        "b",
        "c",
        "..",
        ".",
        "",
        ".wh.a",
        ".wh..wh.x",
    ],
    before: &["", "", "", "/", "./", "//", "../", "canary/"],
    after: &["", "", "", "/", "/.", "/..", "//"],
    targets: &[
        "a",
        "b/c",
        "/",
        "..",
        "../..",
        "../canary",
        "/canary",
        "../../canary/folder",
        "a/../../canary",
        "../root",
        "/proc/self/cwd",
        "/proc/self/root",
        "c/../b",
        "../../../../../../tmp",
        ".",
        "a/",
    ],
};

/// Layers until the decisions are used up.
pub(crate) fn layers(choices: &mut Choices<'_>, alphabet: &Alphabet) -> Vec<Vec<Step>> {
    let mut layers = vec![Vec::new()];
    let mut count = 0;
    while !choices.is_empty() && count < 200 {
        if choices.one_in(12) {
            layers.push(Vec::new());
        }
        let step = step(choices, alphabet);
        if let Some(layer) = layers.last_mut() {
            layer.push(step);
        }
        count += 1;
    }
    layers
}

fn step(choices: &mut Choices<'_>, alphabet: &Alphabet) -> Step {
    let path = path(choices, alphabet);
    let what = match choices.below(20) {
        0..5 => What::Dir,
        5..11 => What::File(choices.below(10).to_string()),
        11 | 12 => What::Symlink(choices.of(alphabet.targets)),
        13 | 14 => What::Hard(self::path(choices, alphabet)),
        15 => What::Fifo,
        16..19 => What::Whiteout,
        _ => What::Opaque,
    };
    let odd = choices.byte();
    let mode = match (&what, odd % 4) {
        (What::Dir, 0) => 0o555,
        (What::Dir, 1) => 0o1711,
        (What::Dir, _) => 0o755,
        (_, 0) => 0o600,
        (_, 1) => 0o4755,
        _ => 0o644,
    };
    Step {
        path,
        what,
        mode,
        owner: u32::from(odd / 4 % 4) * 7,
        time: 1000 + i64::from(odd / 16 % 4),
        xattr: [None, None, None, Some("v")][usize::from(odd / 64)],
    }
}

fn path(choices: &mut Choices<'_>, alphabet: &Alphabet) -> String {
    let depth = choices.below(3) + 1;
    let names: Vec<_> = (0..depth).map(|_| choices.of(alphabet.names)).collect();
    let (mut before, mut after) = ("", "");
    if alphabet.before.len() > 1 {
        (before, after) = (choices.of(alphabet.before), choices.of(alphabet.after));
    }
    [before, &names.join("/"), after].concat()
}

impl Step {
    pub(crate) fn item(&self) -> Item {
        let marked = |leaf: &dyn Fn(&str) -> String| match self.path.rsplit_once('/') {
            Some((parent, name)) => format!("{parent}/{}", leaf(name)),
            None => leaf(&self.path),
        };
        let item = match &self.what {
            What::Dir => layer::dir(&self.path),
            What::File(content) => layer::file(&self.path, content),
            What::Symlink(target) => layer::symlink(&self.path, target),
            What::Hard(target) => layer::hard(&self.path, target),
            What::Fifo => layer::fifo(&self.path),
            What::Whiteout => layer::wh(&marked(&|name| format!(".wh.{name}"))),
            What::Opaque => layer::wh(&marked(&|_| ".wh..wh..opq".into())),
        };
        let item = item.mode(self.mode).owner(self.owner.into(), 0).time(&self.time.to_string());
        match self.xattr {
            Some(value) if matches!(self.what, What::Dir | What::File(_)) => item.xattr("user.a", value),
            _ => item,
        }
    }
}

pub(crate) fn archive(layer: &[Step]) -> Vec<u8> {
    let items: Vec<Item> = layer.iter().map(Step::item).collect();
    layer::archive(&items)
}

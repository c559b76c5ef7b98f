//! Random images over few names, so that layers meet in every way: what overlayfs shows of the layers is the one tree,
//! and where one way fails the other does.

use oci_unpack::UnpackOptions;

use super::layer::{Item, archive, dir, fifo, file, hard, symlink, wh};
use super::{Mode, Room, is_root, message};

#[test]
fn layers_mounted_are_the_tree() {
    // Fewer where each mount takes a process.
    let images = if is_root() { 400 } else { 60 };
    for seed in 1..=images {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let layers: Vec<Vec<Item>> = (0..2 + random.below(3)).map(|_| layer(&mut random)).collect();
        let archives: Vec<_> = layers.iter().map(|items| archive(items)).collect();
        let tree = Room::new();
        let (one, _) = tree.unpack(&archives, UnpackOptions::default());
        let mode = [Mode::User, Mode::Beside, Mode::Xattrs][random.below(3)];
        let room = Room::of(mode);
        let (other, _) = room.unpack(&archives, UnpackOptions::default());
        match (one, other) {
            (Ok(one), Ok(other)) => {
                let want = without_links(&tree.show(&one).unwrap());
                if let Some(shown) = room.show(&other) {
                    assert_eq!(without_links(&shown), want, "seed {seed}, {mode:?}: {layers:?}");
                }
            }
            (Err(one), Err(other)) => assert_eq!(message(&one), message(&other), "seed {seed}, {mode:?}"),
            (one, other) => panic!("seed {seed}, {mode:?}: {one:?}, but {other:?}: {layers:?}"),
        }
    }
}

fn layer(random: &mut Random) -> Vec<Item> {
    (0..1 + random.below(8)).map(|_| entry(random)).collect()
}

fn entry(random: &mut Random) -> Item {
    let name = name(random);
    let (parent, leaf) = name
        .rsplit_once('/')
        .map_or((String::new(), name.as_str()), |(parent, leaf)| (format!("{parent}/"), leaf));
    let time = random.below(1000).to_string();
    match random.below(14) {
        0..4 => file(&name, random.below(1000).to_string()).time(&time),
        4..7 => dir(format!("{name}/")).mode(0o700 | random.below(64) as u32).time(&time),
        7 | 8 => wh(&format!("{parent}.wh.{leaf}")),
        9 => wh(&format!("{parent}.wh..wh..opq")),
        10 => symlink(&name, ["a", "/b", "../c", "a/b", "..", "none"][random.below(6)]).time(&time),
        11 => fifo(&name).time(&time),
        12 => dir("./").mode(0o700 | random.below(64) as u32).time(&time),
        _ => hard(&name, self::name(random)),
    }
}

fn name(random: &mut Random) -> String {
    let components = (0..1 + random.below(3)).map(|_| ["a", "b", "c"][random.below(3)]);
    components.collect::<Vec<_>>().join("/")
}

/// Further names of an inode as if they were files of their own: only names in one layer are one inode.
fn without_links(shown: &str) -> String {
    let rest = |name: &str| {
        let line = shown.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
        line[name.len()..].to_owned()
    };
    let lines = shown.lines().map(|line| match line.split_once(" == ") {
        Some((name, other)) => format!("{name}{}", rest(other)),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// xorshift: the same images on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }
}

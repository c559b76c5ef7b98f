//! Random layers against the model: the same tree, with and without `openat2`.

use super::apply::apply;
use super::choices::Choices;
use super::model::Model;
use super::steps::{Step, TAME, archive, layers};
use super::tree;
use super::yard::Yard;

pub fn run(data: &[u8]) {
    let (model, layers) = said(data);
    let archives: Vec<_> = layers.iter().map(|layer| archive(layer)).collect();
    let owners = rustix::process::geteuid().is_root();
    for openat2 in [true, false] {
        let yard = Yard::new();
        let result = apply(&yard.root(), &archives, openat2);
        yard.check();
        assert!(result.is_ok(), "{result:?}: {layers:#?}");
        let (tree, want) = (tree::show(&yard.root(), owners), model.show(owners));
        assert_eq!(tree, want, "openat2: {openat2}, {layers:#?}");
    }
}

/// Layers that the model has an answer to, and the answer.
fn said(data: &[u8]) -> (Model, Vec<Vec<Step>>) {
    let mut layers = layers(&mut Choices::new(data), &TAME);
    let mut model = Model::new();
    layers.iter_mut().for_each(|layer| model.apply_most(layer));
    (model, layers)
}

/// How many steps the bytes are, and how many of them the model has an answer to.
pub fn share(data: &[u8]) -> (usize, usize) {
    let all = layers(&mut Choices::new(data), &TAME);
    (all.concat().len(), said(data).1.concat().len())
}

pub fn seeds() -> Vec<Vec<u8>> {
    // Bytes without a pattern, of several lengths.
    let noise = |seed: u32, len: usize| {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(len).collect::<Vec<u8>>()
    };
    (1..9).map(|seed| noise(seed, 40 * seed as usize)).collect()
}

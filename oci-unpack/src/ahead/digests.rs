use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use oci_digest::{Algorithm, Digest, Hasher};

use super::block::Block;
use crate::{Error, Result};

/// What is to be hashed.
pub(super) enum ToHash {
    Data(Arc<Block>),
    End,
}

/// Hashes the layers, one after the other, and says of each whether it is what its diffID names.
pub(super) fn run(diff_ids: Vec<&Digest>, blocks: &Receiver<ToHash>, verdicts: &Sender<Result<()>>) {
    for diff_id in diff_ids {
        let Some(verdict) = one(diff_id, blocks) else { return };
        let failed = verdict.is_err();
        if verdicts.send(verdict).is_err() || failed {
            return;
        }
    }
}

/// `None`: the layer does not end, and whoever inflates has said why.
fn one(expected: &Digest, blocks: &Receiver<ToHash>) -> Option<Result<()>> {
    let mut hasher = match Algorithm::of(expected) {
        Ok(algorithm) => Hasher::new(algorithm),
        Err(e) => {
            return Some(Err(Error::Content { context: "hashing a layer".into(), source: Box::new(e) }));
        }
    };
    while let ToHash::Data(block) = blocks.recv().ok()? {
        hasher.update(block.bytes());
    }
    let actual = hasher.finish();
    Some(if actual == *expected {
        Ok(())
    } else {
        Err(Error::DiffId { expected: expected.to_string().into(), actual: actual.to_string().into() })
    })
}

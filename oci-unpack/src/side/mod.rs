//! Layers side by side: each is read, inflated, hashed and parsed, and its files are written, by threads of its own,
//! before it is known what lies beneath them.
//!
//! What depends on lower layers is done in order by the caller's thread: it takes the entries as they come out of the
//! layers' queues, makes directories, links and whiteouts, and gives the files their places by renaming them. A queue
//! holds so much and no more, so that a layer whose turn has not come waits when it is far ahead.

mod prepared;
mod queue;
mod turns;
mod writer;

use std::thread::{Builder, available_parallelism};

use oci_digest::content::Source;
use prepared::Prepared;
use queue::Queue;
use turns::Turns;
use writer::Writer;

use crate::ahead::Blob;
use crate::rootfs::Layers;
use crate::{Error, Report, Result, UnpackOptions};

/// One layer keeps about so many processors busy: one inflates, one hashes, parses and writes.
const PROCESSORS: usize = 2;

/// How many layers are worked on at once; with one, they come one after the other.
pub(crate) fn layers_at_once(layers: usize, options: &UnpackOptions) -> usize {
    let wanted = options.layers_at_once.map_or_else(
        || available_parallelism().map_or(1, |processors| processors.get() / PROCESSORS),
        usize::from,
    );
    wanted.clamp(1, layers.max(1))
}

/// Applies layers to the folders of an overlay.
pub(crate) fn apply(
    source: &dyn Source,
    blobs: &[Blob<'_>],
    mut layers: Layers,
    at_once: usize,
    options: &UnpackOptions,
) -> Result<Report> {
    let queues: Vec<_> = blobs.iter().map(|_| Queue::new()).collect();
    let turns = Turns::new(blobs.len(), 2 * at_once);
    let budget = layers.budget();
    let asides =
        (0..blobs.len()).map(|layer| layers.make_aside(&aside(layer))).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        // Whatever ends this, the threads must not wait for us, nor the scope for them.
        let _closing = Closing(&queues, &turns);
        for _ in 0..at_once {
            let writer = Writer { source, options, budget: &budget };
            let (queues, turns, asides) = (&queues, &turns, &asides);
            let work = move || {
                while let Some(layer) = turns.next()
                    && let Some(((blob, queue), folder)) =
                        blobs.get(layer).zip(queues.get(layer)).zip(asides.get(layer))
                {
                    writer.write(*blob, layer, folder, queue);
                }
            };
            Builder::new()
                .name("layer-write".into())
                .spawn_scoped(scope, work)
                .map_err(|e| Error::io("starting a thread", e))?;
        }
        for (index, (queue, folder)) in queues.iter().zip(&asides).enumerate() {
            let wrap = |e| Error::Layer { index, source: Box::new(e) };
            layers.apply_entries(Prepared::new(queue, folder), Prepared::end).map_err(wrap)?;
            layers.remove_aside(&aside(index)).map_err(wrap)?;
            turns.applied();
        }
        layers.finish()
    })
}

/// The folder of files of a layer that wait for their places.
fn aside(layer: usize) -> String {
    format!("files-of-{layer}")
}

struct Closing<'a>(&'a [Queue], &'a Turns);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Queue::close);
        self.1.close();
    }
}

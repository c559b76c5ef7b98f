//! `oci-image stat`.

use std::process::ExitCode;

use examples::{Failure, ImageName, human_size, platform_of, print_line, printable, table};
use oci_digest::content::{Image, SourceExt};
use oci_digest::media_type::Kind;
use oci_digest::{Descriptor, ImageIndex, MAX_DOCUMENT_BYTES, Platform, platform};
use oci_layout::ImageLayout;
use serde_json::{Value, json};

/// Shows an image: its layers, sizes, history and platforms
#[derive(Debug, clap::Args)]
pub(crate) struct Stat {
    /// The platform to take of an image for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// One JSON object: manifest, config, layers, history (each entry with its layer's descriptor and diff_id), platforms
    #[arg(long)]
    json: bool,
    /// The image: LAYOUT[:TAG] or LAYOUT@DIGEST
    image: ImageName,
}

impl Stat {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = self.image.open()?;
        let root = layout.resolve(self.image.name_or_latest())?;
        let image = self.image.find(&layout, self.platform.as_ref())?;
        let platforms = platforms(&layout, &root)?;
        let lines = lines(&image);
        if self.json {
            print_line(as_json(&layout, &image, &lines, &platforms));
        } else {
            print_line(as_text(&self.image, &image, &lines, &platforms).trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One step of the history, with its layer if it made one; or a layer that no step of the history tells of.
struct Line {
    layer: Option<(Descriptor, Option<String>)>,
    history: Option<oci_digest::spec::History>,
}

fn lines(image: &Image) -> Vec<Line> {
    let diff_ids = image.config.view().rootfs().diff_ids();
    let mut layers = image.manifest.view().layers().iter().cloned().enumerate();
    let mut next = || layers.next().map(|(n, layer)| (layer, diff_ids.get(n).cloned()));
    let mut lines = Vec::new();
    for step in image.config.view().history().iter().flatten() {
        let layer = if step.empty_layer() == Some(true) { None } else { next() };
        lines.push(Line { layer, history: Some(step.clone()) });
    }
    while let Some(layer) = next() {
        lines.push(Line { layer: Some(layer), history: None });
    }
    lines
}

/// The platforms of an index, each with its manifest; nothing for a single image.
fn platforms(layout: &ImageLayout, root: &Descriptor) -> Result<Vec<Descriptor>, Failure> {
    if Kind::of(root.media_type()) != Kind::Index {
        return Ok(Vec::new());
    }
    let index = layout.document::<ImageIndex>(root, MAX_DOCUMENT_BYTES)?;
    Ok(index.view().manifests().clone())
}

fn size_of(image: &Image) -> u64 {
    image.manifest.view().layers().iter().map(Descriptor::size).fold(0, u64::saturating_add)
}

fn as_text(name: &ImageName, image: &Image, lines: &[Line], platforms: &[Descriptor]) -> String {
    let (manifest, config) = (image.manifest.view(), image.config.view());
    let mut rows = vec![
        vec!["image".to_owned(), printable(&name.to_string())],
        vec!["manifest".to_owned(), image.descriptor.digest().to_string()],
        vec!["config".to_owned(), manifest.config().digest().to_string()],
        vec!["platform".to_owned(), printable(&platform::to_text(&platform_of(image)))],
    ];
    for (label, value) in [("created", config.created()), ("author", config.author())] {
        rows.extend(value.as_ref().map(|value| vec![label.to_owned(), printable(value)]));
    }
    rows.push(vec![
        "layers".to_owned(),
        format!("{}, {}", manifest.layers().len(), human_size(size_of(image))),
    ]);
    for other in platforms {
        let text = other.platform().as_ref().map_or_else(|| "unknown".to_owned(), platform::to_text);
        rows.push(vec!["index has".to_owned(), format!("{} {}", printable(&text), other.digest())]);
    }
    let mut text = table(&rows, &[]);
    if lines.is_empty() {
        return text;
    }
    let mut rows = vec![["LAYER", "SIZE", "CREATED", "CREATED BY", "COMMENT"].map(str::to_owned).to_vec()];
    for line in lines {
        let (digest, size) = match &line.layer {
            Some((layer, _)) => (short(layer), human_size(layer.size())),
            None => ("<none>".to_owned(), String::new()),
        };
        let step = line.history.as_ref();
        let field = |field: Option<&String>| field.map(|text| cut(text, 60)).unwrap_or_default();
        rows.push(vec![
            digest,
            size,
            field(step.and_then(|step| step.created().as_ref())),
            field(step.and_then(|step| step.created_by().as_ref())),
            field(step.and_then(|step| step.comment().as_ref())),
        ]);
    }
    text += &format!("\n{}", table(&rows, &[1]));
    text
}

fn as_json(layout: &ImageLayout, image: &Image, lines: &[Line], platforms: &[Descriptor]) -> Value {
    let manifest = image.manifest.view();
    let history: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut entry = json!(line.history);
            if !entry.is_object() {
                entry = json!({});
            }
            let (layer, diff_id) = match &line.layer {
                Some((layer, diff_id)) => (json!(layer), json!(diff_id)),
                None => (Value::Null, Value::Null),
            };
            entry["layer"] = layer;
            entry["diff_id"] = diff_id;
            entry["empty_layer"] = json!(line.layer.is_none());
            entry
        })
        .collect();
    let layers: Vec<Value> = manifest
        .layers()
        .iter()
        .map(|layer| {
            let mut entry = json!(layer);
            let present = layout.blob(layer.digest()).is_ok_and(|(_, size)| size == layer.size());
            entry["present"] = json!(present);
            entry
        })
        .collect();
    json!({
        "manifest": image.descriptor,
        "config": manifest.config(),
        "platform": platform::to_text(&platform_of(image)),
        "created": image.config.view().created(),
        "author": image.config.view().author(),
        "annotations": manifest.annotations(),
        "size": size_of(image),
        "layers": layers,
        "history": history,
        "platforms": platforms,
    })
}

/// Enough of a digest to know it again.
fn short(layer: &Descriptor) -> String {
    let digest = layer.digest().to_string();
    match digest.char_indices().nth(19) {
        Some((end, _)) => format!("{}…", digest.get(..end).unwrap_or(&digest)),
        None => digest,
    }
}

fn cut(text: &str, length: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}

//! `oci-image config`.

use std::process::ExitCode;

use examples::{Failure, ImageName, print_line};
use oci_digest::{Platform, platform};
use oci_layout::edit::{ConfigEdit, ImageEdit};
use serde_json::Value;

use crate::history::{self, HistoryFlags};
use crate::values::pair;

/// Shows an image's config, or changes it
///
/// Without options that change something, the config is printed as JSON. Otherwise the tag then names the changed image,
/// or --tag does; what no option speaks of stays as it is, members that nobody knows among it. An image in an index is
/// changed in there.
///
/// Options that take a list (env, label, exposedports, volume, annotation) add to it or replace the entry of the same
/// name; with "-" before the name they remove it, as --config.env=-HOME. The lists of entrypoint, cmd, shell and onbuild
/// are set as a whole, one option for each item. --clear removes a member before the others are set.
#[derive(Debug, clap::Args)]
pub(crate) struct Config {
    /// The image: LAYOUT[:TAG]
    image: ImageName,
    /// The tag of the changed image [default: the image's own]
    #[arg(long, value_name = "NEW-TAG")]
    tag: Option<String>,
    /// The platform to take of an image for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    #[command(flatten)]
    members: Members,
    #[command(flatten)]
    history: HistoryFlags,
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Members")]
struct Members {
    /// Remove a member: config.env, config.labels, …, or any as a JSON pointer, /config/Env
    #[arg(long, value_name = "MEMBER", value_parser = member)]
    clear: Vec<String>,
    /// The user the process runs as: user, uid, user:group or uid:gid
    #[arg(long = "config.user", value_name = "USER")]
    user: Option<String>,
    /// A port to expose: 80, 80/tcp or 53/udp
    #[arg(long = "config.exposedports", value_name = "PORT", allow_hyphen_values = true, value_parser = port)]
    exposed_ports: Vec<String>,
    /// A variable of the environment
    #[arg(long = "config.env", value_name = "NAME=VALUE", allow_hyphen_values = true, value_parser = pair)]
    env: Vec<(String, Option<String>)>,
    /// The program and its first arguments
    #[arg(long = "config.entrypoint", value_name = "ARG", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// The arguments, or the program with its arguments where there is no entrypoint
    #[arg(long = "config.cmd", value_name = "ARG", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// A folder for data that outlives a container
    #[arg(long = "config.volume", value_name = "PATH", allow_hyphen_values = true)]
    volume: Vec<String>,
    /// A label
    #[arg(long = "config.label", value_name = "KEY=TEXT", allow_hyphen_values = true, value_parser = pair)]
    label: Vec<(String, Option<String>)>,
    /// The working directory
    #[arg(long = "config.workingdir", value_name = "PATH")]
    working_dir: Option<String>,
    /// The signal that stops the process, as SIGTERM
    #[arg(long = "config.stopsignal", value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// docker's shell for its instructions
    #[arg(long = "config.shell", value_name = "ARG", allow_hyphen_values = true)]
    shell: Vec<String>,
    /// docker's instructions for images built on this one
    #[arg(long = "config.onbuild", value_name = "INSTRUCTION")]
    on_build: Vec<String>,
    /// docker's health check, as JSON
    #[arg(long = "config.healthcheck", value_name = "JSON", value_parser = json)]
    healthcheck: Option<Value>,
    /// The limit of memory in bytes
    #[arg(long = "config.memory", value_name = "BYTES")]
    memory: Option<i64>,
    /// The limit of memory and swap in bytes
    #[arg(long = "config.memoryswap", value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// The relative weight of processor time
    #[arg(long = "config.cpushares", value_name = "N")]
    cpu_shares: Option<i64>,
    /// Whether a Windows entrypoint is one command line
    #[arg(long = "config.argsescaped", value_name = "BOOL")]
    args_escaped: Option<bool>,
    /// When the image was made [default: SOURCE_DATE_EPOCH, or now]
    #[arg(long, value_name = "DATE", value_parser = history::date)]
    created: Option<String>,
    /// Who made the image
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// The architecture, as Go names it
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,
    /// The architecture's variant
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// The operating system
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// The operating system's version
    #[arg(long = "os.version", value_name = "VERSION")]
    os_version: Option<String>,
    /// A feature that the operating system must have
    #[arg(long = "os.features", value_name = "FEATURE")]
    os_features: Vec<String>,
    /// An annotation of the manifest
    #[arg(long = "manifest.annotation", alias = "annotation", value_name = "KEY=TEXT", allow_hyphen_values = true,
        value_parser = pair)]
    annotation: Vec<(String, Option<String>)>,
    /// An annotation of the manifest's entry in the index around it, or in index.json
    #[arg(long = "entry.annotation", value_name = "KEY=TEXT", allow_hyphen_values = true, value_parser = pair)]
    entry_annotation: Vec<(String, Option<String>)>,
    /// Write configs and manifests of at most so many bytes into the descriptors that name them, as "data"
    #[arg(long, value_name = "BYTES")]
    embed_data: Option<u64>,
    /// Any member of the config by its JSON pointer, as /config/X-Mine=[1,2]; what is no JSON is text
    #[arg(long, value_name = "POINTER=JSON", value_parser = pointer)]
    set: Vec<(String, Value)>,
}

impl Config {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = self.image.open()?;
        if self.changes_nothing() {
            let image = self.image.find(&layout, self.platform.as_ref())?;
            let config: Value = serde_json::from_slice(image.config.bytes())?;
            print_line(serde_json::to_string_pretty(&config)?);
            return Ok(ExitCode::SUCCESS);
        }
        let tag = self.image.new_tag(self.tag.as_deref())?;
        let mut edit = ImageEdit::open_in(&layout, self.image.name_or_latest(), self.platform.as_ref())?;
        self.members.apply(&mut edit)?;
        if let Some(entry) = self.history.entry("config")? {
            edit.append_history(entry)?;
        }
        edit.commit_in(&layout, &[tag])?;
        Ok(ExitCode::SUCCESS)
    }

    fn changes_nothing(&self) -> bool {
        self.members == Members::default() && self.history == HistoryFlags::default() && self.tag.is_none()
    }
}

impl Members {
    fn apply(&self, edit: &mut ImageEdit) -> Result<(), Failure> {
        let created = match &self.created {
            Some(created) => created.clone(),
            None => history::now()?,
        };
        for cleared in &self.clear {
            match cleared.as_str() {
                MANIFEST_ANNOTATIONS => {
                    if let Some(manifest) = edit.manifest_mut().as_object_mut() {
                        manifest.shift_remove("annotations");
                    }
                }
                pointer => drop(edit.config_mut()?.remove(pointer)?),
            }
        }
        let mut config = edit.config_mut()?;
        config.created(created.as_str());
        self.apply_texts(&mut config);
        self.apply_lists(&mut config);
        for (pointer, value) in &self.set {
            config.set(pointer, value.clone())?;
        }
        self.apply_platform(edit)?;
        for (key, text) in &self.annotation {
            edit.annotate(key, text.as_deref());
        }
        for (key, text) in &self.entry_annotation {
            edit.annotate_entry(key, text.as_deref());
        }
        if let Some(bytes) = self.embed_data {
            edit.embed_up_to(bytes);
        }
        Ok(())
    }

    fn apply_texts(&self, config: &mut ConfigEdit<'_>) {
        if let Some(text) = &self.author {
            config.author(text.as_str());
        }
        if let Some(text) = &self.user {
            config.user(text.as_str());
        }
        if let Some(text) = &self.working_dir {
            config.working_dir(text.as_str());
        }
        if let Some(text) = &self.stop_signal {
            config.stop_signal(text.as_str());
        }
        if let Some(text) = &self.os_version {
            config.os_version(text.as_str());
        }
        if let Some(number) = self.memory {
            config.memory(number);
        }
        if let Some(number) = self.memory_swap {
            config.memory_swap(number);
        }
        if let Some(number) = self.cpu_shares {
            config.cpu_shares(number);
        }
        if let Some(escaped) = self.args_escaped {
            config.args_escaped(escaped);
        }
        if let Some(check) = &self.healthcheck {
            config.healthcheck(check.clone());
        }
    }

    fn apply_lists(&self, config: &mut ConfigEdit<'_>) {
        if !self.entrypoint.is_empty() {
            config.entrypoint(&self.entrypoint);
        }
        if !self.cmd.is_empty() {
            config.cmd(&self.cmd);
        }
        if !self.shell.is_empty() {
            config.shell(&self.shell);
        }
        if !self.on_build.is_empty() {
            config.on_build(&self.on_build);
        }
        if !self.os_features.is_empty() {
            config.os_features(&self.os_features);
        }
        for (name, value) in &self.env {
            config.env(name, value.as_deref());
        }
        for (key, text) in &self.label {
            config.label(key, text.as_deref());
        }
        for port in &self.exposed_ports {
            let (port, exposed) = added(port);
            config.exposed_port(port, exposed);
        }
        for path in &self.volume {
            let (path, is_volume) = added(path);
            config.volume(path, is_volume);
        }
    }

    /// The platform is in the config, and in the index around the image if there is one.
    fn apply_platform(&self, edit: &mut ImageEdit) -> Result<(), Failure> {
        if self.architecture.is_none() && self.variant.is_none() && self.os.is_none() {
            return Ok(());
        }
        let config = edit.config()?;
        let member = |name: &str| config.get(name).and_then(Value::as_str).map(str::to_owned);
        let either = |new: &Option<String>, name| new.clone().or_else(|| member(name)).unwrap_or_default();
        let mut platform = Platform::default();
        platform.set_os(either(&self.os, "os").as_str().into());
        platform.set_architecture(either(&self.architecture, "architecture").as_str().into());
        // A variant is one of an architecture: with a new one the old variant means nothing.
        let kept = self.architecture.is_none().then(|| member("variant")).flatten();
        platform.set_variant(self.variant.clone().or(kept));
        // They were set before, and would be taken away.
        platform.set_os_version(member("os.version"));
        platform.set_os_features(
            config.get("os.features").cloned().and_then(|list| serde_json::from_value(list).ok()),
        );
        Ok(edit.set_platform(&platform)?)
    }
}

const MANIFEST_ANNOTATIONS: &str = "manifest.annotations";

/// What --clear takes, as umoci names it, and as the JSON pointer that it is.
const CLEARABLE: [(&str, &str); 22] = [
    ("config.user", "/config/User"),
    ("config.exposedports", "/config/ExposedPorts"),
    ("config.env", "/config/Env"),
    ("config.entrypoint", "/config/Entrypoint"),
    ("config.cmd", "/config/Cmd"),
    ("config.volume", "/config/Volumes"),
    ("config.volumes", "/config/Volumes"),
    ("config.label", "/config/Labels"),
    ("config.labels", "/config/Labels"),
    ("config.workingdir", "/config/WorkingDir"),
    ("config.stopsignal", "/config/StopSignal"),
    ("config.shell", "/config/Shell"),
    ("config.onbuild", "/config/OnBuild"),
    ("config.healthcheck", "/config/Healthcheck"),
    ("config.memory", "/config/Memory"),
    ("config.memoryswap", "/config/MemorySwap"),
    ("config.cpushares", "/config/CpuShares"),
    ("config.argsescaped", "/config/ArgsEscaped"),
    ("author", "/author"),
    ("os.version", "/os.version"),
    ("os.features", "/os.features"),
    ("variant", "/variant"),
];

fn member(text: &str) -> Result<String, String> {
    if text.starts_with('/') || text == MANIFEST_ANNOTATIONS {
        return Ok(text.to_owned());
    }
    match CLEARABLE.iter().find(|(name, _)| *name == text) {
        Some((_, pointer)) => Ok((*pointer).to_owned()),
        None => {
            let names: Vec<&str> = CLEARABLE.iter().map(|(name, _)| *name).collect();
            Err(format!("expected a JSON pointer, {MANIFEST_ANNOTATIONS}, {}", names.join(", ")))
        }
    }
}

/// What is added, or with a `-` before it removed.
fn added(text: &str) -> (&str, bool) {
    text.strip_prefix('-').map_or((text, true), |text| (text, false))
}

/// image-spec config.md, ExposedPorts: `port/tcp`, `port/udp`, `port`.
fn port(text: &str) -> Result<String, String> {
    let (number, protocol) = added(text).0.split_once('/').unwrap_or((added(text).0, "tcp"));
    match number.parse::<u16>() {
        Ok(1..) if matches!(protocol, "tcp" | "udp" | "sctp") => Ok(text.to_owned()),
        _ => Err("expected a port as 80, 80/tcp or 53/udp".to_owned()),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("expected JSON: {e}"))
}

fn pointer(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((pointer, value)) if pointer.starts_with('/') => {
            Ok((pointer.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
        }
        _ => Err("expected POINTER=JSON, the pointer beginning with /".to_owned()),
    }
}

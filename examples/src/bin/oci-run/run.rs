//! `oci-run run`.

use std::process::ExitCode;

use examples::{Access, Failure};
use oci_client::Reference;
use oci_digest::content;
use oci_layout::ImageLayout;
use oci_runtime::spec::{self, ImageOptions};
use oci_runtime::{Container, Options, Stdio};
use oci_unpack::{UnpackOptions, unpack};

use crate::signals;
use crate::store::{Folder, Store};

/// Pulls what is missing of the image, unpacks it, runs a program in it, and removes the container. The exit code is
/// the program's own (128 + N for one that signal N ended), 127 when the image does not have it, 126 when it cannot be
/// executed, and 1 for everything else that fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Set an environment variable; without a value, this program's own is taken
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Give the process this program's standard input; otherwise it has nothing to read
    #[arg(short, long)]
    interactive: bool,
    /// The container's name and host name [default: random]
    #[arg(long)]
    name: Option<String>,
    /// The most memory it may use, for example 64m
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// The most processes it may have
    #[arg(long, value_name = "N")]
    pids: Option<i64>,
    /// Its network: a loopback device of its own, or everything the host has
    #[arg(long, value_enum, default_value = "none")]
    network: Network,
    #[command(flatten)]
    access: Access,
    /// The image's reference, for example 127.0.0.1:5000/tools/jq:1.7
    image: String,
    /// The program and its arguments instead of the image's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Network {
    None,
    Host,
}

impl Run {
    pub(crate) fn go(self, store: &Store) -> Result<ExitCode, Failure> {
        // Before anything is fetched: what is wrong with the command line.
        let mut options = self.image_options()?;
        let reference: Reference = self.image.parse()?;
        let images = store.images()?;
        let tag = tag_of(&reference);
        if !examples::is_complete(&images, &tag) {
            examples::pull(&reference, &self.access, &images, &tag, |_| {})?;
        }
        let folder = store.container(self.name.as_deref())?;
        options = options.hostname(folder.name());
        self.run_in(&folder, &images, &tag, &options)
    }

    fn run_in(
        &self,
        folder: &Folder,
        images: &ImageLayout,
        tag: &str,
        options: &ImageOptions,
    ) -> Result<ExitCode, Failure> {
        let image = content::image(images, tag, None)?;
        let config = image.config.view();
        let rootfs = folder.rootfs();
        unpack(images, image.manifest.view(), config, &rootfs, &UnpackOptions::default())
            .map_err(|e| Failure::during(format!("unpacking {}", self.image), e))?;
        let spec = spec::from_image(config, &rootfs, options)?;
        let stdin = if self.interactive { Stdio::Inherit } else { Stdio::Null };
        let held = signals::hold()?;
        let mut container =
            Container::run(&spec, Options::new(folder.name()).state_root(folder.state()).stdin(stdin))
                .map_err(examples::not_run)?;
        if let Some(process) = container.pidfd() {
            signals::forward(held, process.try_clone_to_owned()?);
        }
        let status = container.wait()?;
        container.delete(true)?;
        Ok(ExitCode::from(status.shell_code()))
    }

    fn image_options(&self) -> Result<ImageOptions, Failure> {
        let mut options = ImageOptions::default().user_namespace(examples::user_namespace());
        options = options.env(self.env.iter().filter_map(|entry| match entry.split_once('=') {
            Some(_) => Some(entry.clone()),
            None => Some(format!("{entry}={}", std::env::var(entry).ok()?)),
        }));
        if let Some(size) = &self.memory {
            options = options.memory(spec::parse_size(size).map_err(|e| Failure::during("--memory", e))?);
        }
        if let Some(pids) = self.pids {
            options = options.pids(pids);
        }
        options = options.network(match self.network {
            Network::None => spec::Network::None,
            Network::Host => spec::Network::Host,
        });
        if !self.command.is_empty() {
            options = options.args(&self.command);
        }
        Ok(options)
    }
}

/// The name of an image in the store. A layout's tags have no brackets, which IPv6 hosts have.
fn tag_of(reference: &Reference) -> String {
    reference.to_string().replace(['[', ']'], "-")
}

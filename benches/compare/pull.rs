use std::path::Path;
use std::process::Command;
use std::time::Duration;

use benches::Failure;

use crate::contender::{Contender, Destination, is_installed};
use crate::corpus::{self, Image, TAG};
use crate::registry::{DockerRegistry, NEEDS};
use crate::{Settings, machine, own, table, tournament};

/// Registry on loopback → image layout.
pub(crate) fn compare(settings: &Settings) -> Result<(), Failure> {
    if let Some(tool) = NEEDS.iter().find(|tool| !is_installed(tool)) {
        return Err(format!("pull needs {tool}, which is not installed").into());
    }
    let images = corpus::images(settings, &[])?;
    let scratch = settings.scratch()?;
    let timeout = Duration::from_secs(settings.timeout);
    let registry = DockerRegistry::start(&scratch.path().join("registry"))?;
    table::begin("registry on loopback → layout", &machine::describe(scratch.path()), settings.runs)?;
    for image in &images {
        registry.fill(image, timeout)?;
        let contenders = contenders(image, &registry);
        let outcome = tournament::hold(&contenders, scratch.path(), settings.runs, timeout)?;
        table::print(&image.title(), &outcome)?;
    }
    Ok(())
}

fn contenders(image: &Image, registry: &DockerRegistry) -> Vec<Contender> {
    let ours = |no_sync: bool| {
        let reference = registry.reference(image);
        move |layout: &Path| {
            let mut command = own::command("pull");
            command.arg(&reference).arg(layout);
            if no_sync {
                command.arg("--no-sync");
            }
            command
        }
    };
    let reference = registry.reference(image);
    let skopeo = move |layout: &Path| {
        let mut command = Command::new("skopeo");
        command
            .args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false"])
            .arg(format!("docker://{reference}"))
            .arg(format!("oci:{}:{TAG}", layout.display()));
        command
    };
    vec![
        Contender::new("ours", &[], Destination::Absent, ours(false)),
        Contender::new("ours, nothing synced", &[], Destination::Absent, ours(true)),
        Contender::new("skopeo copy", &["skopeo"], Destination::Absent, skopeo),
        Contender::new("curl, nothing hashed (floor)", &["curl"], Destination::Empty, curl(image, registry)),
    ]
}

/// docker-registry denies having a manifest of a type that is not asked for by name.
const MANIFESTS: &str = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Tag and blobs side by side, each to a file of its own. It knows beforehand what a client learns from the manifest.
fn curl(image: &Image, registry: &DockerRegistry) -> impl Fn(&Path) -> Command + 'static {
    let mut urls = vec![registry.url(image, &format!("manifests/{TAG}"))];
    urls.extend(image.blobs().iter().map(|blob| registry.url(image, &format!("blobs/{}", blob.digest()))));
    move |folder| {
        let mut command = Command::new("curl");
        command.args(["-sSf", "--parallel", "-H", MANIFESTS]);
        for (index, url) in urls.iter().enumerate() {
            command.arg("-o").arg(folder.join(index.to_string())).arg(url);
        }
        command
    }
}

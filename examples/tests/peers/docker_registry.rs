//! Debian's docker-registry on a loopback port of its own, in the ways of `registry/*.yml`.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{beside, run, scratch};

/// A running registry; it ends with this value.
#[derive(Debug)]
pub struct DockerRegistry {
    pub port: u16,
    pub folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl DockerRegistry {
    /// Starts the registry of one of the configurations: `plain`, `htpasswd`, `token`, `tls`, `mtls`, `relative`.
    pub fn start(configuration: &str) -> Self {
        let folder = scratch();
        for file in std::fs::read_dir(beside("registry")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        if configuration != "plain" && configuration != "relative" {
            run(Command::new("sh").arg("make-pki.sh").current_dir(folder.path()));
        }
        let port = free_port();
        let mut serve = Command::new("docker-registry");
        serve
            .args(["serve", &format!("{configuration}.yml")])
            .env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"))
            .env("REGISTRY_LOG_LEVEL", "error");
        let mut children = Vec::new();
        if configuration == "token" {
            let tokens = free_port();
            children.push(spawn(
                folder.path(),
                Command::new("python3").args(["tokserver.py", &tokens.to_string()]),
            ));
            serve.env("REGISTRY_AUTH_TOKEN_REALM", format!("http://localhost:{tokens}/token"));
            wait_for(tokens);
        }
        children.push(spawn(folder.path(), &mut serve));
        wait_for(port);
        Self { port, folder, children }
    }

    /// Host and port, as in a reference.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Puts a layout's image of the tag `latest` into the registry, with skopeo.
    pub fn fill(&self, layout: &Path, name: &str) {
        run(&mut self.copy_to(layout, name));
    }

    /// The same as the user that the guarded configurations let in.
    pub fn fill_as_alice(&self, layout: &Path, name: &str) {
        run(self.copy_to(layout, name).args(["--dest-creds", "alice:s3cret"]));
    }

    fn copy_to(&self, layout: &Path, name: &str) -> Command {
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args(["copy", "-q", "--insecure-policy", "--all", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("docker://localhost:{}/{name}:latest", self.port));
        skopeo
    }

    /// The file that holds a blob in the registry's storage.
    pub fn stored_blob(&self, configuration: &str, digest: &str) -> std::path::PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        self.folder.path().join(format!(
            "data/{configuration}/docker/registry/v2/blobs/{algorithm}/{}/{hex}/data",
            &hex[..2]
        ))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(folder: &Path, command: &mut Command) -> Child {
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(port: u16) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < give_up, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

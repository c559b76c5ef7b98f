use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use benches::Failure;

use crate::corpus::{Image, TAG};
use crate::measure;

/// What must be installed for it.
pub(crate) const NEEDS: &[&str] = &["docker-registry", "setpriv", "skopeo"];

/// The longest that it may take to listen.
const START: Duration = Duration::from_secs(60);

/// Debian's docker-registry on a loopback port; it ends with this value.
#[derive(Debug)]
pub(crate) struct DockerRegistry {
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl DockerRegistry {
    /// Starts it with its storage in a folder.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir(folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let configuration = folder.join("registry.yml");
        let storage = folder.join("storage");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  \
                 filesystem: {{rootdirectory: {storage:?}}}\n  cache: {{blobdescriptor: inmemory}}\n\
                 http:\n  addr: 127.0.0.1:{port}\n  secret: none\n",
            ),
        )?;
        // It shall not outlive this program, however that ends.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()?;
        let mut registry = Self { port, folder: folder.to_owned(), child };
        registry.wait_until_it_listens()?;
        Ok(registry)
    }

    /// Host, port, repository and tag of an image.
    pub(crate) fn reference(&self, image: &Image) -> String {
        format!("127.0.0.1:{}/{}:{TAG}", self.port, image.name)
    }

    /// Where a part of the repository of an image is had by HTTP.
    pub(crate) fn url(&self, image: &Image, part: &str) -> String {
        format!("http://127.0.0.1:{}/v2/{}/{part}", self.port, image.name)
    }

    /// Puts an image into it, with skopeo.
    pub(crate) fn fill(&self, image: &Image, timeout: Duration) -> Result<(), Failure> {
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args(["copy", "-q", "--insecure-policy", "--all", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:{TAG}", image.layout.display()))
            .arg(format!("docker://{}", self.reference(image)));
        measure::cost(&mut skopeo, &self.folder.join("fill"), timeout)?;
        Ok(())
    }

    fn wait_until_it_listens(&mut self) -> Result<(), Failure> {
        let give_up = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("docker-registry: {status}: {}", log.trim()).into());
            }
            if Instant::now() > give_up {
                return Err("docker-registry does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Runtime specs out of image configurations.
//!
//! [`from_image`] follows the image-spec's `conversion.md` and adds what docker and podman agree on: a `PATH`, the
//! usual mounts, masked paths, a short list of capabilities. [`default_spec`] is the same without an image. What comes
//! out is a plain [`Spec`]: change what you like before running it.
//!
//! ```
//! use oci_runtime::spec::{self, ImageOptions};
//! use oci_runtime::image_spec::ImageConfiguration;
//!
//! let image: ImageConfiguration = serde_json::from_str(
//!     r#"{"os":"linux","architecture":"amd64","config":{"Cmd":["/bin/sh"],"User":"1000"},
//!         "rootfs":{"type":"layers","diff_ids":[]}}"#,
//! )?;
//! let rootfs = std::env::temp_dir();
//! let options = ImageOptions::default().memory(spec::parse_size("64m")?).env(["DEBUG=1"]);
//! let spec = spec::from_image(&image, &rootfs, &options)?;
//! assert_eq!(spec.process().as_ref().map(|process| process.user().uid()), Some(1000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod annotations;
mod capabilities;
mod defaults;
mod environment;
mod in_root;
mod linux;
mod options;
mod signal;
mod size;
mod user;
mod volumes;

use std::path::{Path, PathBuf};

use oci_spec::image::{Config, ImageConfiguration};
use oci_spec::runtime::{Process, Root, Spec, User};

pub use self::options::{ImageOptions, Network, UserNamespace, Volumes};
pub use self::signal::{parse_signal, stop_signal};
pub use self::size::parse_size;
use self::user::Account;
use crate::{Error, Result};

/// The runtime spec of an image, whose files are unpacked in `rootfs`.
///
/// `rootfs` becomes `root.path` as it is given (give an absolute path unless the spec goes into a bundle) and is read
/// to look up users and groups. Nothing is written.
///
/// # Errors
/// [`Error::Invalid`] for a user, an environment entry, a capability or a limit that is not well-formed, or when
/// neither image nor options name a command; [`Error::NotFound`] for a user or group that the image does not have;
/// [`Error::Io`] when the image's `/etc/passwd` or `/etc/group` exists but cannot be read.
///
/// # Source
/// image-spec, `conversion.md`.
pub fn from_image(image: &ImageConfiguration, rootfs: &Path, options: &ImageOptions) -> Result<Spec> {
    let empty = Config::default();
    let config = image.config().as_ref().unwrap_or(&empty);
    let name = options.user.as_deref().or(config.user().as_deref()).unwrap_or_default();
    let account = user::look_up(rootfs, name)?;
    let mut spec = compose(config, rootfs, &account, options)?;
    let mut annotations = annotations::from_image(image);
    annotations.extend(options.annotations.clone());
    spec.set_annotations(Some(annotations));
    Ok(spec)
}

/// The spec that [`from_image`] starts from: a container of `rootfs` without an image's wishes, run as root. The
/// command must be in the options.
///
/// # Errors
/// As [`from_image`].
pub fn default_spec(rootfs: &Path, options: &ImageOptions) -> Result<Spec> {
    let account = user::look_up(rootfs, options.user.as_deref().unwrap_or_default())?;
    let mut spec = compose(&Config::default(), rootfs, &account, options)?;
    spec.set_annotations(Some(options.annotations.clone().into_iter().collect()));
    Ok(spec)
}

fn compose(config: &Config, rootfs: &Path, account: &Account, options: &ImageOptions) -> Result<Spec> {
    let mut root = Root::default();
    root.set_path(rootfs.to_owned()).set_readonly(Some(options.read_only));
    let mut mounts = defaults::mounts(options);
    mounts.extend(volumes::mounts(config, rootfs, options)?);
    // What the caller mounts replaces what would be there otherwise.
    mounts.retain(|mount| options.mounts.iter().all(|own| own.destination() != mount.destination()));
    mounts.extend(options.mounts.iter().cloned());
    let mut spec = Spec::default();
    spec.set_version(defaults::VERSION.to_owned())
        .set_root(Some(root))
        .set_mounts(Some(mounts))
        .set_hostname(options.hostname.clone())
        .set_process(Some(process(config, account, options)?))
        .set_linux(Some(linux::compose(account, options)?));
    Ok(spec)
}

fn process(config: &Config, account: &Account, options: &ImageOptions) -> Result<Process> {
    let mut user = User::default();
    user.set_uid(account.uid)
        .set_gid(account.gid)
        .set_umask(Some(0o022))
        .set_additional_gids(linux::mapped_groups(account, options));
    let mut process = Process::default();
    process
        .set_terminal(Some(options.terminal))
        .set_user(user)
        .set_args(Some(command(config, options)?))
        .set_env(Some(environment::compose(config, account, options)?))
        .set_cwd(working_dir(config, options)?)
        .set_capabilities(Some(capabilities::compose(account.uid, options)?))
        .set_rlimits((!options.rlimits.is_empty()).then(|| options.rlimits.clone()))
        .set_no_new_privileges(Some(options.no_new_privileges));
    Ok(process)
}

/// image-spec conversion.md: the converter MUST append `Cmd` to `Entrypoint`. Arguments given by the caller take the
/// place of `Cmd`; an entrypoint given by the caller makes the image's `Cmd`, which was meant for another, void.
fn command(config: &Config, options: &ImageOptions) -> Result<Vec<String>> {
    let entrypoint = options.entrypoint.as_ref().or(config.entrypoint().as_ref());
    let arguments = match (&options.args, &options.entrypoint) {
        (Some(args), _) => Some(args),
        (None, Some(_)) => None,
        (None, None) => config.cmd().as_ref(),
    };
    let command: Vec<String> = entrypoint.into_iter().chain(arguments).flatten().cloned().collect();
    if command.is_empty() {
        let reason = "the image has neither an entrypoint nor a command, and none was given";
        return Err(Error::invalid("command", "", reason));
    }
    match command.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(Error::invalid("command", argument, "contains a NUL byte")),
        None => Ok(command),
    }
}

/// Always absolute, as runtime-spec config.md demands of `process.cwd`.
fn working_dir(config: &Config, options: &ImageOptions) -> Result<PathBuf> {
    let wanted = match (&options.cwd, config.working_dir()) {
        (Some(cwd), _) => cwd.as_path(),
        (None, Some(cwd)) => Path::new(cwd),
        (None, None) => Path::new(""),
    };
    if wanted.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::invalid("working directory", &wanted.to_string_lossy(), "contains a NUL byte"));
    }
    Ok(if wanted.is_absolute() { wanted.to_owned() } else { Path::new("/").join(wanted) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn commands() {
        let image = config(r#"{"Entrypoint":["/init","-x"],"Cmd":["serve"]}"#);
        let base = ImageOptions::default();
        for (options, expected) in [
            (base.clone(), &["/init", "-x", "serve"][..]),
            (base.clone().args(["a", "b"]), &["/init", "-x", "a", "b"]),
            (base.clone().args([""; 0]), &["/init", "-x"]),
            (base.clone().entrypoint(["/sh"]), &["/sh"]),
            (base.clone().entrypoint(["/sh"]).args(["-c"]), &["/sh", "-c"]),
            (base.clone().entrypoint([""; 0]).args(["ls"]), &["ls"]),
        ] {
            assert_eq!(command(&image, &options).unwrap(), expected);
        }
        assert!(command(&config("{}"), &base).is_err());
        assert!(command(&config("{}"), &base.args(["a\0b"])).is_err());
    }

    #[test]
    fn working_dirs() {
        for (image, option, expected) in [
            ("{}", None, "/"),
            (r#"{"WorkingDir":""}"#, None, "/"),
            (r#"{"WorkingDir":"/app"}"#, None, "/app"),
            (r#"{"WorkingDir":"app/x"}"#, None, "/app/x"),
            (r#"{"WorkingDir":"/app"}"#, Some("/tmp"), "/tmp"),
        ] {
            let options = ImageOptions { cwd: option.map(PathBuf::from), ..ImageOptions::default() };
            assert_eq!(working_dir(&config(image), &options).unwrap(), Path::new(expected), "{image}");
        }
    }
}

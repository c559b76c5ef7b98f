use std::path::{Component, Path, PathBuf};

use oci_spec::image::Config;
use oci_spec::runtime::Mount;
use rustix::fs::FileType;

use super::in_root;
use super::options::{ImageOptions, UserNamespace, Volumes};
use crate::{Error, Result};

/// The mounts of the image's volumes, the outer ones first.
pub(super) fn mounts(config: &Config, rootfs: &Path, options: &ImageOptions) -> Result<Vec<Mount>> {
    let tmpfs = match options.volumes {
        Volumes::Ignore => false,
        Volumes::InRoot => options.read_only,
        Volumes::Tmpfs => true,
    };
    let mut places = destinations(config)?;
    places.sort();
    places.dedup();
    if !tmpfs {
        return Ok(Vec::new());
    }
    places.into_iter().map(|place| mount(place, rootfs, options)).collect()
}

fn destinations(config: &Config) -> Result<Vec<PathBuf>> {
    let volumes = config.volumes().iter().flatten();
    volumes
        .map(|volume| {
            let invalid = |reason| Error::invalid("volume of the image", volume, reason);
            let path = Path::new("/").join(volume);
            if volume.contains('\0') || path.components().any(|part| part == Component::ParentDir) {
                return Err(invalid("must not contain `..` or a NUL byte"));
            }
            // Components without the empty and `.` ones, so that the same place has one name.
            let path: PathBuf = path.components().collect();
            if path.parent().is_none() { Err(invalid("is the root itself")) } else { Ok(path) }
        })
        .collect()
}

/// A tmpfs which the runtime fills with the image's content, with the mode and, where ids inside are those outside, the
/// owner that the image's folder has.
fn mount(place: PathBuf, rootfs: &Path, options: &ImageOptions) -> Result<Mount> {
    let mut flags: Vec<String> = ["rw", "nosuid", "nodev", "noexec"].map(str::to_owned).into();
    // image-spec conversion.md: an implementation MAY seed the contents with data in the image at the same location.
    match in_root::stat(rootfs, &place)?
        .filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    {
        Some(stat) => {
            flags.push("tmpcopyup".to_owned());
            flags.push(format!("mode={:o}", stat.st_mode & 0o7777));
            if options.user_namespace == UserNamespace::Host {
                flags.push(format!("uid={}", stat.st_uid));
                flags.push(format!("gid={}", stat.st_gid));
            }
        }
        None => flags.push("mode=755".to_owned()),
    }
    let mut mount = Mount::default();
    mount
        .set_destination(place)
        .set_typ(Some("tmpfs".to_owned()))
        .set_source(Some("tmpfs".into()))
        .set_options(Some(flags));
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn places_and_kinds() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("data/inner")).unwrap();
        std::fs::set_permissions(root.path().join("data"), PermissionsExt::from_mode(0o1700)).unwrap();
        let config: Config =
            serde_json::from_str(r#"{"Volumes":{"/data/inner/":{},"/data":{},"missing/./x":{}}}"#).unwrap();
        let base = ImageOptions::default();
        let of = |options: &ImageOptions| -> Vec<_> {
            let mounts = mounts(&config, root.path(), options).unwrap();
            mounts
                .iter()
                .map(|mount| (mount.destination().clone(), mount.options().clone().unwrap().join(",")))
                .collect()
        };
        assert_eq!(of(&base), []);
        assert_eq!(of(&base.clone().volumes(Volumes::Ignore).read_only(true)), []);
        let tmpfs = of(&base.clone().volumes(Volumes::Tmpfs));
        assert_eq!(tmpfs, of(&base.clone().read_only(true)));
        let places: Vec<_> = tmpfs.iter().map(|(place, _)| place.to_str().unwrap()).collect();
        assert_eq!(places, ["/data", "/data/inner", "/missing/x"]);
        assert!(tmpfs[0].1.starts_with("rw,nosuid,nodev,noexec,tmpcopyup,mode=1700,uid="), "{}", tmpfs[0].1);
        assert_eq!(tmpfs[2].1, "rw,nosuid,nodev,noexec,mode=755");
        let rootless = of(&base.rootless(1, 1).volumes(Volumes::Tmpfs));
        assert!(rootless[0].1.ends_with("tmpcopyup,mode=1700"), "{}", rootless[0].1);
    }

    #[test]
    fn refused() {
        for bad in ["/", "", "/../x", "a/../../b", "a\\u0000"] {
            let config: Config =
                serde_json::from_str(&format!("{{\"Volumes\":{{\"{bad}\":{{}}}}}}")).unwrap();
            assert!(mounts(&config, Path::new("/"), &ImageOptions::default()).is_err(), "{bad}");
        }
    }
}

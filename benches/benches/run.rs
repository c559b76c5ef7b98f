//! A container's whole life inside this process: run, wait, delete, of the smallest program there is. What the
//! network namespace and the control groups cost shows in the differences.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use oci_runtime::spec::{self, ImageOptions, Network, UserNamespace};
use oci_runtime::{Container, Options};
use oci_spec::runtime::Spec;

fn run(c: &mut Criterion) {
    let Some(program) = benches::exit_zero() else {
        eprintln!("SKIP run: needs x86_64 or aarch64");
        return;
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (root, state) = (folder.path().join("root"), folder.path().join("state"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("true"), program).unwrap();
    fs::set_permissions(root.join("true"), fs::Permissions::from_mode(0o755)).unwrap();

    let is_root = rustix::process::geteuid().is_root();
    let options = ImageOptions::default().args(["/true"]).user_namespace(user_namespace());
    let spec = spec::default_spec(&root, &options).unwrap();
    if let Err(error) = life(&spec, &state, false) {
        assert!(!is_root, "{error}");
        eprintln!("SKIP run: needs root or user namespaces: {error}");
        return;
    }
    let host_network = spec::default_spec(&root, &options.network(Network::Host)).unwrap();

    let mut group = c.benchmark_group("run, wait, delete");
    group.bench_function("no network namespace, no control groups", |b| {
        b.iter(|| life(&host_network, &state, false).unwrap());
    });
    group.bench_function("no control groups", |b| b.iter(|| life(&spec, &state, false).unwrap()));
    if life(&spec, &state, true).is_ok() && is_root {
        group.bench_function("everything", |b| b.iter(|| life(&spec, &state, true).unwrap()));
    } else {
        eprintln!("SKIP run/everything: needs root and the right to make control groups");
    }
    group.finish();
}

fn life(spec: &Spec, state: &Path, cgroups: bool) -> oci_runtime::Result<()> {
    let id = format!("bench-{}", std::process::id());
    let mut container = Container::run(spec, Options::new(id).state_root(state).cgroups(cgroups))?;
    let status = container.wait();
    container.delete(true)?;
    assert!(status?.success());
    Ok(())
}

fn user_namespace() -> UserNamespace {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() {
        UserNamespace::Host
    } else {
        UserNamespace::Single { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}

criterion_group!(benches, run);
criterion_main!(benches);

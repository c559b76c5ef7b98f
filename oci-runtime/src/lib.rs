//! Image config to runtime spec, and containers run from inside a threaded program.
//!
//! ```no_run
//! use oci_runtime::spec::{self, ImageOptions};
//! use oci_runtime::{Container, Options};
//!
//! let image = serde_json::from_slice(&std::fs::read("config.json")?)?;
//! let spec = spec::from_image(&image, "rootfs".as_ref(), &ImageOptions::default())?;
//! let mut container = Container::run(&spec, Options::new("hello"))?;
//! let status = container.wait()?;
//! container.delete(false)?;
//! std::process::exit(status.shell_code().into());
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Bundle`] is read from disk; [`Container::create`] and [`Container::start`] are the two halves of
//! [`Container::run`], and may be called by different processes; [`Plan::explain`] prints what a spec does.
//!
//! # In a threaded program
//! The child of a threaded program may neither allocate nor lock nor log. So the spec is checked and compiled by the
//! parent to a list of steps ([`Plan`]), and the child only walks through it with bare system calls. It is made with
//! `CLONE_VM` on a stack of its own: that costs the same whatever the program's memory (only a user namespace in which
//! the caller is nobody takes a copy of it, which grows with it). Everything that would act on
//! the shared memory (user ids, capabilities, `oom_score_adj`) is done after the child has executed a tiny program of
//! our own from a sealed memory file, which is also what waits for `start`. Nothing of the calling process changes: not
//! its directory, mask, environment, signal actions, dumpable flag or `oom_score_adj`.
//!
//! # Features
//! There are none yet.
//!
//! # Errors
//! [`Error::Spec`] lists every mistake of a spec at once, by JSON pointer; what this version cannot apply is refused
//! there by name, never ignored. [`Error::Step`] names the step that failed, its path and the system call.
//! [`Error::Command`] says that the program does not exist inside or cannot be executed, and [`Error::exit_code`] is
//! what a shell would return. After an error nothing is left behind. When the calling program itself is killed
//! meanwhile, what there is can be found with [`Container::load`] and removed with [`Container::delete`].
//!
//! # Kernel and privileges
//! x86_64 and aarch64.
//!
//! | what | needs |
//! |---|---|
//! | everything | Linux 5.12 (`mount_setattr`; `clone3` 5.3, `openat2` 5.6, `close_range` 5.9, `faccessat2` 5.8) |
//! | the option `nosymfollow` | 5.14 |
//! | the exit status although somebody else collected the child | 6.15 |
//! | a container without a user namespace | CAP_SYS_ADMIN, and CAP_MKNOD for device nodes (bound otherwise) |
//! | a user namespace with the caller's own id | nothing, where the kernel's settings allow user namespaces |
//! | a user namespace with more ids | CAP_SETUID and CAP_SETGID, or newuidmap and newgidmap with subordinate ids |
//! | memory files that may be executed | `vm.memfd_noexec` below 2 |
//! | limits | see [`cgroup`] |
//!
//! Not in this version, and refused by name: seccomp's notifications, AppArmor and SELinux, hooks, terminals, time
//! namespaces, joined user, pid and mount namespaces, id-mapped mounts, intelRdt, network devices, shared root propagation.

#![deny(unsafe_code)]

mod bundle;
mod container;
mod enter;
mod error;
mod explain;
mod own_ids;
mod plan;
mod prepare;
mod step;
mod sys;
mod tail;

pub mod cgroup;
pub mod seccomp;
pub mod spec;

pub use bundle::Bundle;
pub use container::{Container, ExitStatus, Options, State, Status, Stdio};
pub use error::{Error, Problem, Result};
/// The documents of the image-spec; [`spec::from_image`] takes its `ImageConfiguration`.
pub use oci_spec::image as image_spec;
/// The documents of the runtime-spec: `Spec`, `Mount`, `LinuxResources` and so on, of the version that this crate's
/// signatures have.
pub use oci_spec::runtime as runtime_spec;
pub use plan::Plan;

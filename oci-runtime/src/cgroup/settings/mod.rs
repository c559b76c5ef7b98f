//! Resources of the spec as the writes that apply them: a pure step, so that every mistake is known before a folder
//! is made, and every conversion can be tested without a kernel.

mod block_io;
mod cpu;
mod devices;
mod memory;
mod other;

use oci_spec::runtime::LinuxResources;

use super::hierarchy::Hierarchy;
use crate::Problem;

/// Everything in `resources` that cannot be applied with the controllers of `hierarchy`, all at once.
///
/// An empty list means that [`Cgroup::create`](super::Cgroup::create) will only fail for reasons that lie outside of
/// the spec: privileges, or a value the kernel refuses.
pub fn unsupported(resources: &LinuxResources, hierarchy: &Hierarchy) -> Vec<Problem> {
    compile(resources, hierarchy).problems
}

/// One resource as a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The controller, which names the tree.
    pub(super) controller: String,
    /// The property it comes from.
    pub(super) pointer: String,
    /// Files and the value for each; the first that exists is written.
    pub(super) files: Vec<(String, String)>,
    /// Whether a missing file is as good as the write: the value only says "no limit".
    pub(super) optional: bool,
}

/// Which interface a controller has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    V1,
    V2,
}

#[derive(Debug)]
pub(super) struct Compiled<'a> {
    hierarchy: &'a Hierarchy,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn compile<'a>(resources: &LinuxResources, hierarchy: &'a Hierarchy) -> Compiled<'a> {
    let mut out = Compiled { hierarchy, settings: Vec::new(), problems: Vec::new() };
    if let Some(memory) = resources.memory() {
        memory::compile(memory, &mut out);
    }
    if let Some(cpu) = resources.cpu() {
        cpu::compile(cpu, &mut out);
    }
    if let Some(pids) = resources.pids() {
        other::pids(pids, &mut out);
    }
    if let Some(block_io) = resources.block_io() {
        block_io::compile(block_io, &mut out);
    }
    other::huge_pages(resources.hugepage_limits().as_deref().unwrap_or_default(), &mut out);
    if let Some(network) = resources.network() {
        other::network(network, &mut out);
    }
    if let Some(rdma) = resources.rdma() {
        other::rdma(rdma, &mut out);
    }
    devices::compile(resources.devices().as_deref().unwrap_or_default(), &mut out);
    // Last, because these are the kernel's own files and therefore the more exact wish.
    if let Some(unified) = resources.unified() {
        other::unified(unified, &mut out);
    }
    out
}

impl Compiled<'_> {
    /// The interface of `controller`; without the controller the property is refused.
    fn face(&mut self, controller: &str, property: &str) -> Option<Face> {
        let face = self.hierarchy.tree_of(controller).map(|tree| if tree.v2 { Face::V2 } else { Face::V1 });
        if face.is_none() {
            self.refuse(
                property,
                format!("needs the cgroup controller `{controller}`, which is not available here"),
            );
        }
        face
    }

    /// Like [`face`](Self::face) for what only version 1 has.
    fn only_v1(&mut self, controller: &str, property: &str) -> bool {
        match self.face(controller, property) {
            Some(Face::V1) => true,
            Some(Face::V2) => {
                self.refuse(property, format!("controller `{controller}` of cgroup v2 has no such setting"));
                false
            }
            None => false,
        }
    }

    fn set(&mut self, controller: &str, property: &str, file: &str, value: impl ToString) {
        self.set_first(controller, property, &[(file, value.to_string())]);
    }

    fn set_first(&mut self, controller: &str, property: &str, files: &[(&str, String)]) {
        self.settings.push(Setting {
            controller: controller.to_owned(),
            pointer: pointer(property),
            files: files.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            optional: false,
        });
    }

    /// A value that changes nothing where the file does not exist.
    fn set_if_there(&mut self, controller: &str, property: &str, file: &str, value: impl ToString) {
        self.set(controller, property, file, value);
        if let Some(setting) = self.settings.last_mut() {
            setting.optional = true;
        }
    }

    fn refuse(&mut self, property: &str, reason: impl Into<String>) {
        self.problems.push(Problem::new(pointer(property), reason));
    }
}

fn pointer(property: &str) -> String {
    format!("/linux/resources{property}")
}

/// Limits whose `-1` means none: `max` on version 2.
fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A hierarchy with these controllers on each side; nothing of it exists.
    pub(in crate::cgroup) fn machine(v1: &[&str], v2: &[&str]) -> Hierarchy {
        use super::super::hierarchy::Tree;
        let tree = |mount: &str, controllers: &[&str], v2| Tree {
            mount: mount.into(),
            own: "".into(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            v2,
        };
        Hierarchy {
            unified: (!v2.is_empty()).then(|| tree("/nowhere/unified", v2, true)),
            v1: v1.iter().map(|name| tree("/nowhere/v1", &[name], false)).collect(),
        }
    }

    pub(in crate::cgroup) const EVERY: &[&str] = &[
        "memory", "cpu", "cpuset", "pids", "io", "hugetlb", "rdma", "blkio", "devices", "net_cls", "net_prio",
    ];

    /// `file=value` of every write, or `pointer: reason` of every problem.
    pub(in crate::cgroup) fn writes(json: &str, hierarchy: &Hierarchy) -> Vec<String> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let compiled = compile(&resources, hierarchy);
        compiled
            .settings
            .iter()
            .map(|setting| {
                let files: Vec<_> =
                    setting.files.iter().map(|(file, value)| format!("{file}={value}")).collect();
                files.join("|")
            })
            .chain(compiled.problems.iter().map(|problem| format!("! {problem}")))
            .collect()
    }

    pub(in crate::cgroup) fn v1() -> Hierarchy {
        let only: Vec<_> = EVERY.iter().copied().filter(|&name| name != "io").collect();
        machine(&only, &[])
    }

    pub(in crate::cgroup) fn v2() -> Hierarchy {
        machine(&[], &["memory", "cpu", "cpuset", "pids", "io", "hugetlb", "rdma"])
    }

    #[test]
    fn each_controller_is_looked_up_on_its_own_side() {
        let hybrid = machine(&["memory", "pids"], &["hugetlb"]);
        let json = r#"{"memory":{"limit":4096},"pids":{"limit":3},
            "hugepageLimits":[{"pageSize":"2MB","limit":0}],"cpu":{"shares":2}}"#;
        assert_eq!(
            writes(json, &hybrid),
            [
                "memory.limit_in_bytes=4096",
                "pids.max=3",
                "hugetlb.2MB.max=0",
                "hugetlb.2MB.rsvd.max=0",
                "! /linux/resources/cpu/shares: needs the cgroup controller `cpu`, which is not available here",
            ]
        );
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        assert_eq!(unsupported(&resources, &machine(&[], &[])).len(), 4);
        assert_eq!(unsupported(&LinuxResources::default(), &machine(&[], &[])), []);
    }
}

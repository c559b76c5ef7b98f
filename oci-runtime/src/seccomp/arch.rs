use oci_spec::runtime::Arch as SpecArch;

/// An architecture whose system calls a machine of ours takes. The discriminants are the columns of the table of
/// numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arch {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
}

/// What marks a number as one of x32, which has the token of x86_64 (`asm/unistd.h`, `__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// This machine's own.
    pub(super) const NATIVE: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else {
        None
    };

    /// `None`: the kernel of this machine never reports it, so that nothing has to be decided for it.
    pub(super) fn of(arch: SpecArch) -> Option<Self> {
        match (Self::NATIVE?, arch) {
            (native, SpecArch::ScmpArchNative) => Some(native),
            (Self::X86_64, SpecArch::ScmpArchX86_64) => Some(Self::X86_64),
            (Self::X86_64, SpecArch::ScmpArchX86) => Some(Self::X86),
            (Self::X86_64, SpecArch::ScmpArchX32) => Some(Self::X32),
            (Self::Aarch64, SpecArch::ScmpArchAarch64) => Some(Self::Aarch64),
            (Self::Aarch64, SpecArch::ScmpArchArm) => Some(Self::Arm),
            _ => None,
        }
    }

    /// `AUDIT_ARCH_*` of `linux/audit.h`, as the kernel gives it to a filter.
    pub(super) fn token(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// What is set in every number of it.
    pub(super) fn bit(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }

    /// Whether an argument is a word of 32 bits, whose upper half says nothing.
    pub(super) fn is_narrow(self) -> bool {
        matches!(self, Self::X86 | Self::X32 | Self::Arm)
    }
}

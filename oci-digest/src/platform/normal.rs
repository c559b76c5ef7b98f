use crate::spec::{Arch, Os};
use crate::{Error, Platform, Result};

/// Parses `os/arch[/variant]` and gives its normal form.
///
/// A lone operating system or architecture is completed by this machine's: `linux`, `arm64`.
///
/// # Errors
/// [`Error::Invalid`] for anything else, and for parts of other characters than letters, digits, `_`, `.` and `-`.
pub fn parse(text: &str) -> Result<Platform> {
    let invalid = |reason: &str| Error::invalid("platform", text, reason);
    let parts: Vec<&str> = text.splitn(4, '/').collect();
    for part in &parts {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if part.is_empty() || part.len() > 64 || !part.bytes().all(is_word) {
            return Err(invalid("each part is letters, digits, underscores, full stops and hyphens"));
        }
    }
    match parts.as_slice() {
        [one] => {
            let os = normal_os(one);
            if is_known_os(&os) {
                let host = super::host();
                return Ok(platform(&os, &host.architecture().to_string(), host.variant().as_deref()));
            }
            let (arch, variant) = normal_arch(one, "");
            if matches!(Arch::from(arch.as_str()), Arch::Other(_)) {
                return Err(invalid("neither an operating system nor an architecture that is known"));
            }
            Ok(platform(&normal_os(std::env::consts::OS), &arch, Some(&variant)))
        }
        [os, arch] => {
            let (arch, variant) = normal_arch(arch, "");
            Ok(platform(&normal_os(os), &arch, Some(&variant)))
        }
        [os, arch, variant] => {
            let (arch, variant) = normal_arch(arch, variant);
            Ok(platform(&normal_os(os), &arch, Some(&variant)))
        }
        _ => Err(invalid("it is os/arch or os/arch/variant")),
    }
}

/// The platform under the names that Go and the image-spec use: `linux/x86_64` is `linux/amd64`, `arm` is
/// `arm/v7`, `arm64/v8` is `arm64` and `amd64/v1` is `amd64`.
pub fn normalize(platform: &Platform) -> Platform {
    let (arch, variant) =
        normal_arch(&platform.architecture().to_string(), platform.variant().as_deref().unwrap_or_default());
    let mut normal = platform.clone();
    normal.set_os(Os::from(normal_os(&platform.os().to_string()).as_str()));
    normal.set_architecture(to_arch(&arch));
    normal.set_variant(Some(variant).filter(|variant| !variant.is_empty()));
    normal
}

/// The platform as text, `os/arch[/variant]`, with the operating system's version in brackets where it is known.
pub fn to_text(platform: &Platform) -> String {
    let mut text = platform.os().to_string();
    if let Some(version) = platform.os_version().as_deref().filter(|version| !version.is_empty()) {
        text.push_str(&format!("({version})"));
    }
    text.push('/');
    text.push_str(&platform.architecture().to_string());
    if let Some(variant) = platform.variant().as_deref().filter(|variant| !variant.is_empty()) {
        text.push('/');
        text.push_str(variant);
    }
    text
}

pub(super) fn platform(os: &str, arch: &str, variant: Option<&str>) -> Platform {
    let mut platform = Platform::default();
    platform.set_os(Os::from(os));
    platform.set_architecture(to_arch(arch));
    platform.set_variant(variant.filter(|variant| !variant.is_empty()).map(str::to_owned));
    platform
}

/// `oci_spec` takes armbe for arm64be.
fn to_arch(text: &str) -> Arch {
    if text == "armbe" { Arch::ARMbe } else { Arch::from(text) }
}

fn normal_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn is_known_os(os: &str) -> bool {
    !matches!(Os::from(os), Os::Other(_))
}

fn normal_arch(arch: &str, variant: &str) -> (String, String) {
    let arch = arch.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386" | "i486" | "i586" | "i686" | "x86" | "386", _) => ("386", String::new()),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", String::new()),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64", numbered(variant)),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", String::new()),
        ("aarch64" | "arm64", "9" | "v9.0") => ("arm64", "v9".to_owned()),
        ("aarch64" | "arm64", _) => ("arm64", numbered(variant)),
        ("armhf", _) => ("arm", "v7".to_owned()),
        ("armel", _) => ("arm", "v6".to_owned()),
        ("armv5l" | "armv5", _) => ("arm", "v5".to_owned()),
        ("armv6l" | "armv6", _) => ("arm", "v6".to_owned()),
        ("armv7l" | "armv7", _) => ("arm", "v7".to_owned()),
        ("arm", "" | "7") => ("arm", "v7".to_owned()),
        ("arm", _) => ("arm", numbered(variant)),
        ("powerpc64le" | "ppc64el", _) => ("ppc64le", variant),
        ("powerpc64", _) => ("ppc64", variant),
        ("loongarch64", _) => ("loong64", variant),
        (other, _) => (other, variant),
    };
    (arch.to_owned(), variant)
}

/// `6` is `v6`.
fn numbered(variant: String) -> String {
    if variant.starts_with(|first: char| first.is_ascii_digit()) { format!("v{variant}") } else { variant }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/X86_64", "linux/amd64"),
            ("linux/x86-64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/amd64/2", "linux/amd64/v2"),
            ("linux/i386", "linux/386"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armbe", "linux/armbe"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/loongarch64", "linux/loong64"),
            ("plan10/weird/x-1", "plan10/weird/x-1"),
            ("arm64", "linux/arm64"),
        ] {
            let parsed = parse(text).unwrap();
            // The last row is completed by this machine's operating system.
            if text.contains('/') || std::env::consts::OS == "linux" {
                assert_eq!(to_text(&parsed), expected, "{text}");
            }
            assert_eq!(normalize(&parsed), parsed, "{text}");
        }
        assert_eq!(parse("linux").unwrap().architecture(), super::super::host().architecture());
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in ["", "/", "linux/", "/amd64", "linux/a b", "a/b/c/d", "whatever", "linux/ä", "linux//v8"]
        {
            assert!(matches!(parse(text), Err(Error::Invalid { .. })), "{text}");
        }
    }
}

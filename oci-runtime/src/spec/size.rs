use crate::{Error, Result};

/// Parses an amount of memory: a whole number of bytes, or one with a unit of 1024: `k`, `m`, `g`, `t`, also as `kb`
/// or `KiB`, in either case (`64m`, `1G`, `512KiB`, `4096`, `100b`).
///
/// # Errors
/// [`Error::Invalid`] for anything else, and for more than 2⁶³−1 bytes, which no kernel could count.
pub fn parse_size(text: &str) -> Result<u64> {
    let invalid = |reason: &str| Error::invalid("size", text, reason);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(invalid("must be a whole number, with b, k, m, g or t after it or nothing")),
    };
    if number.is_empty() {
        return Err(invalid("must begin with a number"));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| invalid("is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("100b", 100),
            ("64m", 64 << 20),
            ("1g", 1 << 30),
            ("1G", 1 << 30),
            ("512KiB", 512 << 10),
            ("2tb", 2 << 40),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for bad in [
            "",
            "m",
            "-1",
            "+1",
            " 1",
            "1 m",
            "1.5g",
            "64x",
            "9223372036854775808",
            "99999999999999999999",
            "9000000t",
            "1mm",
            "1é",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}

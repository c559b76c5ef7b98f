//! The numbers of a tar archive: octal and base-256 in header fields, decimal in PAX records.

use super::Timestamp;
use super::fault::Fault;

/// A header field: octal digits with blanks and NULs around, or base-256 with sign when its first bit is set.
///
/// A field of blanks alone is 0, as every known reader has it.
pub(super) fn field(what: &'static str, bytes: &[u8]) -> Result<i128, Fault> {
    match bytes.first() {
        Some(&first) if first & 0x80 != 0 => Ok(base256(first, bytes)),
        _ => octal(bytes).map(i128::from).ok_or_else(|| format!("{what} is not a number").into()),
    }
}

/// Two's complement of all bits but the first, which only marks the encoding. At most 12 bytes, so it fits.
fn base256(first: u8, bytes: &[u8]) -> i128 {
    let negative = first & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (i, &byte) in bytes.iter().enumerate() {
        let byte = match (i, negative) {
            (0, true) => byte | 0x80,
            (0, false) => byte & 0x7f,
            _ => byte,
        };
        value = (value << 8) | i128::from(byte);
    }
    value
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if !rest.iter().all(blank) {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        match digit {
            b'0'..=b'7' if value >> 61 == 0 => value = value << 3 | u64::from(digit - b'0'),
            _ => return None,
        }
    }
    Some(value)
}

/// A size in bytes: not negative, at most 63 bits.
pub(super) fn size(what: &'static str, value: i128) -> Result<u64, Fault> {
    i64::try_from(value)
        .ok()
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| format!("{what} {value} is out of range").into())
}

/// A uid or gid: 32 bits, without the value that `chown` takes for "leave it".
pub(super) fn owner(what: &'static str, value: i128) -> Result<u32, Fault> {
    match u32::try_from(value) {
        Ok(owner) if owner != u32::MAX => Ok(owner),
        _ => Err(format!("{what} {value} is out of range").into()),
    }
}

/// A device number or mode.
pub(super) fn word(what: &'static str, value: i128) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| format!("{what} {value} is out of range").into())
}

/// A PAX number: decimal digits, blanks before them allowed.
pub(super) fn decimal(what: &'static str, text: &[u8]) -> Result<i128, Fault> {
    digits(text.trim_ascii_start())
        .map(i128::from)
        .ok_or_else(|| format!("{what} is not a number below 2^64").into())
}

/// Decimal digits, at least one, of a value that fits 64 bits.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for byte in text {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

/// A PAX time: seconds with an optional sign and fraction. Digits after the ninth are cut.
pub(super) fn time(what: &'static str, text: &[u8]) -> Result<Timestamp, Fault> {
    parse_time(text).ok_or_else(|| format!("{what} is not a time within 64 bits of seconds").into())
}

fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match text.iter().position(|&b| b == b'.') {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { i128::from(digits(whole)?) };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut nanos: u32 = 0;
    for i in 0..9 {
        nanos = nanos * 10 + fraction.get(i).map_or(0, |digit| u32::from(digit - b'0'));
    }
    let (seconds, nanos) = match (negative, nanos) {
        (false, nanos) => (whole, nanos),
        (true, 0) => (-whole, 0),
        (true, nanos) => (-whole - 1, 1_000_000_000 - nanos),
    };
    Some(Timestamp { seconds: i64::try_from(seconds).ok()?, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"7777777", Some(0o7777777)),
            (b"00000008", None),
            (b"-0000001", None),
            (b"12 34\0\0\0", None),
            (b"777777777777", Some(0o777777777777)),
            (b"\x80\0\0\0\0\0\0\x05", Some(5)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\xb2\xd0\x5e\0", Some(3_000_000_000)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", Some(1 << 63)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
        ] {
            assert_eq!(field("x", bytes).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn ranges() {
        assert!(size("size", -1).is_err());
        assert!(size("size", 1 << 63).is_err());
        assert_eq!(size("size", i128::from(i64::MAX)).unwrap(), i64::MAX as u64);
        assert!(owner("uid", i128::from(u32::MAX)).is_err());
        assert!(owner("uid", 1 << 32).is_err());
        assert!(owner("uid", -1).is_err());
        assert_eq!(owner("uid", 4_294_967_294).unwrap(), 4_294_967_294);
    }

    #[test]
    fn times() {
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        for (text, expected) in [
            ("0", at(0, 0)),
            ("1.5", at(1, 500_000_000)),
            ("1.1234567899", at(1, 123_456_789)),
            (".5", at(0, 500_000_000)),
            ("5.", at(5, 0)),
            ("-1", at(-1, 0)),
            ("-1.5", at(-2, 500_000_000)),
            ("-0.25", at(-1, 750_000_000)),
            ("253402300799", at(253_402_300_799, 0)),
            ("-9223372036854775808", at(i64::MIN, 0)),
            ("9223372036854775808", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1e5", None),
            ("+1", None),
            ("1.5.5", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal("x", b" 12").unwrap(), 12);
        for bad in ["", "-1", "+1", "1 ", "0x1", "18446744073709551616", "99999999999999999999999999"] {
            assert!(decimal("x", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

use oci_spec::image::ImageConfiguration;

use crate::{Error, Result};

/// Numbers that are the same on every architecture Rust runs on but MIPS and SPARC, which containers do not.
const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
/// As the GNU C library and docker count them: the kernel's first two, 32 and 33, belong to the thread library.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The signal that asks the image's process to end: `StopSignal`, or SIGTERM (15).
///
/// # Errors
/// [`Error::Invalid`] when the image names a signal that does not exist.
pub fn stop_signal(image: &ImageConfiguration) -> Result<i32> {
    let name = image.config().as_ref().and_then(|config| config.stop_signal().as_deref());
    name.filter(|name| !name.is_empty()).map_or(Ok(15), parse_signal)
}

/// Parses a signal: a number from 1 to 64, or a name with or without `SIG`, in either case; also `RTMIN`, `RTMIN+3`,
/// `RTMAX`, `RTMAX-2`.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub fn parse_signal(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if upper.starts_with(|first: char| first.is_ascii_digit()) {
        small(&upper)
    } else if let Some(above) = name.strip_prefix("RTMIN") {
        offset(above, '+').map(|offset| RTMIN + offset).filter(|&number| number <= RTMAX)
    } else if let Some(below) = name.strip_prefix("RTMAX") {
        offset(below, '-').map(|offset| RTMAX - offset).filter(|&number| number >= RTMIN)
    } else {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
    };
    number
        .filter(|number| (1..=RTMAX).contains(number))
        .ok_or_else(|| Error::invalid("signal", text, "is neither a signal's name nor a number from 1 to 64"))
}

fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() { Some(0) } else { small(text.strip_prefix(sign)?) }
}

/// One or two digits, nothing else.
fn small(text: &str) -> Option<i32> {
    let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("TERM", 15),
            ("9", 9),
            ("64", 64),
            ("sigwinch", 28),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-2", 62),
            ("RTMIN+30", 64),
            ("SIGRTMAX", 64),
            ("SIGPOLL", 29),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for bad in [
            "",
            "0",
            "65",
            "-9",
            "+9",
            "SIG",
            "SIG9",
            "TERMINATE",
            "RTMIN-1",
            "RTMIN+31",
            "RTMAX+1",
            "RTMIN+",
            "9 ",
            "999",
        ] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_the_systems() {
        for (name, number) in [
            ("HUP", libc::SIGHUP),
            ("USR1", libc::SIGUSR1),
            ("CHLD", libc::SIGCHLD),
            ("SYS", libc::SIGSYS),
            ("STOP", libc::SIGSTOP),
        ] {
            assert_eq!(parse_signal(name).unwrap(), number, "{name}");
        }
        #[cfg(target_env = "gnu")]
        assert_eq!((libc::SIGRTMIN(), libc::SIGRTMAX()), (RTMIN, RTMAX));
    }

    #[test]
    fn of_an_image() {
        let image = |stop: &str| -> ImageConfiguration {
            serde_json::from_str(&format!(
                r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":[]}},"config":{{{stop}}}}}"#
            ))
            .unwrap()
        };
        assert_eq!(stop_signal(&image("")).unwrap(), 15);
        assert_eq!(stop_signal(&image(r#""StopSignal":"SIGINT""#)).unwrap(), 2);
        assert!(stop_signal(&image(r#""StopSignal":"SIGNOTHING""#)).is_err());
    }
}

//! strace's lines, as far as they are about files.

use std::collections::HashMap;

/// A call that succeeded. Paths below the recorded folder begin with `/` there; `None` as a folder is the working
/// directory, which is elsewhere.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Open {
        at: Option<i64>,
        path: String,
        create: bool,
        unnamed: bool,
        truncate: bool,
        fd: i64,
    },
    Write {
        fd: i64,
        bytes: Vec<u8>,
    },
    Truncate {
        fd: i64,
        size: usize,
    },
    Seek {
        fd: i64,
        to: usize,
    },
    Duplicate {
        fd: i64,
        new: i64,
    },
    Close {
        fd: i64,
    },
    /// Another call came before this one returned: it only promises what was done when it began.
    Syncing {
        fd: i64,
        all: bool,
        began: usize,
    },
    Sync {
        fd: i64,
        began: Option<usize>,
    },
    SyncAll {
        fd: i64,
        began: Option<usize>,
    },
    Folder {
        at: Option<i64>,
        path: String,
    },
    Link {
        from: i64,
        at: Option<i64>,
        path: String,
    },
    Rename {
        from: (Option<i64>, String),
        to: (Option<i64>, String),
    },
    Unlink {
        at: Option<i64>,
        path: String,
    },
    /// Written to standard output.
    Said {
        text: String,
    },
}

/// The calls strace has to record.
pub(crate) const TRACED: &str = "open,openat,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,lseek,ftruncate,fsync,fdatasync,\
    syncfs,mkdir,mkdirat,linkat,rename,renameat,renameat2,unlink,unlinkat,copy_file_range,sendfile,ioctl,truncate,link";

/// The calls of a log that was recorded with `-f -xx`, in the order in which they returned. Closing happens when it
/// begins, which strace always sees before any thread is given the number again.
pub(crate) fn calls(log: &str, root: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, (String, Option<usize>)> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            let begin = begin.trim_end();
            if begin.starts_with("close(") {
                calls.extend(parse(&format!("{begin}) = 0"), root));
                continue;
            }
            let number = calls.len();
            let syncing = match parse(&format!("{begin}) = 0"), root).filter(|_| begin.contains("sync")) {
                Some(Call::Sync { fd, .. }) => Some(Call::Syncing { fd, all: false, began: number }),
                Some(Call::SyncAll { fd, .. }) => Some(Call::Syncing { fd, all: true, began: number }),
                _ => None,
            };
            begun.insert(thread, (begin.to_owned(), syncing.as_ref().map(|_| number)));
            calls.extend(syncing);
            continue;
        }
        let (whole, number) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let Some((_, end)) = resumed.split_once(" resumed>") else { continue };
                let Some((begin, number)) = begun.remove(thread) else { continue };
                (format!("{begin}{end}"), number)
            }
            None => (rest.to_owned(), None),
        };
        let mut call = parse(&whole, root);
        if let Some(Call::Sync { began, .. } | Call::SyncAll { began, .. }) = &mut call {
            *began = number;
        }
        calls.extend(call);
    }
    calls
}

fn parse(line: &str, root: &str) -> Option<Call> {
    let (call, result) = line.rsplit_once(" = ")?;
    let result: i64 = result.split_whitespace().next()?.parse().ok()?;
    if result < 0 {
        return None;
    }
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    // Strings are in hexadecimal digits, so that no comma is part of one.
    let arguments: Vec<&str> = arguments.split(", ").map(str::trim).collect();
    let number = |i: usize| arguments.get(i)?.parse::<i64>().ok();
    let at = |i: usize| number(i);
    let path = |i: usize| {
        let text = String::from_utf8(decode(arguments.get(i)?)?).ok()?;
        match text.strip_prefix(root) {
            Some(below) => Some(format!("/{}", below.trim_start_matches('/'))),
            None if text.starts_with('/') => None,
            None => Some(text),
        }
    };
    Some(match name {
        "openat" => open(at(0), path(1)?, arguments.get(2)?, result),
        "open" => open(None, path(0)?, arguments.get(1)?, result),
        "write" if number(0)? <= 2 => {
            Call::Said { text: String::from_utf8_lossy(&decode(arguments.get(1)?)?).into_owned() }
        }
        "write" => Call::Write { fd: number(0)?, bytes: decode(arguments.get(1)?)? },
        "ftruncate" => Call::Truncate { fd: number(0)?, size: usize::try_from(number(1)?).ok()? },
        "lseek" => Call::Seek { fd: number(0)?, to: usize::try_from(result).ok()? },
        "dup" | "dup2" | "dup3" => Call::Duplicate { fd: number(0)?, new: result },
        "fcntl" if arguments.get(1)?.starts_with("F_DUPFD") => {
            Call::Duplicate { fd: number(0)?, new: result }
        }
        "close" => Call::Close { fd: number(0)? },
        "fsync" | "fdatasync" => Call::Sync { fd: number(0)?, began: None },
        "syncfs" => Call::SyncAll { fd: number(0)?, began: None },
        "mkdir" => Call::Folder { at: None, path: path(0)? },
        "mkdirat" => Call::Folder { at: at(0), path: path(1)? },
        "linkat" => {
            let from = String::from_utf8(decode(arguments.get(1)?)?).ok()?;
            let from =
                from.strip_prefix("/proc/self/fd/").expect("only descriptors are linked").parse().ok()?;
            Call::Link { from, at: at(2), path: path(3)? }
        }
        "renameat" | "renameat2" => Call::Rename { from: (at(0), path(1)?), to: (at(2), path(3)?) },
        "rename" => Call::Rename { from: (None, path(0)?), to: (None, path(1)?) },
        "unlinkat" => Call::Unlink { at: at(0), path: path(1)? },
        "unlink" => Call::Unlink { at: None, path: path(0)? },
        "ioctl" if arguments.get(1)?.contains("FICLONE") => panic!("the model knows no reflinks"),
        "ioctl" | "fcntl" => return None,
        other => panic!("the layout has a new way to change files, which the model must learn: {other}"),
    })
}

fn open(at: Option<i64>, path: String, flags: &str, fd: i64) -> Call {
    let has = |flag| flags.contains(flag);
    Call::Open { at, path, create: has("O_CREAT"), unnamed: has("O_TMPFILE"), truncate: has("O_TRUNC"), fd }
}

/// `"\x61\x62"`.
fn decode(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('"')?;
    assert!(inner.ends_with('"'), "strace cut a string off");
    let digits = inner.trim_end_matches('"').split("\\x").skip(1);
    digits.map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

//! Other readers of archives, brought to one form: a line for each entry, or why the archive is refused.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use oci_digest::{Algorithm, digest_of};
use oci_unpack::framing::EntryKind;

/// What a reader makes of an archive.
pub(crate) type Lines = Result<Vec<String>, String>;

/// A reader: its name, and what it does. `None` when the program is not there.
pub(crate) type Reader = (&'static str, fn(&[u8]) -> Option<Lines>);

pub(crate) const READERS: [Reader; 4] = [
    ("tar (crate)", |archive| Some(tar_crate(archive))),
    ("tar-core (crate)", |archive| Some(tar_core(archive))),
    ("GNU tar", gnu_tar),
    ("bsdtar", bsdtar),
];

/// `kind mode owner:group size @time name -> target content`.
struct Line<'a> {
    kind: char,
    mode: u32,
    owner: (u64, u64),
    size: u64,
    /// Whole seconds: not all readers tell more.
    time: i64,
    name: &'a [u8],
    link: &'a [u8],
    content: &'a [u8],
}

impl Line<'_> {
    fn text(&self) -> String {
        let digest = if self.content.is_empty() {
            String::new()
        } else {
            digest_of(Algorithm::Sha256, self.content).digest()[..16].to_owned()
        };
        // Whether a directory's name ends in a slash is a matter of taste.
        let name = self.name.strip_suffix(b"/").unwrap_or(self.name);
        format!(
            "{} {:04o} {}:{} {} @{} {} -> {} {digest}",
            self.kind,
            self.mode & 0o7777,
            self.owner.0,
            self.owner.1,
            self.size,
            self.time,
            name.escape_ascii(),
            self.link.escape_ascii()
        )
    }
}

pub(crate) fn ours(archive: &[u8]) -> Lines {
    let read = crate::read(archive).map_err(|e| e.to_string())?;
    let line = |(entry, content): &(oci_unpack::framing::Entry, Vec<u8>)| {
        let mut content = content.clone();
        content.resize(usize::try_from(entry.size).unwrap(), 0);
        let kind = match entry.kind {
            EntryKind::HardLink => 'h',
            EntryKind::Symlink => 'l',
            EntryKind::CharDevice { .. } => 'c',
            EntryKind::BlockDevice { .. } => 'b',
            EntryKind::Directory => 'd',
            EntryKind::Fifo => 'p',
            _ => '-',
        };
        Line {
            kind,
            mode: entry.mode,
            owner: (entry.uid.into(), entry.gid.into()),
            size: entry.size,
            time: entry.mtime.seconds,
            name: &entry.path,
            link: &entry.link,
            content: &content,
        }
        .text()
    };
    Ok(read.entries.iter().map(line).collect())
}

fn kind(flag: u8, name: &[u8]) -> char {
    match flag {
        b'1' => 'h',
        b'2' => 'l',
        b'3' => 'c',
        b'4' => 'b',
        b'5' => 'd',
        b'6' => 'p',
        0 if name.ends_with(b"/") => 'd',
        0 | b'0' | b'7' | b'S' => '-',
        other => char::from(other),
    }
}

/// Owners and times of PAX records it leaves to its caller.
fn tar_crate(archive: &[u8]) -> Lines {
    let text = |e: std::io::Error| e.to_string();
    let mut lines = Vec::new();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().map_err(text)? {
        let mut entry = entry.map_err(text)?;
        let header = entry.header().clone();
        // Global headers are left to its caller, too.
        if header.entry_type().as_byte() == b'g' {
            continue;
        }
        let (mut uid, mut gid) = (header.uid().map_err(text)?, header.gid().map_err(text)?);
        let mut time = header.mtime().map_err(text)? as i64;
        if let Some(records) = entry.pax_extensions().map_err(text)? {
            for record in records {
                let record = record.map_err(text)?;
                let value = record.value().unwrap_or_default();
                match record.key().unwrap_or_default() {
                    "uid" => uid = value.parse().unwrap_or(uid),
                    "gid" => gid = value.parse().unwrap_or(gid),
                    "mtime" => time = value.split('.').next().unwrap_or_default().parse().unwrap_or(time),
                    _ => {}
                }
            }
        }
        let name = entry.path_bytes().into_owned();
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let kind = kind(header.entry_type().as_byte(), &name);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(text)?;
        if kind == '-' && content.len() as u64 != entry.size() {
            return Err("the data is cut".into());
        }
        let line = Line {
            kind,
            mode: header.mode().map_err(text)?,
            owner: (uid, gid),
            size: if kind == '-' { entry.size() } else { 0 },
            time,
            name: &name,
            link: if matches!(kind, 'h' | 'l') { &link } else { b"" },
            content: &content,
        };
        lines.push(line.text());
    }
    Ok(lines)
}

fn tar_core(archive: &[u8]) -> Lines {
    use tar_core::parse::{ParseEvent, Parser};
    let mut parser = Parser::with_defaults();
    let mut rest = archive;
    let mut lines = Vec::new();
    loop {
        let (consumed, entry, holes) = match parser.parse(rest).map_err(|e| e.to_string())? {
            // The caller decides what an archive without an end mark is.
            ParseEvent::NeedData { .. } if rest.iter().all(|b| *b == 0) => return Ok(lines),
            ParseEvent::NeedData { .. } => return Err("cut".into()),
            ParseEvent::End { .. } => return Ok(lines),
            ParseEvent::GlobalExtensions { consumed, .. } => {
                rest = &rest[consumed..];
                continue;
            }
            ParseEvent::Entry { consumed, entry } => (consumed, entry, None),
            ParseEvent::SparseEntry { consumed, entry, sparse_map, real_size } => {
                (consumed, entry, Some((sparse_map, real_size)))
            }
        };
        rest = &rest[consumed..];
        let stored = usize::try_from(entry.size).map_err(|e| e.to_string())?;
        let kind = kind(entry.entry_type.to_byte(), &entry.path);
        let stored = if kind == '-' { stored } else { 0 };
        let Some(mut data) = rest.get(..stored) else { return Err("the data is cut".into()) };
        rest = rest.get(stored.next_multiple_of(512)..).unwrap_or_default();
        let mut content = data.to_vec();
        if let Some((map, size)) = holes {
            content = vec![0; usize::try_from(size).map_err(|e| e.to_string())?];
            for part in map {
                let (offset, len) = (part.offset as usize, part.length as usize);
                let (Some(from), Some(to)) = (data.get(..len), content.get_mut(offset..offset + len)) else {
                    return Err("the map does not fit".into());
                };
                to.copy_from_slice(from);
                data = &data[len..];
            }
        }
        let line = Line {
            kind,
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            size: content.len() as u64,
            time: entry.mtime as i64,
            name: &entry.path,
            link: entry.link_target.as_deref().filter(|_| matches!(kind, 'h' | 'l')).unwrap_or_default(),
            content: &content,
        };
        lines.push(line.text());
    }
}

/// Its listing, and the contents of all files one after the other.
fn gnu_tar(archive: &[u8]) -> Option<Lines> {
    let list = ["-tvf", "-", "--numeric-owner", "--full-time", "--utc", "--quoting-style=escape"];
    let listed = match run("tar", &list, archive)? {
        Ok(listed) => listed,
        Err(error) => return Some(Err(error)),
    };
    let contents = run("tar", &["-xOf", "-"], archive)?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect();
    lines.push(match contents {
        Ok(contents) => digest_of(Algorithm::Sha256, &contents).to_string(),
        Err(error) => return Some(Err(error)),
    });
    Some(Ok(lines))
}

/// What `GNU tar` would list of the entries that we see: its own form has less in it than ours.
pub(crate) fn as_gnu_tar_lists(archive: &[u8]) -> Lines {
    let read = crate::read(archive).map_err(|e| e.to_string())?;
    let mut all = Vec::new();
    let mut lines = Vec::new();
    for (entry, content) in &read.entries {
        let mut content = content.clone();
        content.resize(usize::try_from(entry.size).unwrap(), 0);
        all.extend(&content);
        lines.push(gnu_line(entry));
    }
    lines.push(digest_of(Algorithm::Sha256, &all).to_string());
    Ok(lines)
}

fn gnu_line(entry: &oci_unpack::framing::Entry) -> String {
    let (letter, size) = match entry.kind {
        EntryKind::HardLink => ('h', "0".to_owned()),
        EntryKind::Symlink => ('l', "0".to_owned()),
        EntryKind::CharDevice { major, minor } => ('c', format!("{major},{minor}")),
        EntryKind::BlockDevice { major, minor } => ('b', format!("{major},{minor}")),
        EntryKind::Directory => ('d', "0".to_owned()),
        EntryKind::Fifo => ('p', "0".to_owned()),
        _ => ('-', entry.size.to_string()),
    };
    let mode: String = (0..9)
        .map(|bit| if entry.mode >> (8 - bit) & 1 == 1 { b"rwx"[bit % 3].into() } else { '-' })
        .collect();
    let days = entry.mtime.seconds.div_euclid(86400);
    let seconds = entry.mtime.seconds.rem_euclid(86400);
    let (year, month, day) = date(days);
    let fraction = match entry.mtime.nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    let link = match entry.kind {
        EntryKind::HardLink => format!(" link to {}", escaped(&entry.link)),
        EntryKind::Symlink => format!(" -> {}", escaped(&entry.link)),
        _ => String::new(),
    };
    let owner = format!("{}/{}", entry.uid, entry.gid);
    // Owner and size share a column that is at least so wide, and grows.
    format!(
        "{letter}{mode} {owner} {size} {year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}{fraction} {}{link}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        escaped(&entry.path)
    )
}

/// Days since 1970 in the calendar, by counting.
fn date(mut days: i64) -> (i64, usize, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days < 0 {
        year -= 1;
        days += if leap(year) { 366 } else { 365 };
    }
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// As `--quoting-style=escape` in the C locale does.
fn escaped(name: &[u8]) -> String {
    name.iter()
        .map(|byte| match byte {
            b'\n' => "\\n".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\{other:03o}"),
        })
        .collect()
}

/// Written anew by libarchive, in a form that has everything, and read by us.
fn bsdtar(archive: &[u8]) -> Option<Lines> {
    let options = ["-cf", "-", "--format=pax", "--no-read-sparse", "@-"];
    match run("bsdtar", &options, archive)? {
        Ok(again) => Some(ours(&again)),
        Err(error) => Some(Err(error)),
    }
}

/// The program's output; its complaint, when it says that it failed.
fn run(program: &str, options: &[&str], input: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let mut child = Command::new(program)
        .args(options)
        // GNU tar then escapes all that is not ASCII, but bsdtar refuses it.
        .env("LC_ALL", if program == "bsdtar" { "C.UTF-8" } else { "C" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It may stop reading at any time.
        scope.spawn(move || _ = stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    if output.status.success() {
        Some(Ok(output.stdout))
    } else {
        Some(Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()))
    }
}

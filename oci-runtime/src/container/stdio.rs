use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::options::Stdio;
use crate::{Error, Result};

/// The standard streams: the container's ends, and the caller's ends of pipes.
#[derive(Debug)]
pub(super) struct Streams {
    inside: [Option<OwnedFd>; 3],
    pub(super) pipes: [bool; 3],
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

impl Streams {
    pub(super) fn open(stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Self> {
        let new = || pipe().map_err(|error| Error::io("make a pipe", error));
        let pipes = [&stdin, &stdout, &stderr].map(|stdio| matches!(stdio, Stdio::Pipe));
        let (inside_in, stdin) = match stdin {
            Stdio::Pipe => {
                let (reader, writer) = new()?;
                (Some(OwnedFd::from(reader)), Some(writer))
            }
            other => (plain(other)?, None),
        };
        let output = |stdio| match stdio {
            Stdio::Pipe => {
                let (reader, writer) = new()?;
                Ok::<_, Error>((Some(OwnedFd::from(writer)), Some(reader)))
            }
            other => Ok((plain(other)?, None)),
        };
        let (inside_out, stdout) = output(stdout)?;
        let (inside_err, stderr) = output(stderr)?;
        Ok(Self { inside: [inside_in, inside_out, inside_err], pipes, stdin, stdout, stderr })
    }

    pub(super) fn inside(&self) -> [Option<BorrowedFd<'_>>; 3] {
        let [stdin, stdout, stderr] = &self.inside;
        [stdin, stdout, stderr].map(|descriptor| descriptor.as_ref().map(AsFd::as_fd))
    }

    /// Closes the container's ends, so that the end of its output is seen.
    pub(super) fn close_inside(&mut self) {
        self.inside = [None, None, None];
    }
}

fn plain(stdio: Stdio) -> Result<Option<OwnedFd>> {
    match stdio {
        Stdio::Null => {
            let null: std::io::Result<File> = OpenOptions::new().read(true).write(true).open("/dev/null");
            Ok(Some(null.map_err(|error| Error::io("open /dev/null", error))?.into()))
        }
        Stdio::Descriptor(descriptor) => Ok(Some(descriptor)),
        Stdio::Inherit | Stdio::Pipe => Ok(None),
    }
}

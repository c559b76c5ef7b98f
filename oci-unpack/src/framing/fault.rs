use std::borrow::Cow;

/// What a part of the parser found wrong; the decoder adds where.
#[derive(Debug)]
pub(super) enum Fault {
    /// Malformed.
    Bad(Cow<'static, str>),
    /// A limit was exceeded.
    Limit {
        /// Its name.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
}

impl Fault {
    /// For limits that count in `usize`.
    pub(super) fn limit(limit: &'static str, maximum: usize) -> Self {
        Self::Limit { limit, maximum: maximum as u64 }
    }

    /// For names: the message must show which.
    pub(super) fn too_long(name: &[u8], maximum: usize) -> Self {
        format!("the name {} is longer than the limit of {maximum} bytes", shown(name)).into()
    }
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Bad(Cow::Borrowed(reason))
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Bad(Cow::Owned(reason))
    }
}

/// Bytes of an archive for a message: lossily as text, escaped, and shortened in the middle.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const EDGE: usize = 100;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    match (bytes.get(..EDGE), bytes.get(bytes.len().saturating_sub(EDGE)..)) {
        (Some(head), Some(tail)) if bytes.len() > 2 * EDGE + 20 => {
            format!("{}...{}", text(head), text(tail))
        }
        _ => text(bytes),
    }
}

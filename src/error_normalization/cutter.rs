//! Where the events of a stream end, and what one of them says, in either of the two framings. Pure.

use crate::{
    dialect::{Framing, Operation},
    framing::{
        ndjson::Lines,
        sse::{Blocks, Event},
    },
    provider,
};
use bytes::Bytes;
use std::borrow::Cow;

/// Finds the ends of events.
#[derive(Debug)]
pub(super) enum Cutter {
    Sse(Blocks),
    Ndjson(Lines),
}

impl Cutter {
    /// At the start of a stream.
    pub(super) fn of(operation: Operation) -> Self {
        match operation.framing() {
            Some(Framing::Ndjson) => Self::Ndjson(Lines::new()),
            _ => Self::Sse(Blocks::new()),
        }
    }

    /// Scans on through a chunk; the position behind the next end of an event.
    pub(super) fn next_end(&mut self, chunk: &[u8]) -> Option<usize> {
        match self {
            Self::Sse(blocks) => blocks.next_end(chunk),
            Self::Ndjson(lines) => lines.next_end(chunk),
        }
    }

    /// Scans on through a chunk if it belongs to an event and ends no line.
    pub(super) fn go_on(&mut self, chunk: &[u8]) -> bool {
        match self {
            Self::Sse(blocks) => blocks.go_on(chunk),
            Self::Ndjson(lines) => lines.go_on(chunk),
        }
    }

    /// Begins anew, behind the end of an event.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Sse(blocks) => *blocks = Blocks::new(),
            Self::Ndjson(lines) => *lines = Lines::new(),
        }
    }

    /// Whether the next byte begins an event.
    pub(super) fn is_between(&self) -> bool {
        match self {
            Self::Sse(blocks) => blocks.is_between(),
            Self::Ndjson(lines) => !lines.in_line(),
        }
    }

    pub(super) fn in_event(&self) -> bool {
        match self {
            Self::Sse(blocks) => blocks.in_block(),
            Self::Ndjson(lines) => lines.in_line(),
        }
    }

    /// The data of an event, and what it says if it is an error.
    pub(super) fn read<'a>(&self, event: &'a [u8]) -> (Cow<'a, [u8]>, Option<Bytes>) {
        let copied = |error: Option<Cow<'_, [u8]>>| error.map(|it| Bytes::copy_from_slice(&it));
        match self {
            Self::Sse(_) => {
                let event = Event::of(event);
                let data = event.data();
                let error = copied(provider::error_event(event, &data));
                (data, error)
            }
            Self::Ndjson(_) => {
                let line = event.trim_ascii();
                (Cow::Borrowed(line), copied(provider::error_in(line)))
            }
        }
    }

    /// What completes an event that is whole but for its end.
    pub(super) fn terminator(&self) -> &'static [u8] {
        match self {
            Self::Sse(_) => b"\n\n",
            Self::Ndjson(_) => b"\n",
        }
    }

    /// Whether an unterminated event ends in its data: a name that is cut off is another name.
    pub(super) fn ends_in_data(&self, event: &[u8]) -> bool {
        let mut lines = event.rsplit(|byte| matches!(byte, b'\n' | b'\r'));
        let last = lines.next().unwrap_or_default();
        matches!(self, Self::Ndjson(_)) || last.is_empty() || last.starts_with(b"data:")
    }

    /// Whether an event without data is no event of such a stream at all.
    pub(super) fn is_strange(&self, event: &[u8], data: &[u8]) -> bool {
        match self {
            Self::Sse(_) => {
                data.is_empty() && !Event::of(event).fields().all(|(name, _)| is_field(name))
            }
            Self::Ndjson(_) => !data.starts_with(b"{"),
        }
    }
}

/// Whether this is the name of a field that streams have, or a comment.
fn is_field(name: &[u8]) -> bool {
    name.is_empty()
        || (name.len() <= 32 && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'))
}

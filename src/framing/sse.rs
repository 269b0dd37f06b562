//! The blocks of an event stream, found without touching a byte, and the fields of one block.
//!
//! Maintainers: two things are kept apart here. *Where does a block end* is asked of every byte of
//! every stream, so [`Blocks`] answers it by looking for line ends only. *What does a block say* is
//! asked of few, so [`Event`] derives it on demand from the raw bytes. Nothing is decoded, and
//! nothing fails: the bytes that go on are the bytes that came.
//!
//! Rules (WHATWG HTML, sections 9.2.5 and 9.2.6):
//!
//! 1. Lines end with LF, CR or CRLF, also mixed, also when a chunk ends between CR and LF.
//! 2. An empty line ends a block. A block without a `data` field is no event.
//! 3. One byte order mark at the very start of the stream is ignored.
//! 4. A line without a colon is a field with an empty value; one that starts with a colon is a
//!    comment; one blank after the colon is not part of the value.
//! 5. Several `data` lines are joined with LF.
//!
//! # Example: two events in three chunks
//!
//! ```
//! use tower_inference::framing::sse::Blocks;
//!
//! let mut blocks = Blocks::new();
//! assert_eq!(blocks.next_end(b"data: 1\n"), None);
//! assert_eq!(blocks.next_end(b"\ndata: 2\r\n\r"), Some(1));
//! // The CR already ends the block; the LF of the next chunk belongs to it.
//! assert_eq!(blocks.next_end(b"data: 2\r\n\r"), Some(10));
//! assert_eq!(blocks.next_end(b"\ndata: 3"), None);
//! ```

use memchr::memchr2;
use std::borrow::Cow;

/// Finds the ends of blocks in a stream that arrives in chunks.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The line so far has no bytes.
    at_line_start: bool,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
    /// Something has been seen in this block, so that an empty line ends it.
    in_block: bool,
}

impl Blocks {
    /// A scanner at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { at_line_start: true, after_cr: false, in_block: false }
    }

    /// Scans on through `chunk`, which follows all bytes scanned so far. Returns the position
    /// after the next empty line, or `None` if the chunk ends first.
    ///
    /// After `Some(n)` call again with `&chunk[n..]`. Empty lines outside of a block end nothing.
    pub fn next_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.after_cr && chunk.first() == Some(&b'\n') {
            at = 1;
        }
        self.after_cr &= chunk.is_empty();
        while let Some(found) = chunk.get(at..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let line_is_empty = self.at_line_start && found == 0;
            at += found + 1;
            if chunk[at - 1] == b'\r' {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.at_line_start = true;
            self.in_block |= !line_is_empty;
            if line_is_empty && self.in_block {
                self.in_block = false;
                return Some(at);
            }
        }
        if at < chunk.len() {
            self.at_line_start = false;
            self.in_block = true;
        }
        None
    }

    /// Scans on through a chunk that belongs to a block and ends no line: what `next_end` does, but
    /// cheaper. Returns false, and has done nothing, if it is another chunk.
    #[inline]
    pub(crate) fn go_on(&mut self, chunk: &[u8]) -> bool {
        if chunk.is_empty() || memchr2(b'\n', b'\r', chunk).is_some() {
            return false;
        }
        *self = Self { at_line_start: false, after_cr: false, in_block: true };
        true
    }

    /// Whether the next byte begins a line, and a block with it.
    #[must_use]
    pub(crate) fn is_between(&self) -> bool {
        !self.in_block && !self.after_cr
    }

    /// Whether bytes of an unfinished block have been scanned.
    #[must_use]
    pub fn in_block(&self) -> bool {
        self.in_block
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self::new()
    }
}

/// One block of an event stream, read on demand.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a>(&'a [u8]);

impl<'a> Event<'a> {
    /// The event of a block, with or without its final empty line.
    #[must_use]
    pub fn of(block: &'a [u8]) -> Self {
        Self(block.strip_prefix(b"\xef\xbb\xbf").unwrap_or(block))
    }

    /// The raw bytes, without a byte order mark.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The fields in the order of the block, as (name, value). Comments have an empty name.
    pub fn fields(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines(self.0).filter(|line| !line.is_empty()).map(|line| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default();
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        })
    }

    /// The value of the last `event` field.
    #[must_use]
    pub fn name(self) -> Option<&'a [u8]> {
        self.fields().filter(|(name, _)| *name == b"event").last().map(|(_, value)| value)
    }

    /// The values of the `data` fields, joined with LF; empty if there are none.
    #[must_use]
    pub fn data(self) -> Cow<'a, [u8]> {
        let mut values = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let first = values.next().unwrap_or_default();
        let Some(second) = values.next() else { return Cow::Borrowed(first) };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
        Cow::Owned(joined)
    }

    /// Whether there is no field at all: comments, or nothing.
    #[must_use]
    pub fn is_comment(self) -> bool {
        self.fields().all(|(name, _)| name.is_empty())
    }
}

/// The lines of a text, whatever they end with; the last one need not end.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = match &rest[end..] {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
            [] => &[],
        };
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The blocks of a stream that arrives in these chunks, and the unfinished rest.
    fn split(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut scanner, mut blocks, mut rest) = (Blocks::new(), Vec::new(), Vec::new());
        for chunk in chunks {
            let mut at = 0;
            while let Some(end) = scanner.next_end(&chunk[at..]) {
                rest.extend_from_slice(&chunk[at..at + end]);
                blocks.push(std::mem::take(&mut rest));
                at += end;
            }
            rest.extend_from_slice(&chunk[at..]);
        }
        (blocks, rest)
    }

    fn data(blocks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        blocks.iter().map(|block| Event::of(block).data().into_owned()).collect()
    }

    #[test]
    fn all_line_ends_end_lines() {
        for stream in [
            "data: 1\n\ndata: 2\n\n",
            "data: 1\r\rdata: 2\r\r",
            "data: 1\r\n\r\ndata: 2\r\n\r\n",
            "data: 1\n\rdata: 2\r\n\n",
        ] {
            let (blocks, rest) = split(&[stream.as_bytes()]);
            assert_eq!(data(&blocks), [b"1", b"2"], "{stream:?}");
            assert_eq!(rest, b"", "{stream:?}");
        }
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let stream =
            b"\xef\xbb\xbf: hi\r\n\r\nevent: x\ndata: a\r\ndata:b\r\r\n\ndata: c\n\n\n\ndata: open";
        let (whole, rest) = split(&[stream]);
        assert_eq!(data(&whole), [&b""[..], b"a\nb", b"c"]);
        assert_eq!(rest.trim_ascii_start(), b"data: open");
        for a in 0..=stream.len() {
            for b in a..=stream.len() {
                let (blocks, _) = split(&[&stream[..a], &stream[a..b], &stream[b..]]);
                assert_eq!(data(&blocks), data(&whole), "split at {a}, {b}");
            }
        }
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let event = Event::of(b"data:a\ndata\ndata:  b\nevent: n\n: note\nid\n\n");
        assert_eq!(event.data().as_ref(), b"a\n\n b");
        assert_eq!(event.name(), Some(&b"n"[..]));
        assert!(!event.is_comment());
        assert!(Event::of(b": ping\n\n").is_comment());
    }

    #[test]
    fn an_unfinished_block_is_known() {
        let mut blocks = Blocks::new();
        assert!(!blocks.in_block());
        assert_eq!(blocks.next_end(b"\n\n"), None);
        assert!(!blocks.in_block());
        assert_eq!(blocks.next_end(b"d"), None);
        assert!(blocks.in_block());
    }

    #[test]
    fn a_chunk_that_goes_on_is_scanned_as_any_other() {
        for before in ["", "\r", "data", "data\n", "data\r", "data\n\n", "data\r\r"] {
            for chunk in ["", "a", "\n", "\r", "\na", "a\r\n"] {
                let mut scanned = Blocks::new();
                _ = scanned.next_end(before.as_bytes());
                let mut gone_on = scanned.clone();
                let goes_on = gone_on.go_on(chunk.as_bytes());
                if goes_on {
                    assert_eq!(scanned.next_end(chunk.as_bytes()), None, "{before:?} {chunk:?}");
                }
                let state = |it: &Blocks| (it.at_line_start, it.after_cr, it.in_block);
                assert_eq!(state(&gone_on), state(&scanned), "{before:?} {chunk:?}");
                assert!(goes_on || chunk != "a", "{before:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_under_any_chunking(
            pieces in prop::collection::vec("(data: x|\n|\r|\r\n|:|a){0,6}", 0..8),
        ) {
            let stream = pieces.concat();
            let chunks: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
            let (blocks, rest) = split(&chunks);
            let (whole, whole_rest) = split(&[stream.as_bytes()]);
            prop_assert_eq!(data(&blocks), data(&whole));
            prop_assert_eq!([blocks.concat(), rest].concat(), stream.as_bytes());
            prop_assert_eq!([whole.concat(), whole_rest].concat(), stream.as_bytes());
        }
    }
}

//! The lines of a stream of JSON texts, found without touching a byte.
//!
//! Rules (the format has no standard; these are what its servers and clients do):
//!
//! 1. A line ends with LF; a CR before it belongs to the line end.
//! 2. Empty lines are nothing.
//! 3. The last line need not end.
//!
//! # Example: two lines in two chunks
//!
//! ```
//! use tower_inference::framing::ndjson::Lines;
//!
//! let mut lines = Lines::new();
//! assert_eq!(lines.next_end(b"{\"n\":1}\n{\"n\""), Some(8));
//! assert_eq!(lines.next_end(b"{\"n\""), None);
//! assert_eq!(lines.next_end(b":2}\n"), Some(4));
//! ```

/// Finds the ends of lines in a stream that arrives in chunks.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    in_line: bool,
}

impl Lines {
    /// A scanner at the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { in_line: false }
    }

    /// Scans on through `chunk`, which follows all bytes scanned so far. Returns the position after
    /// the next line that is not empty, or `None` if the chunk ends first.
    pub fn next_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(found) = chunk.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let blank = chunk[at..at + found].iter().all(u8::is_ascii_whitespace);
            at += found + 1;
            if self.in_line || !blank {
                self.in_line = false;
                return Some(at);
            }
        }
        self.in_line |= chunk[at..].iter().any(|byte| !byte.is_ascii_whitespace());
        None
    }

    /// Scans on through a chunk that belongs to a line and does not end it: what `next_end` does, but
    /// cheaper. Returns false, and has done nothing, if it is another chunk.
    #[inline]
    pub(crate) fn go_on(&mut self, chunk: &[u8]) -> bool {
        let begun = self.in_line || chunk.first().is_some_and(|byte| !byte.is_ascii_whitespace());
        let goes_on = begun && memchr::memchr(b'\n', chunk).is_none();
        self.in_line |= goes_on;
        goes_on
    }

    /// Whether bytes of an unfinished line have been scanned.
    #[must_use]
    pub fn in_line(&self) -> bool {
        self.in_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_gives_the_same_lines() {
        let stream = b"\n{\"a\":1}\r\n\n \n{\"b\":2}\n{\"c\"";
        let lines = |chunks: &[&[u8]]| {
            let (mut scanner, mut lines, mut line) = (Lines::new(), Vec::new(), Vec::new());
            for chunk in chunks {
                let mut at = 0;
                while let Some(end) = scanner.next_end(&chunk[at..]) {
                    line.extend_from_slice(&chunk[at..at + end]);
                    lines.push(std::mem::take(&mut line).trim_ascii().to_vec());
                    at += end;
                }
                line.extend_from_slice(&chunk[at..]);
            }
            (lines, scanner.in_line())
        };
        let expected = (vec![b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], true);
        for at in 0..=stream.len() {
            assert_eq!(lines(&[&stream[..at], &stream[at..]]), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&bytes), expected);
    }

    #[test]
    fn a_chunk_that_goes_on_is_scanned_as_any_other() {
        for before in ["", "{", "{}\n", " "] {
            for chunk in ["", "a", " a", " ", "\n", "a\n"] {
                let mut scanned = Lines::new();
                _ = scanned.next_end(before.as_bytes());
                let mut gone_on = scanned.clone();
                let goes_on = gone_on.go_on(chunk.as_bytes());
                if goes_on {
                    assert_eq!(scanned.next_end(chunk.as_bytes()), None, "{before:?} {chunk:?}");
                }
                assert_eq!(gone_on.in_line, scanned.in_line, "{before:?} {chunk:?}");
                assert!(goes_on || chunk != "a", "{before:?}");
            }
        }
    }
}

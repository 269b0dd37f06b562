//! Text with its escapes undone, and where each byte of it came from.

use std::ops::Range;

/// `\n`, `\u0022` and `%3D` as what they stand for.
pub(super) struct Unescaped {
    text: String,
    /// For each byte of the text, and for its end, where that begins in the original.
    origins: Vec<usize>,
}

impl Unescaped {
    /// `None` if nothing is escaped.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (plain, starts) = undo(text)?;
        Some(Self { text: plain, origins: starts })
    }

    /// Undoes the escapes that are left.
    pub(super) fn again(&self) -> Option<Self> {
        let (text, starts) = undo(&self.text)?;
        let origins = starts.into_iter().map(|start| self.origins[start]).collect();
        Some(Self { text, origins })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The place in the original of a place in this text.
    pub(super) fn origin(&self, span: Range<usize>) -> Range<usize> {
        self.origins[span.start]..self.origins[span.end]
    }
}

fn undo(text: &str) -> Option<(String, Vec<usize>)> {
    memchr::memchr2(b'\\', b'%', text.as_bytes())?;
    let mut out = String::with_capacity(text.len());
    let mut starts = Vec::with_capacity(text.len() + 1);
    let mut at = 0;
    let mut changed = false;
    while let Some(next) = text[at..].chars().next() {
        let len = escape_len(&text.as_bytes()[at..]);
        let (c, len) = match len {
            0 => (next, next.len_utf8()),
            _ => (meaning(&text[at..at + len]), len),
        };
        changed |= len > next.len_utf8();
        out.push(c);
        starts.resize(out.len(), at);
        at += len;
    }
    starts.push(at);
    changed.then_some((out, starts))
}

/// What an escape stands for; a blank if that is no character of ASCII, which secrets are made of.
fn meaning(escape: &str) -> char {
    let hex = |digits: &str| u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii);
    let byte = match escape.as_bytes() {
        [b'\\', b'u', ..] => escape.strip_prefix("\\u00").and_then(hex),
        [b'%', ..] => hex(&escape[1..]),
        [_, b'n' | b'r' | b't'] => None,
        [_, literal] => Some(*literal),
        _ => None,
    };
    byte.map_or(' ', char::from)
}

/// The length of an escape at the start: `\n`, `\u0022`, `%3D`.
pub(super) fn escape_len(bytes: &[u8]) -> usize {
    let hex = |range: Range<usize>| {
        bytes.get(range).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match bytes {
        [b'\\', b'u', ..] if hex(2..6) => 6,
        [b'\\', b'n' | b'r' | b't' | b'"' | b'\'' | b'\\' | b'/', ..] => 2,
        [b'%', ..] if hex(1..3) => 3,
        _ => 0,
    }
}

pub(super) fn ends_with_escape(bytes: &[u8]) -> bool {
    [2, 3, 6].into_iter().any(|len| {
        let tail = &bytes[bytes.len().saturating_sub(len)..];
        tail.len() == len && escape_len(tail) == len
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_level_by_level_and_found_again() {
        let original = r"a\u002Fb%252Fc é\\nd";
        let once = Unescaped::of(original).unwrap();
        assert_eq!(once.text(), r"a/b%2Fc é\nd");
        let twice = once.again().unwrap();
        assert_eq!(twice.text(), "a/b/c é d");
        assert!(twice.again().is_none());
        let slash = twice.text().find("/c").unwrap();
        assert_eq!(&original[twice.origin(slash..slash + 2)], "%252Fc");
        assert!(Unescaped::of("100 % of it").is_none());
    }
}

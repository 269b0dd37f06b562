//! One top-level member of a JSON text that arrives in pieces, found without keeping the text.
//!
//! A request's `model` is usually one of its first members, but may stand behind ten megabytes of
//! image. [`FindString`] looks at each byte once and remembers only the key or value it is in, so
//! a body can be searched while it is streamed on.
//!
//! Rules:
//!
//! 1. Only top-level members of an object count; nested ones and text in strings do not.
//! 2. Of duplicate keys the first counts. The upstream may take the last: a name found here is a
//!    routing hint, not an authorisation.
//! 3. A key may be written with escapes. A value that is no string, or longer than the limit, ends
//!    the search without a result.
//! 4. Text that is no JSON object ends the search; nothing fails.
//!
//! # Example: a model behind an image
//!
//! ```
//! use tower_inference::framing::json_keys::{FindString, Found};
//!
//! let mut find = FindString::new("model", 512);
//! assert_eq!(find.push(br#"{"image": "iVBORw0K{\"model\": \"no\"}", "mod"#), None);
//! assert_eq!(find.push(br#"el": "llama-3", "n": 1}"#), Some(Found::Value("llama-3".into())));
//! ```

use super::{
    json::{is_escaped_key, unescape},
    json_scan::{is_escaped, leave, quoted},
};
use std::{borrow::Cow, mem};

/// A search for one top-level member with a string value; see the [module docs](self).
#[derive(Clone, Debug)]
pub struct FindString {
    key: &'static str,
    limit: usize,
    state: State,
    /// What earlier chunks held of the string being read, without its quote, when it is a key or the
    /// value we look for.
    begun: Vec<u8>,
}

/// How a search ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// The member is there and is this string; borrowed where one chunk held it as it is.
    Value(Cow<'a, str>),
    /// There is no such member, it is no string, it is too long, or the text is no JSON object.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the opening brace; the number of bytes of a byte order mark seen.
    Start(usize),
    /// Before a key, the closing brace, or a comma.
    BeforeKey,
    Key(Escape),
    /// Between a key and its colon; whether it is the key we look for.
    Colon(bool),
    BeforeValue(bool),
    Value(Escape),
    SkipString(Escape),
    /// Inside of so many nested brackets.
    Nest(isize),
    NestString(isize, Escape),
    Scalar,
    Done,
}

/// Inside a string: whether the next byte is escaped.
type Escape = bool;

const MARK: &[u8] = b"\xef\xbb\xbf";

impl FindString {
    /// A search for the first top-level member `key`, which has no backslash. Its value is found if it
    /// has at most `limit` bytes, as it is written with its quotes.
    #[must_use]
    pub const fn new(key: &'static str, limit: usize) -> Self {
        Self { key, limit, state: State::Start(0), begun: Vec::new() }
    }

    /// Searches on through `chunk`, which follows all bytes seen so far. `None`: not found yet.
    pub fn push<'a>(&mut self, chunk: &'a [u8]) -> Option<Found<'a>> {
        let (mut at, mut state) = (0, self.state);
        while let Some(&byte) = chunk.get(at) {
            // Strings and brackets read this byte themselves.
            let begin = at;
            at += 1;
            state = match state {
                State::Start(_) if byte == b'{' => State::BeforeKey,
                State::Start(n) if MARK.get(n) == Some(&byte) => State::Start(n + 1),
                State::Start(0 | 3) if byte.is_ascii_whitespace() => State::Start(3),
                State::BeforeKey if byte == b'"' => State::Key(false),
                State::BeforeKey if byte == b',' || byte.is_ascii_whitespace() => State::BeforeKey,
                State::Key(escape) => match self.string(chunk, begin, escape) {
                    Ok((key, end)) => {
                        at = end;
                        State::Colon(self.is_key(&key))
                    }
                    Err(escape) => return self.pause(State::Key(escape)),
                },
                State::Colon(wanted) if byte == b':' => State::BeforeValue(wanted),
                State::Colon(wanted) if byte.is_ascii_whitespace() => State::Colon(wanted),
                State::BeforeValue(true) if byte == b'"' => State::Value(false),
                State::BeforeValue(wanted) if byte.is_ascii_whitespace() => {
                    State::BeforeValue(wanted)
                }
                State::BeforeValue(false) => match byte {
                    b'"' => State::SkipString(false),
                    b'{' | b'[' => State::Nest(1),
                    _ => State::Scalar,
                },
                State::Value(escape) => {
                    let read = self.string(chunk, begin, escape);
                    return self.value(read);
                }
                State::SkipString(escape) => match skip(chunk, begin, escape) {
                    Ok(end) => {
                        at = end;
                        State::BeforeKey
                    }
                    Err(escape) => return self.pause(State::SkipString(escape)),
                },
                State::NestString(depth, escape) => match skip(chunk, begin, escape) {
                    Ok(end) => {
                        at = end;
                        State::Nest(depth)
                    }
                    Err(escape) => return self.pause(State::NestString(depth, escape)),
                },
                State::Nest(mut depth) => match leave(chunk, begin, &mut depth) {
                    Ok(end) => {
                        at = end;
                        State::BeforeKey
                    }
                    Err(string) => {
                        let inside = chunk.get(string + 1..);
                        return self.pause(inside.map_or(State::Nest(depth), |inside| {
                            State::NestString(depth, is_escaped(inside))
                        }));
                    }
                },
                State::Scalar if byte == b',' => State::BeforeKey,
                State::Scalar if byte != b'}' => State::Scalar,
                _ => return self.end(Found::Nothing),
            };
        }
        self.pause(state)
    }

    fn is_key(&self, written: &[u8]) -> bool {
        written == self.key.as_bytes() || is_escaped_key(written, self.key)
    }

    /// What stands between the quotes of the string that `at` is inside of, and where it ends. `Err` if
    /// the chunk ends before, with as much kept as can matter.
    #[inline(always)]
    fn string<'a>(
        &mut self,
        chunk: &'a [u8],
        at: usize,
        escape: Escape,
    ) -> Result<(Cow<'a, [u8]>, usize), Escape> {
        let end = skip(chunk, at, escape);
        let piece = &chunk[at..end.map_or(chunk.len(), |end| end - 1)];
        if let (Ok(end), true) = (end, self.begun.is_empty()) {
            return Ok((Cow::Borrowed(piece), end));
        }
        // One byte more than a value may have, or the key with each of its characters escaped.
        let most = self.limit.max(6 * self.key.len()).saturating_add(1);
        let room = most.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&piece[..piece.len().min(room)]);
        end.map(|end| (Cow::Owned(mem::take(&mut self.begun)), end))
    }

    /// The value we look for, if it ends in this chunk.
    fn value<'a>(&mut self, read: Result<(Cow<'a, [u8]>, usize), Escape>) -> Option<Found<'a>> {
        let length = read.as_ref().map_or(self.begun.len(), |(value, _)| value.len());
        if length + 2 > self.limit {
            return self.end(Found::Nothing);
        }
        match read {
            Ok((Cow::Borrowed(value), _)) => self.end(Found::Value(unescape(value))),
            Ok((Cow::Owned(value), _)) => {
                self.end(Found::Value(Cow::Owned(unescape(&value).into_owned())))
            }
            Err(escape) => self.pause(State::Value(escape)),
        }
    }

    /// The chunk has ended.
    fn pause<'a>(&mut self, state: State) -> Option<Found<'a>> {
        self.state = state;
        None
    }

    fn end<'a>(&mut self, found: Found<'a>) -> Option<Found<'a>> {
        self.state = State::Done;
        Some(found)
    }
}

/// Where the string ends that `at` is inside of. `Err` if the chunk ends before.
#[inline(always)]
fn skip(chunk: &[u8], at: usize, escape: Escape) -> Result<usize, Escape> {
    let at = at + usize::from(escape);
    let inside = &chunk[at..];
    quoted(inside).map(|length| at + length).ok_or_else(|| is_escaped(inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find<'a>(chunks: &[&'a [u8]]) -> Option<Found<'a>> {
        let mut search = FindString::new("model", 64);
        chunks.iter().find_map(|chunk| search.push(chunk))
    }

    fn value(text: &str) -> Option<Found<'_>> {
        Some(Found::Value(text.into()))
    }

    #[test]
    fn the_member_is_found_wherever_it_stands() {
        let table = [
            (r#"{"model":"a"}"#, value("a")),
            (" \n{ \"n\" : 1 , \"model\" : \"a\" ", value("a")),
            ("\u{feff}{\"model\":\"a\"", value("a")),
            (
                r#"{"x":{"model":"no"},"y":["model","no"],"z":"\"model\":\"no\"","model":"a""#,
                value("a"),
            ),
            (r#"{"mo\u0064el":"a\u00e9\n""#, value("aé\n")),
            (r#"{"model":"first","model":"second"}"#, value("first")),
            (r#"{"model":""}"#, value("")),
            (r#"{"n":-1.5e3,"b":true,"z":null,"model":"a"}"#, value("a")),
            (r#"{"model":null}"#, Some(Found::Nothing)),
            (r#"{"n":1}"#, Some(Found::Nothing)),
            (r#"{}"#, Some(Found::Nothing)),
            (r#"["model"]"#, Some(Found::Nothing)),
            ("model=a", Some(Found::Nothing)),
            (r#"{"model" "a"}"#, Some(Found::Nothing)),
            (r#"{"model":"a"#, None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(find(&[text.as_bytes()]), expected, "{text}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(find(&bytes), expected, "{text} byte by byte");
        }
    }

    #[test]
    fn a_value_beyond_the_limit_is_not_kept() {
        let long = format!("{{\"model\":\"{}\"}}", "x".repeat(1 << 20));
        let mut search = FindString::new("model", 64);
        assert_eq!(search.push(long.as_bytes()), Some(Found::Nothing));
        assert!(search.begun.len() <= 65);
    }

    #[test]
    fn the_limit_counts_the_quotes_and_only_the_value() {
        for (limit, expected) in [
            (usize::MAX, value("abc")),
            (5, value("abc")),
            (4, Some(Found::Nothing)),
            (0, Some(Found::Nothing)),
        ] {
            for step in 1..16 {
                let mut search = FindString::new("model", limit);
                let text = br#"{"longer":1,"model":"abc""#;
                assert_eq!(
                    text.chunks(step).find_map(|chunk| search.push(chunk)),
                    expected,
                    "{limit} {step}"
                );
            }
        }
    }

    #[test]
    fn a_long_key_is_not_kept() {
        let long = format!("{{\"{}\":1,\"model\":\"a\"}}", "x".repeat(1 << 20));
        let mut search = FindString::new("model", 64);
        assert_eq!(search.push(long.as_bytes()), value("a"));
        assert!(search.begun.capacity() <= 256);
    }

    proptest! {
        #[test]
        fn agrees_with_the_whole_text_under_any_chunking(
            keys in prop::collection::vec("[a-z\"\\\\{}\\[\\]:,é]{0,5}", 0..4),
            model in ".{0,8}",
            at in any::<prop::sample::Index>(),
            step in 1_usize..9,
        ) {
            let mut members: Vec<String> =
                keys.iter().map(|k| format!("{}:{}", serde_json::json!(k), serde_json::json!([k, {k: k}, 1]))).collect();
            let place = at.index(members.len() + 1);
            members.insert(place, format!("\"model\":{}", serde_json::json!(model)));
            let text = format!("{{{}}}", members.join(","));
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(step).collect();
            prop_assert_eq!(find(&chunks), value(&model));
        }

        #[test]
        fn never_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let _ = find(&chunks);
        }
    }
}

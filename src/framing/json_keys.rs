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

use crate::framing::json::Json;
use memchr::memchr2;

/// A search for one top-level member with a string value; see the [module docs](self).
#[derive(Clone, Debug)]
pub struct FindString {
    key: &'static str,
    limit: usize,
    state: State,
    /// The string being read, with its quotes, when it is a key or the value we look for.
    string: Vec<u8>,
}

/// How a search ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// The member is there and is this string.
    Value(String),
    /// There is no such member, it is no string, it is too long, or the text is no JSON object.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the opening brace; the number of bytes of a byte order mark seen.
    Start(usize),
    /// Before a key, the closing brace, or a comma.
    BeforeKey,
    Key(Quoted),
    /// Between a key and its colon; whether it is the key we look for.
    Colon(bool),
    BeforeValue(bool),
    Value(Quoted),
    SkipString(Quoted),
    /// Inside of nested brackets.
    Nest(usize),
    NestString(usize, Quoted),
    Scalar,
    Done,
}

/// Inside a string: whether the last byte was a backslash that escapes the next one.
#[derive(Clone, Copy, Debug)]
struct Quoted {
    escaped: bool,
}

const OPEN: Quoted = Quoted { escaped: false };
const MARK: &[u8] = b"\xef\xbb\xbf";

impl FindString {
    /// A search for the first top-level member `key` whose value, as written, has at most `limit`
    /// bytes.
    #[must_use]
    pub const fn new(key: &'static str, limit: usize) -> Self {
        Self { key, limit, state: State::Start(0), string: Vec::new() }
    }

    /// Searches on through `chunk`, which follows all bytes seen so far. `None`: not found yet.
    pub fn push(&mut self, chunk: &[u8]) -> Option<Found> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            at += 1;
            self.state = match self.state {
                State::Start(n) if MARK.get(n) == Some(&byte) => State::Start(n + 1),
                State::Start(_) if byte == b'{' => State::BeforeKey,
                State::Start(0 | 3) if byte.is_ascii_whitespace() => State::Start(3),
                State::BeforeKey if byte == b'"' => {
                    self.string.clear();
                    self.string.push(byte);
                    State::Key(OPEN)
                }
                State::BeforeKey if byte == b',' || byte.is_ascii_whitespace() => State::BeforeKey,
                State::Start(_) | State::BeforeKey | State::Done => {
                    return self.end(Found::Nothing);
                }
                State::Key(quoted) => match self.keep(chunk, &mut at, quoted) {
                    Some(quoted) => State::Key(quoted),
                    None => State::Colon(self.is_key()),
                },
                State::Colon(wanted) if byte == b':' => State::BeforeValue(wanted),
                State::Colon(wanted) if byte.is_ascii_whitespace() => State::Colon(wanted),
                State::BeforeValue(wanted) if byte.is_ascii_whitespace() => {
                    State::BeforeValue(wanted)
                }
                State::BeforeValue(true) if byte == b'"' => {
                    self.string.clear();
                    self.string.push(byte);
                    State::Value(OPEN)
                }
                State::Colon(_) | State::BeforeValue(true) => return self.end(Found::Nothing),
                State::BeforeValue(false) => match byte {
                    b'"' => State::SkipString(OPEN),
                    b'{' | b'[' => State::Nest(1),
                    _ => State::Scalar,
                },
                State::Value(quoted) => match self.keep(chunk, &mut at, quoted) {
                    _ if self.string.len() > self.limit => return self.end(Found::Nothing),
                    Some(quoted) => State::Value(quoted),
                    None => {
                        let value = Json::of(&self.string).string().map(String::from);
                        return self.end(value.map_or(Found::Nothing, Found::Value));
                    }
                },
                State::SkipString(quoted) => match skip(chunk, &mut at, quoted) {
                    Some(quoted) => State::SkipString(quoted),
                    None => State::BeforeKey,
                },
                State::NestString(depth, quoted) => match skip(chunk, &mut at, quoted) {
                    Some(quoted) => State::NestString(depth, quoted),
                    None => State::Nest(depth),
                },
                State::Nest(depth) => match byte {
                    b'"' => State::NestString(depth, OPEN),
                    b'{' | b'[' => State::Nest(depth + 1),
                    b'}' | b']' if depth == 1 => State::BeforeKey,
                    b'}' | b']' => State::Nest(depth - 1),
                    _ => State::Nest(depth),
                },
                State::Scalar => match byte {
                    b',' => State::BeforeKey,
                    b'}' => return self.end(Found::Nothing),
                    _ => State::Scalar,
                },
            };
        }
        None
    }

    /// Takes the byte before `at`, and those after it that belong to the same string, into
    /// `self.string`, as far as the limit needs. `None` when the string has ended.
    fn keep(&mut self, chunk: &[u8], at: &mut usize, quoted: Quoted) -> Option<Quoted> {
        let start = *at - 1;
        let quoted = skip(chunk, at, quoted);
        let room = (self.limit + 1).saturating_sub(self.string.len());
        self.string.extend(chunk[start..*at].iter().take(room));
        quoted
    }

    fn is_key(&self) -> bool {
        let plain = self.string.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        plain == Some(self.key.as_bytes())
            || (self.string.contains(&b'\\')
                && Json::of(&self.string).string().is_some_and(|key| key == self.key))
    }

    fn end(&mut self, found: Found) -> Option<Found> {
        self.state = State::Done;
        Some(found)
    }
}

/// Moves `at` through the string that the byte before `at` is inside of, to the end of the string or
/// of the chunk. `None` when the string has ended.
fn skip(chunk: &[u8], at: &mut usize, mut quoted: Quoted) -> Option<Quoted> {
    *at -= 1;
    if quoted.escaped {
        *at += 1;
        quoted.escaped = false;
    }
    while let Some(found) = chunk.get(*at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        *at += found + 1;
        if chunk[*at - 1] == b'"' {
            return None;
        }
        if *at == chunk.len() {
            return Some(Quoted { escaped: true });
        }
        *at += 1;
    }
    *at = chunk.len();
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(chunks: &[&[u8]]) -> Option<Found> {
        let mut search = FindString::new("model", 64);
        chunks.iter().find_map(|chunk| search.push(chunk))
    }

    fn value(text: &str) -> Option<Found> {
        Some(Found::Value(text.to_owned()))
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
        assert!(search.string.len() <= 65);
    }

    #[test]
    fn a_long_key_is_not_kept() {
        let long = format!("{{\"{}\":1,\"model\":\"a\"}}", "x".repeat(1 << 20));
        let mut search = FindString::new("model", 64);
        assert_eq!(search.push(long.as_bytes()), value("a"));
        assert!(search.string.capacity() <= 256);
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
                keys.iter().map(|k| format!("{}:[{}]", serde_json::json!(k), serde_json::json!(k))).collect();
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

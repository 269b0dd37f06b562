//! A JSON text read in place: no tree, no recursion, no failure.
//!
//! An error body is read for a handful of members, and must be read even where a strict parser
//! gives up: cut off at a size limit, with a lone surrogate, a number beyond `f64`, a duplicate
//! key, bytes that are not UTF-8, or a hundred thousand brackets. `serde_json::Value` refuses all of
//! these, and then the status is all that is left.
//!
//! Rules:
//!
//! 1. A [`Json`] is a slice of the text; asking for a member skips over the ones before it.
//! 2. Of duplicate keys the first counts.
//! 3. What is not there, or not of the kind asked for, is [`Json::MISSING`]; asking it for more is
//!    fine.
//! 4. A text that ends too early ends its open strings, arrays and objects.
//! 5. Nothing recurses, so depth costs no stack.
//!
//! # Example: reading what is there
//!
//! ```
//! use tower_inference::framing::json::Json;
//!
//! let body = Json::of(br#"{"error": {"message": "no \ud800 surrogate", "code": 1e999"#);
//! let error = body.get("error");
//! assert_eq!(error.get("message").string().as_deref(), Some("no \u{fffd} surrogate"));
//! assert_eq!(error.get("code").text().as_deref(), Some("1e999"));
//! assert!(error.get("param").is_missing());
//! ```

use super::{
    json_index::{self, Node},
    json_scan::{blanks, closed, has_escape, string_end, value_end},
};
use memchr::memchr;
use std::{borrow::Cow, fmt};

/// A value of a JSON text, as the slice it was written in.
#[derive(Clone, Copy)]
pub struct Json<'a> {
    text: &'a [u8],
    /// Where its members are, if somebody has [looked](json_index) already.
    nodes: &'a [Node<'a>],
}

impl<'a> Json<'a> {
    /// What is not there.
    pub const MISSING: Json<'static> = Json { text: b"", nodes: &[] };

    /// The first value of a text; a byte order mark and blanks before it are skipped.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let start = blanks(text, 0);
        Self::plain(&text[start..value_end(text, start)])
    }

    /// The same for whoever asks an object for its members: its end is not looked for.
    pub(crate) fn begun(text: &'a [u8]) -> Self {
        let object = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let start = blanks(object, 0);
        match object.get(start) {
            Some(b'{') => Self::plain(&object[start..]),
            _ => Self::of(text),
        }
    }

    /// A value whose members nobody has looked for.
    fn plain(text: &'a [u8]) -> Self {
        Self { text, nodes: &[] }
    }

    /// A value whose members are known.
    pub(super) fn indexed(text: &'a [u8], nodes: &'a [Node<'a>]) -> Self {
        Self { text, nodes }
    }

    /// The bytes of this value; empty if it is missing.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.text
    }

    /// Whether there is nothing here.
    #[must_use]
    pub fn is_missing(self) -> bool {
        self.text.is_empty()
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.text.first() == Some(&b'{')
    }

    /// Whether this is an array.
    #[must_use]
    pub fn is_array(self) -> bool {
        self.text.first() == Some(&b'[')
    }

    /// Whether this is there and says something: not `null`, `false`, `0`, `""`, `{}` or `[]`.
    ///
    /// `"error": null` and `"error": {}` are how healthy answers say that there was no error.
    #[must_use]
    pub fn is_truthy(self) -> bool {
        match self.text.first() {
            None | Some(b'n' | b'f') => false,
            Some(b'"') => self.text != b"\"\"",
            Some(b'{') => self.members().next().is_some(),
            Some(b'[') => self.items().next().is_some(),
            Some(_) => self.text != b"0",
        }
    }

    /// The first member of this name, or [`MISSING`](Self::MISSING).
    #[must_use]
    #[inline(always)]
    pub fn get(self, key: &str) -> Json<'a> {
        match self.nodes.split_first() {
            Some((object, members)) => json_index::get(object, members, key),
            None if self.is_missing() => Json::MISSING,
            None => self.members().get(key),
        }
    }

    /// The members of an object, in the order of the text; none if this is no object.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members(Rest::inside(self, b'{'))
    }

    /// The values of an array; none if this is no array.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        Items(Rest::inside(self, b'['))
    }

    /// The text of a string, escapes undone; whatever is no character becomes U+FFFD.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.text.strip_prefix(b"\"")?;
        Some(unescape(inner.strip_suffix(b"\"").unwrap_or(inner)))
    }

    /// Whether this is a string of this text.
    pub(crate) fn is_string(self, text: &str) -> bool {
        let inner = self.text.strip_prefix(b"\"");
        inner.is_some_and(|inner| is_key(inner.strip_suffix(b"\"").unwrap_or(inner), text))
    }

    /// The text of a string, or a number as it was written.
    ///
    /// Providers write `"code": 429` and `"code": "429"` for the same thing.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.text.first()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => Some(String::from_utf8_lossy(self.text)),
            _ => None,
        }
    }

    /// A whole number without sign.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        std::str::from_utf8(self.text).ok()?.parse().ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        match self.text {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }
}

impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Json<'_> {}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Json").field(&self.text).finish()
    }
}

/// Iterator over the members of an object; see [`Json::members`].
#[derive(Clone, Debug)]
pub struct Members<'a>(Rest<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_raw().map(|(key, value)| (unescape(key), value))
    }
}

impl<'a> Members<'a> {
    /// The members behind a byte of an object.
    pub(super) fn after(object: &'a [u8], at: usize) -> Self {
        Self(Rest { text: object, at })
    }

    /// The first member of this name that is still to come.
    #[inline(never)]
    pub(super) fn get(mut self, key: &str) -> Json<'a> {
        while let Some((name, value)) = self.next_raw() {
            if is_key(name, key) {
                return value;
            }
        }
        Json::MISSING
    }

    /// The next member, its key as it is written between the quotes.
    fn next_raw(&mut self) -> Option<(&'a [u8], Json<'a>)> {
        let key = self.0.key()?;
        Some((key, self.0.value().unwrap_or(Json::MISSING)))
    }
}

/// Iterator over the values of an array; see [`Json::items`].
#[derive(Clone, Debug)]
pub struct Items<'a>(Rest<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.value()
    }
}

/// What is left of the inside of an object or array. Whoever goes into what is inside of that, and out
/// again, looks at each byte once.
#[derive(Clone, Debug)]
pub(crate) struct Rest<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Rest<'a> {
    /// Nothing is left of what does not begin with this bracket.
    pub(crate) fn inside(json: Json<'a>, bracket: u8) -> Self {
        let text = if json.text.first() == Some(&bracket) { &json.text[1..] } else { &[] };
        Self { text, at: 0 }
    }

    /// Goes into the next value, if it begins with this bracket.
    pub(crate) fn enter(&mut self, bracket: u8) -> bool {
        let start = self.start();
        let enters = self.text.get(start) == Some(&bracket);
        if enters {
            self.at = start + 1;
        }
        enters
    }

    /// Goes to behind the end of what was entered.
    pub(crate) fn leave(&mut self) {
        self.at = closed(self.text, self.at);
    }

    /// Where the next value starts, commas before it skipped.
    pub(super) fn start(&self) -> usize {
        let mut start = self.at;
        while let Some(b',' | b' ' | b'\t' | b'\n' | b'\r') = self.text.get(start) {
            start += 1;
        }
        start
    }

    /// The next value; `None` at the closing bracket or a stray byte.
    pub(crate) fn value(&mut self) -> Option<Json<'a>> {
        let start = self.start();
        let end = value_end(self.text, start);
        self.at = end;
        (end > start).then(|| Json::plain(&self.text[start..end]))
    }

    /// What stands between the quotes of the next key; `None`, and it stays where it is, if none
    /// follows.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        let start = self.start();
        self.text.get(start).filter(|byte| **byte == b'"')?;
        let end = string_end(self.text, start);
        let colon = blanks(self.text, end);
        self.text.get(colon).filter(|byte| **byte == b':')?;
        self.at = colon + 1;
        // A colon follows, so that the string has ended with its quote.
        Some(&self.text[start + 1..end - 1])
    }

    /// The same, its escapes undone.
    #[inline(always)]
    pub(crate) fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        let key = self.key()?;
        Some(if has_escape(key) {
            Cow::Owned(unescape(key).into_owned().into_bytes())
        } else {
            Cow::Borrowed(key)
        })
    }
}

/// Whether this is the key, which may be written with escapes.
fn is_key(written: &[u8], key: &str) -> bool {
    written == key.as_bytes() && !key.contains('\\') || is_escaped_key(written, key)
}

/// Whether this is the key, written with escapes.
pub(super) fn is_escaped_key(written: &[u8], key: &str) -> bool {
    // One character takes at most six bytes for each of its own.
    (key.len() + 1..=6 * key.len()).contains(&written.len())
        && has_escape(written)
        && unescape(written) == key
}

/// The text of a string between its quotes.
pub(super) fn unescape(inner: &[u8]) -> Cow<'_, str> {
    if !has_escape(inner) {
        return characters(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(backslash) = memchr(b'\\', rest) {
        out.push_str(&characters(&rest[..backslash]));
        rest = &rest[backslash + 1..];
        let Some((&escape, tail)) = rest.split_first() else { break };
        rest = tail;
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, used) = unicode_escape(rest);
                rest = &rest[used..];
                character
            }
            other if other.is_ascii() => char::from(other),
            _ => char::REPLACEMENT_CHARACTER,
        });
    }
    out.push_str(&characters(rest));
    Cow::Owned(out)
}

/// Text without escapes; it nearly always is UTF-8, which is cheaper to see than to replace.
fn characters(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The character of the hexadecimal digits after `\u`, and how many bytes say so; a surrogate takes
/// its other half along.
fn unicode_escape(rest: &[u8]) -> (char, usize) {
    let Some(high) = hex4(rest) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if (0xd800..0xdc00).contains(&high) && rest.get(4..6) == Some(b"\\u") {
        let low = hex4(&rest[6..]).filter(|low| (0xdc00..0xe000).contains(low));
        if let Some(low) = low {
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
        }
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits
        .get(..4)?
        .iter()
        .try_fold(0, |value, &digit| char::from(digit).to_digit(16).map(|digit| value << 4 | digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_found_wherever_they_stand() {
        let json = Json::of(br#" {"a":1 , "b" : {"c":[1,{"d":"}\""}]} ,"e":"x"}"#);
        assert_eq!(json.get("a").number(), Some(1));
        assert_eq!(json.get("b").get("c").items().count(), 2);
        let nested = json.get("b").get("c").items().nth(1).unwrap();
        assert_eq!(nested.get("d").string().as_deref(), Some("}\""));
        assert_eq!(json.get("e").string().as_deref(), Some("x"));
        assert!(json.get("c").is_missing());
    }

    // U2
    #[test]
    fn the_first_of_duplicate_keys_counts() {
        assert_eq!(Json::of(br#"{"error":1,"error":2}"#).get("error").number(), Some(1));
    }

    #[test]
    fn an_escaped_key_is_the_same_key() {
        assert_eq!(Json::of(br#"{"\u0065rror":1}"#).get("error").number(), Some(1));
    }

    #[test]
    fn escapes_are_undone() {
        let table = [
            (r#""a\n\t\"\\\/b""#, "a\n\t\"\\/b"),
            (r#""\u00e9\ud83d\ude00""#, "é😀"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\udc00""#, "\u{fffd}"),
            (r#""\u12""#, "\u{fffd}12"),
            (r#""cut\"#, "cut"),
            (r#""open"#, "open"),
        ];
        for (text, expected) in table {
            assert_eq!(Json::of(text.as_bytes()).string().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(Json::of(b"\"\xff\"").string().as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn values_that_say_nothing_are_not_truthy() {
        for text in ["", "null", "false", "0", "\"\"", "{}", "[]", "{ }", "[ ]"] {
            assert!(!Json::of(text.as_bytes()).is_truthy(), "{text}");
        }
        for text in ["true", "1", "\"x\"", "{\"a\":1}", "[0]"] {
            assert!(Json::of(text.as_bytes()).is_truthy(), "{text}");
        }
    }

    // U1
    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(Json::of(deep.as_bytes()).raw().len(), 1_000_000);
        let body = format!("{{\"a\":{deep}");
        assert!(Json::of(body.as_bytes()).get("b").is_missing());
    }

    #[test]
    fn garbage_has_no_members() {
        for text in ["", "<html>", "{", "{]", "{\"a\"", "{\"a\":", "{a:1}", "nul", "\u{0}"] {
            let json = Json::of(text.as_bytes());
            assert!(json.get("a").is_missing(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_valid_text(keys in prop::collection::vec(".{0,6}", 0..5), text in ".{0,20}") {
            let mut object = serde_json::Map::new();
            for key in &keys {
                object.insert(key.clone(), serde_json::json!([text, { "n": 1 }]));
            }
            let written = serde_json::to_vec(&object).unwrap();
            let json = Json::of(&written);
            prop_assert_eq!(json.members().count(), object.len());
            for key in &keys {
                let first = json.get(key).items().next().unwrap();
                prop_assert_eq!(first.string().unwrap(), text.as_str());
            }
        }

        #[test]
        fn never_panics_and_stays_inside(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let json = Json::of(&bytes);
            prop_assert!(json.raw().len() <= bytes.len());
            for (_, value) in json.members() {
                let _ = (value.string(), value.number(), value.is_truthy());
            }
        }
    }
}

//! Where the members of a JSON object are, found in one pass for those who ask for many of them.
//!
//! [`Json::get`] skips over all members before the one it is asked for. An error body is asked a
//! hundred times, mostly for what is not there, and may hold a traceback of 60 KB: so its members, and
//! those of the objects among them, are found once. A `Json` taken from an [`Index`] knows them.
//!
//! Rules:
//!
//! 1. An indexed value says what the same value says without its index.
//! 2. Every byte is looked at once, [four objects](DEPTH) deep; what is deeper, in an array, or behind
//!    [as many members](MOST) as anybody writes, is walked when it is asked for.

use super::{
    json::{Json, Members, Rest, is_escaped_key},
    json_scan::{blanks, closed, value_end},
};

/// How many objects inside of each other are indexed.
const DEPTH: usize = 4;

/// How many members are.
const MOST: usize = 128;

/// The bits of any key.
const ANY: u64 = u64::MAX;

/// The members of an object and of the objects in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index<'a>(Vec<Node<'a>>);

/// A member; those inside of it follow, then those behind it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    /// As it is written between the quotes.
    key: &'a [u8],
    /// The [bit] of the key.
    bit: u64,
    value: &'a [u8],
    /// How many nodes this is, with those inside.
    size: usize,
    /// The bits of the keys inside: most that is asked for is not there.
    keys: u64,
    /// Where in the value the members begin that are not indexed, if there are any.
    rest: Option<usize>,
}

impl<'a> Index<'a> {
    /// Of the first value of a text, or of the first in that array, if it is an object.
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut start = blanks(text, 0);
        if text.get(start) == Some(&b'[') {
            start = Rest { text, at: start + 1 }.start();
        }
        match text.get(start) {
            Some(b'{') => Self(nodes(&text[start..])),
            _ => Self::default(),
        }
    }

    /// The object; [`Json::MISSING`] if there is none.
    pub(crate) fn json(&self) -> Json<'_> {
        self.0.first().map_or(Json::MISSING, |object| Json::indexed(object.value, &self.0))
    }
}

/// The object at the begin of a text, and its members.
fn nodes(text: &[u8]) -> Vec<Node<'_>> {
    let mut nodes = Vec::with_capacity(12);
    nodes.push(Node::new(b"", text));
    // The objects that are open around the cursor.
    let (mut open, mut depth) = ([0; DEPTH], 1);
    let mut cursor = Rest { text, at: 1 };
    while depth > 0 {
        let object = open[depth - 1];
        let begin = cursor.at;
        match cursor.key() {
            Some(key) if nodes.len() < MOST => {
                let start = cursor.start();
                let mut member = Node::new(key, &text[start..]);
                nodes[object].keys |= member.bit;
                if text.get(start) == Some(&b'{') && depth < DEPTH {
                    open[depth] = nodes.len();
                    depth += 1;
                    cursor.at = start + 1;
                } else {
                    cursor.at = value_end(text, start);
                    member.end(&text[start..cursor.at]);
                }
                nodes.push(member);
            }
            more => {
                cursor.at = closed(text, begin);
                let size = nodes.len() - object;
                let object = &mut nodes[object];
                let start = text.len() - object.value.len();
                object.value = &text[start..cursor.at];
                object.size = size;
                if more.is_some() {
                    object.keys = ANY;
                    object.rest = Some(begin - start);
                }
                depth -= 1;
            }
        }
    }
    nodes
}

impl<'a> Node<'a> {
    fn new(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key, bit: bits(key), value, size: 1, keys: 0, rest: None }
    }

    fn is_called(&self, key: &str) -> bool {
        if self.bit == ANY { is_escaped_key(self.key, key) } else { self.key == key.as_bytes() }
    }

    /// This is the value, and its members are not indexed.
    fn end(&mut self, value: &'a [u8]) {
        self.value = value;
        if value.first() == Some(&b'{') {
            self.keys = ANY;
            self.rest = Some(1);
        }
    }
}

/// The first member of this name. With a key that is a literal its bit is a constant, and what is not
/// there costs next to nothing.
#[inline(always)]
pub(super) fn get<'a>(object: &'a Node<'a>, members: &'a [Node<'a>], key: &str) -> Json<'a> {
    let bit = bit(key.as_bytes());
    if object.keys & bit == 0 { Json::MISSING } else { find(object, members, key, bit) }
}

fn find<'a>(object: &'a Node<'a>, mut members: &'a [Node<'a>], key: &str, bit: u64) -> Json<'a> {
    while let Some(member) = members.first() {
        let (own, behind) = members.split_at(member.size);
        if member.bit & bit != 0 && member.is_called(key) {
            return Json::indexed(member.value, own);
        }
        members = behind;
    }
    object.rest.map_or(Json::MISSING, |at| Members::after(object.value, at).get(key))
}

/// The bit of a key as it is written: of any key, if it has escapes.
fn bits(written: &[u8]) -> u64 {
    if written.contains(&b'\\') { ANY } else { bit(written) }
}

/// One of 64 bits, which tells most keys apart.
#[inline(always)]
fn bit(key: &[u8]) -> u64 {
    let byte = |at: usize| key.get(at).map_or(0, |byte| usize::from(*byte));
    let sum = key.len() * 5 + byte(0) * 3 + byte(2);
    1 << (sum % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same without an index.
    fn walked(text: &[u8]) -> Json<'_> {
        let json = Json::of(text);
        let object = if json.is_array() { json.items().next() } else { Some(json) };
        object.filter(|json| json.is_object()).unwrap_or(Json::MISSING)
    }

    fn assert_same(indexed: Json<'_>, walked: Json<'_>, depth: usize) {
        assert_eq!(indexed, walked);
        for key in ["a", "b", "error", "\u{e9}", ""] {
            let (indexed, walked) = (indexed.get(key), walked.get(key));
            assert_eq!(indexed, walked, "{key}");
            if depth > 0 && !walked.is_missing() {
                assert_same(indexed, walked, depth - 1);
            }
        }
    }

    #[test]
    fn members_are_those_that_a_walk_finds() {
        let many = |n: usize| {
            format!(r#"{{"b":{{{}"a":1}},"error":{{"a":2}},"a":3}}"#, r#""x":0,"#.repeat(n))
        };
        let long = [100, 126, 127, 128, 200].map(many);
        let table = [
            "",
            "[]",
            "[1,{}]",
            "{",
            "{}",
            "[{\"a\":1}, {\"a\":2}]",
            "\u{feff} {\"a\":{\"b\":1}}",
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1,"a":2}"#,
            r#"{"\u00e9":{"\u0062":2}}"#,
            r#"{"a":{"b":{"a":{"b":{"a":{"b":1}}}}},"b":2}"#,
            r#"{"a":{"b":1 x,"c":"}"},"b":2}"#,
            r#"{"a":{"b":},"b":,,2}"#,
            r#"{"a":{b:1},"b":2}"#,
            r#"{"a":{"b":1],"b":2}"#,
            r#"{"a":{"b":"#,
            r#"{"a":{"b""#,
            r#"{"a":{"b":"x\""#,
        ];
        for text in table.into_iter().chain(long.iter().map(String::as_str)) {
            assert_same(Index::of(text.as_bytes()).json(), walked(text.as_bytes()), 6);
        }
    }

    // U1
    #[test]
    fn depth_and_breadth_cost_one_pass() {
        for text in ["[", "{", "{\"a\":", "{\"a\":[", "\"", "\\", "\"\\", "{\"a\":1,", "{\"\\"] {
            let text = format!("{{\"a\":{}", text.repeat(500_000));
            let index = Index::of(text.as_bytes());
            assert!(index.0.len() <= MOST);
            assert!(index.json().get("b").is_missing());
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_an_index_changes_nothing(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", "\"a\":", "\"b\":", "\"error\":", "\"\\u0061\":", "\"\":", ",",
                    "\"", "\\", "1", "null", "\"x\"", " ", ":", "\"a\":{", "\"b\":{", "\u{e9}",
                ]),
                0..40,
            ),
        ) {
            for open in ["{", "[{", ""] {
                let text = format!("{open}{}", pieces.concat());
                assert_same(Index::of(text.as_bytes()).json(), walked(text.as_bytes()), 6);
            }
        }
    }
}

//! The members of a JSON object, written one after the other.
//!
//! For the dialects that most refusals are written in: `serde_json` looks at each byte of a name for
//! something to escape, which costs more than all the rest of an answer.

use super::json;
use serde::Serialize;
use std::cell::Cell;

thread_local! {
    /// What the last body was written into.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The longest buffer that is kept, in bytes.
const LONGEST_KEPT: usize = 16 << 10;

/// What is written, in a vector of its length, which becomes `Bytes` as it is: one that is longer costs
/// them an allocation more.
pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // While it is taken, whoever writes inside of `write` has another.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    write(&mut buffer);
    let exact = buffer.as_slice().to_vec();
    if buffer.capacity() <= LONGEST_KEPT {
        buffer.clear();
        let _ = BUFFER.try_with(|it| it.set(buffer));
    }
    exact
}

/// Writes a member and a comma.
macro_rules! member {
    ($out:expr, $name:literal, $value:expr) => {
        $out.extend_from_slice(concat!("\"", $name, "\":").as_bytes());
        $crate::dialect::members::Member::write($value, $out);
        $out.push(b',');
    };
}
pub(super) use member;

/// Ends an object, in place of the last comma.
pub(super) fn close(out: &mut Vec<u8>) {
    out.pop();
    out.push(b'}');
}

/// The value of a member.
pub(super) trait Member {
    fn write(self, out: &mut Vec<u8>);
}

impl Member for &str {
    fn write(self, out: &mut Vec<u8>) {
        if is_plain(self.as_bytes()) {
            Word(self).write(out);
        } else {
            Json(self).write(out);
        }
    }
}

/// Whether all bytes are printable ASCII, and none needs an escape; eight are looked at at once.
fn is_plain(text: &[u8]) -> bool {
    const TOP: u64 = u64::from_ne_bytes([0x80; 8]);
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let plain = |b: u8| (b' '..0x80).contains(&b) & (b != b'"') & (b != b'\\');
    let mut others = 0;
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let eight = u64::from_ne_bytes(*eight);
        // The top bit of a difference is set below zero; of the byte itself, beyond ASCII.
        let control = eight.wrapping_sub(all(b' '));
        let quote = (eight ^ all(b'"')).wrapping_sub(all(1));
        let backslash = (eight ^ all(b'\\')).wrapping_sub(all(1));
        others |= (eight | control | quote | backslash) & TOP;
        rest = behind;
    }
    others == 0 && rest.iter().all(|b| plain(*b))
}

/// A word of ours, or one that has been looked at: nothing in it needs an escape.
pub(super) struct Word<'a>(pub(super) &'a str);

impl Member for Word<'_> {
    fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }
}

/// A text that may need an escape, or that is known not to.
pub(super) enum Text<'a> {
    Plain(&'a str),
    Any(&'a str),
}

impl Member for Text<'_> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => Word(text).write(out),
            Self::Any(text) => text.write(out),
        }
    }
}

impl Member for bool {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

impl Member for u64 {
    fn write(self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &self).expect("a number is valid JSON");
    }
}

/// `null` if there is none.
impl<T: Member> Member for Option<T> {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// Any other value.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> Member for Json<T> {
    fn write(self, out: &mut Vec<u8>) {
        out.extend(json(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(value: impl Member) -> String {
        String::from_utf8(written(|out| value.write(out))).unwrap()
    }

    #[test]
    fn what_is_written_has_its_length_and_nothing_of_others() {
        for len in [0, 1, 7, LONGEST_KEPT, LONGEST_KEPT + 1, 3] {
            let inner = vec![b'i'; len / 2];
            let text = written(|out| {
                out.resize(len, b'o');
                assert_eq!(written(|out| out.extend_from_slice(&inner)), inner);
            });
            assert_eq!((text.len(), text.capacity()), (len, len));
            assert!(text.iter().all(|b| *b == b'o'));
        }
    }

    #[test]
    fn an_object_has_its_members_in_order() {
        let mut out = b"{".to_vec();
        member!(&mut out, "a", "b\"c");
        member!(&mut out, "d", None::<bool>);
        member!(&mut out, "e", Some(true));
        member!(&mut out, "f", 7);
        member!(&mut out, "g", Json([8]));
        close(&mut out);
        assert_eq!(out, br#"{"a":"b\"c","d":null,"e":true,"f":7,"g":[8]}"#);
    }

    #[test]
    fn every_character_is_written_as_it_is_elsewhere() {
        for c in (0..0x3000).filter_map(char::from_u32).chain(['😀']) {
            let text = format!("a{c}b");
            assert_eq!(text_of(&*text).as_bytes(), json(&text), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_written_as_it_is_elsewhere(text in "\\PC{0,80}") {
            prop_assert_eq!(text_of(&*text).into_bytes(), json(&text));
        }
    }
}

//! Where the values of a JSON text end.
//!
//! Rules: a text that ends too early ends its open values, nothing recurses, and every byte is looked at
//! a fixed number of times.

use memchr::memchr;

/// Where the blanks end that start at `at`.
pub(super) fn blanks(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Where the value that starts at `start` ends: `start` itself if no value starts there.
pub(super) fn value_end(text: &[u8], start: usize) -> usize {
    match text.get(start) {
        Some(b'"') => string_end(text, start),
        Some(b'{' | b'[') => closed(text, start + 1),
        Some(_) => {
            let scalar = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
            start + text[start..].iter().take_while(|b| scalar(b)).count()
        }
        None => start,
    }
}

/// The position after the closing quote of the string that starts at `start`.
///
/// Most strings are short, or full of quotes, and end before `memchr` has got going: what is near is
/// looked at eight bytes at a time.
pub(super) fn string_end(text: &[u8], start: usize) -> usize {
    const NEAR: usize = 1024;
    // The opening quote ends the backslashes at the latest.
    let escapes = |quote: usize| text[..quote].iter().rev().take_while(|b| **b == b'\\').count();
    let is_end = |quote: usize| match text[..quote] {
        [.., b'\\', b'\\'] => escapes(quote) % 2 == 0,
        [.., b'\\'] => false,
        _ => true,
    };
    let mut at = start + 1;
    loop {
        let end = text.len().min(at + NEAR);
        let mut near = &text[at..end];
        while let Some((eight, behind)) = near.split_first_chunk() {
            let mut quotes = quotes(*eight);
            while quotes != 0 {
                let quote = end - near.len() + quotes.trailing_zeros() as usize / 8;
                if is_end(quote) {
                    return quote + 1;
                }
                quotes &= quotes - 1;
            }
            near = behind;
        }
        at = end - near.len();
        let Some(quote) = memchr(b'"', &text[at..]) else { return text.len() };
        at += quote + 1;
        if is_end(at - 1) {
            return at;
        }
    }
}

/// The top bits of the bytes that are quotes, the first byte being the lowest.
fn quotes(eight: [u8; 8]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    let differs = u64::from_le_bytes(eight) ^ u64::from_ne_bytes([b'"'; 8]);
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// The position after the bracket that closes the one whose inside `at` is in. Kinds of brackets are
/// not told apart: a text that mixes them is broken anyway, and still has an end.
pub(super) fn closed(text: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_end_with_the_first_quote_that_is_not_escaped(
            pieces in prop::collection::vec(prop::sample::select(vec!["\"", "\\", "#", "!", "]", "aaaaaa", "\u{fffd}", "\\\""]), 0..60),
            far in 0..2_usize,
        ) {
            let text = format!("\"{}{}", "x".repeat(far * 1020), pieces.concat());
            let mut at = 1;
            let end = loop {
                match text.as_bytes().get(at) {
                    None => break text.len(),
                    Some(b'"') => break at + 1,
                    Some(b'\\') => at += 2,
                    Some(_) => at += 1,
                }
            };
            prop_assert_eq!(string_end(text.as_bytes(), 0), end);
        }
    }
}

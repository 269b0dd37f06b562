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
pub(super) fn string_end(text: &[u8], start: usize) -> usize {
    quoted(&text[start + 1..]).map_or(text.len(), |length| start + 1 + length)
}

/// How long the rest of a string is, with its closing quote; `None` if it does not end.
#[inline(always)]
pub(super) fn quoted(inside: &[u8]) -> Option<usize> {
    // Most strings are keys and words.
    match inside.first_chunk().and_then(|eight| first_quote(*eight)) {
        Some(quote) if quote == 0 || inside[quote - 1] != b'\\' => Some(quote + 1),
        _ => far_quoted(inside),
    }
}

/// The same for longer ones. Many of them still are short, or full of quotes, and end before `memchr`
/// has got going: what is near is looked at eight bytes at a time.
#[inline(never)]
fn far_quoted(inside: &[u8]) -> Option<usize> {
    const NEAR: usize = 1024;
    let mut at = 0;
    loop {
        let end = inside.len().min(at + NEAR);
        let mut near = &inside[at..end];
        while let Some((eight, behind)) = near.split_first_chunk() {
            let mut quotes = quotes(*eight);
            if quotes == 0 {
                near = behind_sixteens(behind);
                continue;
            }
            while quotes != 0 {
                let quote = end - near.len() + quotes.trailing_zeros() as usize / 8;
                if !is_escaped(&inside[..quote]) {
                    return Some(quote + 1);
                }
                quotes &= quotes - 1;
            }
            near = behind;
        }
        at = end - near.len();
        at += memchr(b'"', &inside[at..])? + 1;
        if !is_escaped(&inside[..at - 1]) {
            return Some(at);
        }
    }
}

/// Whether what follows these bytes of a string is escaped by them.
pub(super) fn is_escaped(before: &[u8]) -> bool {
    match before {
        [.., b'\\', b'\\'] => before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1,
        [.., b'\\'] => true,
        _ => false,
    }
}

/// Whether there is an escape in what is inside of a string.
pub(super) fn has_escape(inside: &[u8]) -> bool {
    // The last of them overlap the ones before.
    match (inside.first_chunk::<8>(), inside.last_chunk::<8>(), inside.last_chunk::<16>()) {
        (_, _, Some(last)) => {
            let mut sixteens = inside.chunks_exact(16).filter_map(<[u8]>::first_chunk::<16>);
            holds(b'\\', last) || sixteens.any(|sixteen| holds(b'\\', sixteen))
        }
        (Some(first), Some(last), _) => holds(b'\\', first) || holds(b'\\', last),
        _ => inside.contains(&b'\\'),
    }
}

/// Whether the byte is among these. Without an early exit it becomes one comparison.
#[inline(always)]
fn holds<const N: usize>(byte: u8, bytes: &[u8; N]) -> bool {
    bytes.iter().fold(false, |holds, b| holds | (*b == byte))
}

/// Where the first of the bytes is that are quotes.
#[inline(always)]
fn first_quote(eight: [u8; 8]) -> Option<usize> {
    const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let differs = u64::from_le_bytes(eight) ^ u64::from_ne_bytes([b'"'; 8]);
    // A borrow spoils only what is above the first.
    let quotes = differs.wrapping_sub(LOWEST) & !differs & HIGHEST;
    (quotes != 0).then(|| quotes.trailing_zeros() as usize / 8)
}

/// The top bits of the bytes that are quotes, the first byte being the lowest.
fn quotes(eight: [u8; 8]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    let differs = u64::from_le_bytes(eight) ^ u64::from_ne_bytes([b'"'; 8]);
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// What is left behind each sixteen bytes without a quote.
#[inline(always)]
fn behind_sixteens(mut text: &[u8]) -> &[u8] {
    while let Some((_, behind)) = text.split_first_chunk::<16>().filter(|(it, _)| !holds(b'"', it))
    {
        text = behind;
    }
    text
}

/// The position after the bracket that closes the one whose inside `at` is in.
pub(super) fn closed(text: &[u8], at: usize) -> usize {
    leave(text, at, &mut 1).unwrap_or(text.len())
}

/// The position after the bracket that closes the outermost of the `depth` that `at` is inside of.
///
/// `Err` if the text ends before: where the last string starts, if the text ends in it, or else its end.
/// `depth` is then how many brackets are open. Their kinds are not told apart: a text that mixes them is
/// broken anyway, and still has an end.
pub(super) fn leave(text: &[u8], mut at: usize, depth: &mut isize) -> Result<usize, usize> {
    /// By how much a byte changes the depth.
    static DEPTH: [i8; 256] = {
        let mut depth = [0; 256];
        (depth[b'{' as usize], depth[b'[' as usize]) = (1, 1);
        (depth[b'}' as usize], depth[b']' as usize]) = (-1, -1);
        depth
    };
    let mut open = *depth;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == b'"' {
            let Some(length) = quoted(&text[at..]) else {
                at -= 1;
                break;
            };
            at += length;
        } else {
            open += isize::from(DEPTH[usize::from(byte)]);
            if open == 0 {
                return Ok(at);
            }
        }
    }
    *depth = open;
    Err(at)
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

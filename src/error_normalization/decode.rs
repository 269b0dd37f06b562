//! Error bodies that are compressed, decoded within limits.
//!
//! What cannot be decoded has no text: then the status decides. A body that is labelled as compressed
//! and is not is read as it is, since only we read it, and the answer is written anew anyway.

use http::{HeaderMap, header};
use std::borrow::Cow;

/// Longest list of encodings that is undone.
const MOST_LAYERS: usize = 4;

/// The body without its encodings, at most `max` bytes of it; empty if it cannot be read.
pub(super) fn decode<'a>(headers: &HeaderMap, body: &'a [u8], max: usize) -> Cow<'a, [u8]> {
    let Some(encodings) = encodings(headers) else { return Cow::Borrowed(&[]) };
    let mut decoded = Cow::Borrowed(body);
    for encoding in encodings.iter().rev() {
        match undo(encoding, &decoded, max) {
            Some(next) => decoded = Cow::Owned(next),
            None if looks_plain(&decoded) => break,
            None => return Cow::Borrowed(&[]),
        }
    }
    decoded
}

/// The encodings, in the order in which they were applied; `None` if there are too many, or one is no
/// text.
fn encodings(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let names = value.to_str().ok()?.split(',').map(|name| name.trim().to_ascii_lowercase());
        all.extend(names.filter(|name| !name.is_empty() && name != "identity"));
    }
    (all.len() <= MOST_LAYERS).then_some(all)
}

/// Whether this is text that somebody has labelled wrongly.
fn looks_plain(body: &[u8]) -> bool {
    let first = body.trim_ascii_start().first();
    matches!(first, Some(b'{' | b'[' | b'<' | b'"')) && std::str::from_utf8(body).is_ok()
}

#[cfg(not(feature = "decompression"))]
fn undo(_: &str, _: &[u8], _: usize) -> Option<Vec<u8>> {
    None
}

/// One encoding undone, as far as `max` bytes and the body reach; `None` if nothing comes of it.
#[cfg(feature = "decompression")]
fn undo(encoding: &str, body: &[u8], max: usize) -> Option<Vec<u8>> {
    match encoding {
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(body), max),
        // Half of the world sends it without the zlib header that RFC 9110 asks for.
        "deflate" => read(flate2::read::ZlibDecoder::new(body), max)
            .or_else(|| read(flate2::read::DeflateDecoder::new(body), max)),
        "br" => read(brotli::Decompressor::new(body, 4096), max),
        "zstd" => read(zstd::stream::read::Decoder::new(body).ok()?, max),
        _ => None,
    }
}

/// What can be read: a body that is cut off or broken further on has a beginning all the same.
#[cfg(feature = "decompression")]
fn read(decoder: impl std::io::Read, max: usize) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut out = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    let read = decoder.take(limit).read_to_end(&mut out);
    (read.is_ok() || !out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"{\"error\":{\"message\":\"slow down\"}}";

    fn with(encodings: &[&'static str], body: &[u8]) -> Vec<u8> {
        let values = encodings.iter().map(|it| (header::CONTENT_ENCODING, it.parse().unwrap()));
        decode(&values.collect(), body, 1 << 16).into_owned()
    }

    // H10
    #[test]
    fn what_is_not_compressed_is_read_as_it_is() {
        assert_eq!(with(&[], TEXT), TEXT);
        assert_eq!(with(&["identity"], TEXT), TEXT);
        assert_eq!(with(&["gzip"], TEXT), TEXT, "a wrong label");
        assert_eq!(with(&["gzip"], b"\x1f\x8b\xff\xff"), b"");
        assert_eq!(with(&["rot13"], b"\x00\x01"), b"");
        assert_eq!(with(&["gzip"; 9], TEXT), b"");
    }

    #[cfg(feature = "decompression")]
    mod decompression {
        use super::*;
        use std::io::{Read, Write};

        fn gzip(text: &[u8]) -> Vec<u8> {
            let mut out = Vec::new();
            flate2::read::GzEncoder::new(text, flate2::Compression::best())
                .read_to_end(&mut out)
                .unwrap();
            out
        }

        fn br(text: &[u8]) -> Vec<u8> {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(text).unwrap();
            out
        }

        fn deflate(text: &[u8], zlib: bool) -> Vec<u8> {
            let (mut out, level) = (Vec::new(), flate2::Compression::best());
            if zlib {
                flate2::read::ZlibEncoder::new(text, level).read_to_end(&mut out).unwrap();
            } else {
                flate2::read::DeflateEncoder::new(text, level).read_to_end(&mut out).unwrap();
            }
            out
        }

        fn zstd(text: &[u8]) -> Vec<u8> {
            zstd::encode_all(text, 1).unwrap()
        }

        // H10
        #[test]
        fn every_encoding_is_undone_alone_and_stacked() {
            assert_eq!(with(&["gzip"], &gzip(TEXT)), TEXT);
            assert_eq!(with(&["X-GZIP"], &gzip(TEXT)), TEXT);
            assert_eq!(with(&["deflate"], &deflate(TEXT, true)), TEXT);
            assert_eq!(with(&["deflate"], &deflate(TEXT, false)), TEXT);
            assert_eq!(with(&["br"], &br(TEXT)), TEXT);
            assert_eq!(with(&["zstd"], &zstd(TEXT)), TEXT);
            assert_eq!(with(&["gzip, br"], &br(&gzip(TEXT))), TEXT);
            assert_eq!(with(&["gzip", "zstd"], &zstd(&gzip(TEXT))), TEXT);
        }

        // H10
        #[test]
        fn a_cut_body_gives_what_it_has() {
            let long: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
            let whole = gzip(&long);
            let half = with(&["gzip"], &whole[..whole.len() / 2]);
            assert!(!half.is_empty() && long.starts_with(&half));
        }

        // H11
        #[test]
        fn a_bomb_is_read_only_as_far_as_allowed() {
            let zeros = vec![0; 10 << 20];
            for bomb in [("gzip", gzip(&zeros)), ("br", br(&zeros)), ("zstd", zstd(&zeros))] {
                assert_eq!(with(&[bomb.0], &bomb.1).len(), 1 << 16, "{}", bomb.0);
            }
            assert_eq!(with(&["gzip, gzip"], &gzip(&gzip(&zeros))).len(), 1 << 16);
        }

        // H10
        #[test]
        fn garbage_under_every_label_has_no_text() {
            let garbage: Vec<u8> = (0..255).rev().collect();
            for encoding in ["gzip", "br", "zstd"] {
                assert!(with(&[encoding], &garbage).len() <= garbage.len(), "{encoding}");
            }
        }
    }
}

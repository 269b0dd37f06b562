//! Event streams, decoded as the WHATWG standard says, under every chunking.

use crate::shared;
use serde_json::{Value, json};
use tower_inference::framing::sse::{Blocks, Event};

/// A client of event streams, made of what the crate offers to look at them.
#[derive(Default)]
struct Decoder {
    blocks: Blocks,
    block: Vec<u8>,
    first: bool,
    last_id: String,
    retry: Value,
    events: Vec<Value>,
}

impl Decoder {
    fn push(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while let Some(end) = self.blocks.next_end(&chunk[at..]) {
            self.block.extend_from_slice(&chunk[at..at + end]);
            at += end;
            let block = std::mem::take(&mut self.block);
            self.dispatch(&block);
        }
        self.block.extend_from_slice(&chunk[at..]);
    }

    fn dispatch(&mut self, block: &[u8]) {
        // Only the first block of a stream may begin with a byte order mark.
        let mark = b"\xef\xbb\xbf";
        let block = if self.first { [mark, block].concat() } else { block.to_vec() };
        self.first = true;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let event = Event::of(&block);
        let mut has_data = false;
        for (name, value) in event.fields() {
            match name {
                b"data" => has_data = true,
                b"id" if !value.contains(&0) => self.last_id = text(value),
                b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                    self.retry = serde_json::from_str(text(value).trim_start_matches('0'))
                        .unwrap_or_else(|_| 0.into());
                }
                _ => {}
            }
        }
        if has_data {
            let name = event.name().map(text).filter(|name| !name.is_empty());
            let name = name.unwrap_or_else(|| "message".to_owned());
            self.events.push(json!({
                "event": name, "data": text(&event.data()), "id": self.last_id, "retry": self.retry,
            }));
        }
    }
}

fn decode(chunks: &[&[u8]]) -> Vec<Value> {
    let mut decoder = Decoder::default();
    for chunk in chunks {
        decoder.push(chunk);
    }
    decoder.events
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.bytes().filter(|c| *c != b'=').flat_map(|c| {
        let value = value(c);
        (0..6).rev().map(move |bit| value >> bit & 1)
    });
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect()
}

// H12 S12
#[test]
fn every_vector_decodes_as_the_standard_says_under_every_chunking() {
    let Some(vectors) = shared::lines("sse_vectors.jsonl") else { return };
    let (mut two, mut three) = (0, 0);
    for vector in &vectors {
        let id = vector["id"].as_str().unwrap();
        let bytes = base64(vector["bytes_b64"].as_str().unwrap());
        let expected = vector["events"].as_array().unwrap();
        assert_eq!(&decode(&[&bytes]), expected, "{id}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(&decode(&single), expected, "{id} byte by byte");
        for a in 0..bytes.len() {
            two += 1;
            assert_eq!(&decode(&[&bytes[..a], &bytes[a..]]), expected, "{id} split at {a}");
            if bytes.len() <= 64 {
                for b in a..bytes.len() {
                    three += 1;
                    let split = [&bytes[..a], &bytes[a..b], &bytes[b..]];
                    assert_eq!(&decode(&split), expected, "{id} split at {a}, {b}");
                }
            }
        }
    }
    println!("{} vectors, {two} two-way splits, {three} three-way splits", vectors.len());
    assert_eq!(vectors.len(), 107);
}

#[test]
fn a_megabyte_in_one_event_is_one_event() {
    let line = format!("data: {}\n", "x".repeat(1 << 20));
    for bytes in
        [format!("{line}\n"), "data: x\n".repeat(1 << 17) + "\n", line.replace('\n', "\r") + "\r"]
    {
        let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(997).collect();
        let events = decode(&pieces);
        assert_eq!(events.len(), 1);
        assert_eq!(events, decode(&[bytes.as_bytes()]));
    }
}

//! Taking secrets out of a text by their shape, and leaving the sentence.
//!
//! Messages of upstreams hold keys that were tried, hosts that were dialled, files that were
//! missing. A client gets the sentence without them: losing "maximum context length is 8192 tokens"
//! would be as much a mistake as showing a key.
//!
//! Rules:
//!
//! 1. Only shapes count: a known prefix and enough characters after it, a reserved range of
//!    addresses, a private top-level name. A key that its owner has masked (`sk-ab****89`) stays.
//! 2. A path of an API is no path of a file, a version is no address, a public link is no secret.
//! 3. `\n`, `\u0022` and `%3D` separate words, as what they stand for does.
//! 4. Every byte is looked at a bounded number of times.
//!
//! # Example: a key and a host
//!
//! ```
//! use tower_inference::error::redact;
//!
//! let message = "no route to 10.0.0.5:8000 for hf_0123456789abcdefghijABCDEF";
//! assert_eq!(redact(message), "no route to [redacted] for [redacted]");
//! assert_eq!(redact("try /v1/models"), "try /v1/models");
//! ```

mod file;
mod host;
mod trace;

use self::{
    file::file_len,
    host::{internal_len, private_ipv6},
    trace::{pem_len, trace_len},
};
use std::borrow::Cow;

const REDACTED: &str = "[redacted]";

/// Prefixes of keys, tokens and account ids, and how many letters, digits, `-` and `_` must follow.
const PREFIXES: &[(&str, usize)] = &[
    ("AIza", 30),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ak-", 16),
    ("csk-", 20),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gsk_", 20),
    ("hf_", 20),
    ("nvapi-", 20),
    ("org-", 12),
    ("org_", 12),
    ("pplx-", 20),
    ("proj_", 12),
    ("r8_", 20),
    ("sess-", 20),
    ("sk-", 16),
    ("sk_", 16),
    ("xai-", 20),
    ("xapp-", 10),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("ya29.", 20),
];

/// Names whose values are secrets, without case and punctuation.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "accesstoken",
    "accountkey",
    "apikey",
    "apitoken",
    "authtoken",
    "awssecretaccesskey",
    "clientsecret",
    "idtoken",
    "key",
    "passwd",
    "password",
    "pwd",
    "refreshtoken",
    "secret",
    "secretaccesskey",
    "secretkey",
    "sharedaccesskey",
    "sig",
    "signature",
    "subscriptionkey",
    "token",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
    "xapikey",
];

/// The text with everything taken out that looks like a credential, an internal address, a path of a
/// file or a stack trace. Borrowed if there was nothing.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    while at < text.len() {
        match look(text, at) {
            Found::Secret(start, end) => {
                let between = &text[kept..start];
                // Neighbours, such as the frames of a trace, become one.
                if !(out.ends_with(REDACTED) && between.trim().is_empty()) {
                    out.push_str(between);
                    out.push_str(REDACTED);
                }
                kept = end;
                at = end.max(at + 1);
            }
            Found::Nothing(next) => at = next,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

enum Found {
    Secret(usize, usize),
    /// Look again from here.
    Nothing(usize),
}

/// What begins at `at`, which is a boundary of characters.
fn look(text: &str, at: usize) -> Found {
    let bytes = text.as_bytes();
    let rest = &text[at..];
    let escape = escape_len(&bytes[at..]);
    if escape > 0 {
        return Found::Nothing(at + escape);
    }
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let opens = !before.is_some_and(is_path) || ends_with_escape(&bytes[..at]);
    if opens {
        if let Some(len) = private_ipv6(rest).or_else(|| file_len(rest)) {
            return Found::Secret(at, at + len);
        }
    }
    let word = &rest[..run(rest, is_word)];
    if word.is_empty() {
        return Found::Nothing(at + rest.chars().next().map_or(1, char::len_utf8));
    }
    if let Some(len) = pem_len(rest).or_else(|| trace_len(rest)) {
        return Found::Secret(at, at + len);
    }
    let after = &rest[word.len()..];
    if let Some(remote) = after.strip_prefix("://") {
        return url(at, word, remote);
    }
    if let Some((skipped, len)) = named_secret(word, after).or_else(|| scheme_secret(word, after)) {
        let start = at + word.len() + skipped;
        return Found::Secret(start, start + len);
    }
    if let Some(len) = key_len(word).or_else(|| internal_len(word, after)) {
        return Found::Secret(at, at + len);
    }
    Found::Nothing(at + word.len())
}

/// Letters, digits and what keeps a name, a host or a key together.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte >= 0x80
}

fn is_path(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'/' | b'@' | b'+' | b'~' | b'$')
}

/// How many bytes at the start of a text are of a kind.
fn run(text: &str, kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !kind(b)).unwrap_or(text.len())
}

/// The length of an escape at the start: `\n`, `\u0022`, `%3D`.
fn escape_len(bytes: &[u8]) -> usize {
    let hex = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match bytes {
        [b'\\', b'u', ..] if hex(2..6) => 6,
        [b'\\', b'n' | b'r' | b't' | b'"' | b'\\' | b'/', ..] => 2,
        [b'%', ..] if hex(1..3) => 3,
        _ => 0,
    }
}

fn ends_with_escape(bytes: &[u8]) -> bool {
    [2, 3, 6].into_iter().any(|len| {
        let tail = &bytes[bytes.len().saturating_sub(len)..];
        tail.len() == len && escape_len(tail) == len
    })
}

/// A word that is a key, without what ends the sentence after it.
fn key_len(word: &str) -> Option<usize> {
    let word = word.trim_end_matches('.');
    if word.starts_with("eyJ") && word.len() >= 30 && word.contains('.') {
        return Some(word.len()); // a JSON web token
    }
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| word.starts_with(prefix))?;
    let tail = &word[prefix.len()..];
    let enough = run(tail, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) >= *least;
    let random = tail.len() >= 32 || tail.bytes().any(|b| b.is_ascii_digit());
    (enough && random).then_some(word.len())
}

/// `key=value` and `"password": "value"`: what to skip after the name, and the length of the value.
fn named_secret(word: &str, after: &str) -> Option<(usize, usize)> {
    if word.len() > 40 || !after.starts_with(['=', ':', '"', '\'', '%']) {
        return None;
    }
    let plain = |c: &char| c.is_ascii_alphanumeric();
    let name: String = word.chars().filter(plain).map(|c| c.to_ascii_lowercase()).collect();
    if !SECRET_NAMES.contains(&name.as_str()) {
        return None;
    }
    let assigned = after.starts_with('=') || after.starts_with("%3D");
    let skipped = if after.starts_with("%3D") {
        3
    } else {
        run(after, |b| matches!(b, b'"' | b'\'' | b':' | b' ' | b'=')).min(5)
    };
    let value = Some(value(&after[skipped..])).filter(|value| !value.contains("**"))?;
    let secret = if assigned { value.len() >= 6 } else { value.len() >= 8 && is_random(value) };
    (secret && after[..skipped].contains([':', '=', '%'])).then_some((skipped, value.len()))
}

/// `Bearer value` and `Basic value`.
fn scheme_secret(word: &str, after: &str) -> Option<(usize, usize)> {
    if !(word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")) {
        return None;
    }
    let skipped = if after.starts_with("%20") { 3 } else { run(after, |b| b == b' ').min(3) };
    let value = value(&after[skipped..]);
    (skipped > 0 && value.len() >= 8 && is_random(value)).then_some((skipped, value.len()))
}

/// A value, up to whatever cannot be part of it.
fn value(text: &str) -> &str {
    let ends = |b: u8| b.is_ascii_whitespace() || b"&\"'`,;()<>[]{}\\".contains(&b);
    text[..run(text, |b| !ends(b))].trim_end_matches(['.', ':', '!', '?'])
}

/// Whether a value is no word of a language: digits, or capitals after small letters.
fn is_random(value: &str) -> bool {
    let capital = value.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let small = value.bytes().any(|b| b.is_ascii_lowercase());
    value.bytes().any(|b| b.is_ascii_digit()) || (capital && small) || value.len() >= 32
}

/// The credentials of a URL, or the whole of it if it leads to an internal host or a file.
fn url(at: usize, scheme: &str, remote: &str) -> Found {
    let start = at + scheme.len() + 3;
    let ends = |b: u8| b.is_ascii_whitespace() || b"/?#\"`<>\\".contains(&b);
    let authority = &remote[..run(remote, |b| !ends(b))];
    if scheme.eq_ignore_ascii_case("file") {
        return Found::Secret(at, start + value(remote).len());
    }
    if let Some(end) = authority.rfind('@').filter(|end| *end > 0) {
        return Found::Secret(start, start + end);
    }
    let host = &authority[..run(authority, is_word)];
    let address =
        authority.strip_prefix('[').and_then(|rest| private_ipv6(rest).map(|len| len + 2));
    let internal = internal_len(host, &remote[host.len()..]).or(address);
    match internal {
        Some(len) => {
            let port = run(&remote[len..], |b| b == b':' || b.is_ascii_digit());
            Found::Secret(at, start + len + port)
        }
        None => Found::Nothing(start + host.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // U8
    #[test]
    fn secrets_go_and_the_sentence_stays() {
        let table = [
            ("key sk-abcdefghij0123456789ABCD is bad", "key [redacted] is bad"),
            ("sk-ant-api03-abcDEF0123456789_-xyz.", "[redacted]."),
            ("sk-proj-abcDEF0123456789abcDEF", "[redacted]"),
            ("(hf_0123456789abcdefghijABCDEF)", "([redacted])"),
            ("gsk_0123456789abcdefghijABCDEF", "[redacted]"),
            ("xai-0123456789abcdefghijABCDEF", "[redacted]"),
            ("AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE", "[redacted], [redacted]"),
            ("AIzaSyA-0123456789abcdefghijklmnopqrstu", "[redacted]"),
            ("ghp_0123456789abcdefghijABCDEF", "[redacted]"),
            ("github_pat_11ABCDEFG0123456789abc", "[redacted]"),
            ("glpat-0123456789abcdefghij", "[redacted]"),
            ("xoxb-123456789012-abcdef", "[redacted]"),
            ("ya29.a0AfB_0123456789abcdefghij", "[redacted]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123", "[redacted]"),
            ("Authorization: Bearer abc123def456", "Authorization: Bearer [redacted]"),
            ("authorization: basic dXNlcjpwYXNzd29yZA==", "authorization: basic [redacted]"),
            (
                "-----BEGIN RSA PRIVATE KEY----- MII x -----END RSA PRIVATE KEY----- ok",
                "[redacted] ok",
            ),
            ("-----BEGIN PRIVATE KEY----- MIIEvQ", "[redacted]"),
            (
                "in organization `org_01j2g5d88hfvjrgw64hnapqk8y` on",
                "in organization `[redacted]` on",
            ),
            (
                "account org-446a70bb2cc542e3 <ak-f817m9q3k3wi11gjwbgi>",
                "account [redacted] <[redacted]>",
            ),
            ("project proj_0123456789abcdef", "project [redacted]"),
            ("https://user:p4ss@example.com/x", "https://[redacted]@example.com/x"),
            ("redis://:p,4(ss@example.com", "redis://[redacted]@example.com"),
            ("https://example.com/?key=abcdef123&x=1", "https://example.com/?key=[redacted]&x=1"),
            (
                "https://e.com/?X-Amz-Signature=abcdef12",
                "https://e.com/?X-Amz-Signature=[redacted]",
            ),
            (r#"{"api_key": "abcdef123456"}"#, r#"{"api_key": "[redacted]"}"#),
            (r"line\nsk-abcdefghij0123456789 x", r"line\n[redacted] x"),
            ("q%3Dsk-abcdefghij0123456789", "q%3D[redacted]"),
            ("http://vllm-0.models.svc.cluster.local:8000/v1", "[redacted]/v1"),
            ("host worker-3.eu.internal is down", "host [redacted] is down"),
            ("db.prod.svc:5432 refused", "[redacted] refused"),
            ("dial tcp localhost:11434: refused", "dial tcp [redacted]: refused"),
            ("connect ECONNREFUSED 127.0.0.1:18099", "connect ECONNREFUSED [redacted]"),
            (
                "hosts 10.1.2.3, 172.16.0.1 and 192.168.1.1.",
                "hosts [redacted], [redacted] and [redacted].",
            ),
            ("169.254.169.254 and 100.64.0.1", "[redacted] and [redacted]"),
            ("(host='10.0.0.5', port=8000)", "(host='[redacted]', port=8000)"),
            ("[fd00::1]:80 ::1 fe80::1 ::ffff:10.0.0.1", "[[redacted]]:80 [redacted]"),
            ("http://[fd00::1]:8080/x", "[redacted]/x"),
            ("No such file: /home/me/models/llama", "No such file: [redacted]"),
            ("cannot open '/srv/x.gguf'", "cannot open '[redacted]'"),
            ("in /repo/model.py:94", "in [redacted]"),
            (r"C:\Users\me\x.txt missing", "[redacted] missing"),
            ("see ~/.cache/x and file:///etc/passwd", "see [redacted] and [redacted]"),
            ("panicked at src/main.rs:10:5: boom", "panicked at [redacted]: boom"),
            (
                "Traceback (most recent call last): File \"/x/m.py\", line 94, in execute f() ValueError: bad role",
                "[redacted] ValueError: bad role",
            ),
            ("x at a.b.C.run(C.java:12) at a.b.C.main(Native Method) end", "x [redacted] end"),
            ("TypeError: x at async Foo.bar (index.js:1:2)", "TypeError: x [redacted]"),
            ("boom stack backtrace: 0: core::panicking::panic", "boom [redacted]"),
            ("panic: x goroutine 1 [running]: main.main()", "panic: x [redacted]"),
        ];
        for (text, expected) in table {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    // U8
    #[test]
    fn what_is_no_secret_stays_and_is_borrowed() {
        let table = [
            "",
            "This model's maximum context length is 8192 tokens.",
            "The model `meta-llama/Llama-3.1-8B` does not exist",
            "models/gemini-2.5-pro is not found for API version v1beta",
            "visit https://platform.openai.com/docs/guides/error-codes#api-errors.",
            "See https://docs.python.org/3/library/json.html?highlight=dumps for more",
            "at 2026-11-20T12:00:00Z, 12:30:45",
            "version 1.2.3.4, 8.8.8.8, v0.10.0",
            "input and/or output, N/A, 1/2",
            "POST /v1/chat/completions, /api/chat, /openai/deployments/x/chat",
            "/v1/files/batch.json and /models/llama-3",
            "Incorrect API key provided: sk-inval**********6789.",
            "Your api key: ****6789 is invalid",
            "in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)",
            "basic authentication, Bearer authentication",
            "max_tokens=100, key=None, token: none",
            "task-2 of org-level disk-usage, sk-learn-intelex",
            "failed at step (two) of std::fmt::Display",
            "Rate limit reached (TPM): Limit 30000, Used 29000. Please try again in 2s.",
            "the local model, an internal error, localhost",
            "mail me@example.com about //cdn/x",
            "pages 10.0 to 10.5",
            "größer als 4096 Token, 该模型",
        ];
        for text in table {
            assert!(
                matches!(redact(text), Cow::Borrowed(same) if same == text),
                "{text} -> {}",
                redact(text)
            );
        }
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        let pieces =
            ["/", "@", "~/", "a/", "key=", "Bearer ", "::", "at (", "%3D", "\\n", "-----BEGIN "];
        let more = [
            "Traceback (most recent call last)",
            "Traceback (most recent call last), in XError: ",
            "http://",
        ];
        for piece in pieces.into_iter().chain(more) {
            let start = tokio::time::Instant::now();
            let _ = redact(&piece.repeat((1 << 17) / piece.len()));
            assert!(start.elapsed().as_secs() < 3, "{piece}");
        }
    }

    proptest! {
        // U8
        #[test]
        fn a_key_goes_wherever_it_stands(before in "[ -~é]{0,30}[ (:=\"']", after in "[ ,.)\"'][ -~é]{0,30}") {
            let key = "sk-proj-abcDEF0123456789abcDEF";
            let text = format!("{before}{key}{after}");
            prop_assert!(!redact(&text).contains(key), "{}", redact(&text));
        }

        #[test]
        fn never_panics_and_is_stable(text in "\\PC{0,200}") {
            let once = redact(&text).into_owned();
            let _ = redact(&once);
        }
    }
}

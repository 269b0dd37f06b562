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
//! 3. What is escaped, as in JSON or in a URL, is looked at as it is and as what it stands for.
//! 4. Every byte is looked at a bounded number of times; where no secret can begin, once.
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

mod account;
mod file;
mod host;
mod key;
mod suspects;
mod trace;
mod unescaped;

use self::{
    account::account,
    file::{Ends, file_len, share_len},
    host::{internal_len, is_local_url, named_host, private_ipv6},
    key::{key_len, named_secret, scheme_secret, value},
    suspects::{Suspects, opens},
    trace::{frames_len, pem_len, trace_len},
    unescaped::{Unescaped, ends_with_escape, escape_len},
};
use std::{borrow::Cow, ops::Range};

const REDACTED: &str = "[redacted]";

/// How many escapes inside of escapes are undone: JSON in a string, in a string.
const DEPTH: usize = 3;

/// The text with everything taken out that looks like a credential, an internal address, a path of a
/// file or a stack trace. Borrowed if there was nothing.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut suspects = Suspects::of(text);
    // An escape is a suspect too.
    let Some(first) = suspects.next(0) else { return Cow::Borrowed(text) };
    let mut spans = secrets_at(text, |at| if at == 0 { Some(first) } else { suspects.next(at) });
    let mut level = Unescaped::of(text);
    for _ in 0..DEPTH {
        let Some(unescaped) = level else { break };
        spans.extend(secrets(unescaped.text()).into_iter().map(|span| unescaped.origin(span)));
        level = unescaped.again();
    }
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_unstable_by_key(|span| span.start);
    let mut out = String::new();
    let mut kept = 0;
    for span in spans {
        if span.end <= kept {
            continue;
        }
        let between = &text[kept.min(span.start)..span.start];
        // Neighbours, such as the frames of a trace, become one.
        if !(out.ends_with(REDACTED) && between.trim().is_empty()) {
            out.push_str(between);
            out.push_str(REDACTED);
        }
        kept = span.end;
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

/// Where the secrets are, in order.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut suspects = Suspects::of(text);
    secrets_at(text, |at| suspects.next(at))
}

/// The same, if `next` leaves out no place from its argument on where something begins.
fn secrets_at(text: &str, mut next: impl FnMut(usize) -> Option<usize>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut from, mut ends) = (0, Ends::default());
    while let Some(at) = next(from) {
        from = match look(text, at, &mut ends) {
            Found::Secret(start, end) => {
                spans.push(start..end);
                end.max(at + 1)
            }
            Found::Nothing(next) => next,
        };
    }
    spans
}

enum Found {
    Secret(usize, usize),
    /// Look again from here.
    Nothing(usize),
}

/// What begins at `at`, which is a boundary of characters.
fn look(text: &str, at: usize, ends: &mut Ends) -> Found {
    let rest = &text[at..];
    if let Some(len) = share_len(rest) {
        return Found::Secret(at, at + len);
    }
    let escape = escape_len(rest.as_bytes());
    if escape > 0 {
        return Found::Nothing(at + escape);
    }
    if opens(text, at) {
        let file = || file_len(text, at, ends);
        if let Some(len) = private_ipv6(rest).or_else(file).or_else(|| frames_len(rest)) {
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
        // A key could be the name of a scheme, by its letters.
        return match key_len(word, after) {
            Some(len) => Found::Secret(at, at + len),
            None => url(at, word, remote),
        };
    }
    if let Some((skipped, len)) = value_after(word, after) {
        let start = at + word.len() + skipped;
        return Found::Secret(start, start + len);
    }
    if let Some((skipped, len)) = account(word, after) {
        return Found::Secret(at + skipped, at + skipped + len);
    }
    if let Some(len) = key_len(word, after).or_else(|| internal_len(word, after)) {
        return Found::Secret(at, at + len);
    }
    Found::Nothing(at + word.len())
}

/// Letters, digits and what keeps a name, a host or a key together. Chinese has no blanks between
/// words, so that a key may follow a letter that is not ASCII.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

const fn is_path(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'/' | b'@' | b'+' | b'~' | b'$') || byte >= 0x80
}

/// How many bytes at the start of a text are of a kind.
fn run(text: &str, kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !kind(b)).unwrap_or(text.len())
}

/// A secret after its name: what to skip, and the length.
fn value_after(word: &str, after: &str) -> Option<(usize, usize)> {
    named_secret(word, after)
        .or_else(|| scheme_secret(word, after))
        .or_else(|| named_host(word, after))
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
    // Bracketed, unless the text is cut.
    let address = authority.strip_prefix('[').and_then(|rest| {
        private_ipv6(rest).map(|len| 1 + len + usize::from(rest[len..].starts_with(']')))
    });
    let internal = internal_len(host, &remote[host.len()..]).or(address);
    let internal = internal.or_else(|| is_local_url(scheme, host).then_some(host.len()));
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
            ("sk-abcdefghij0123456789://10.0.0.5", "[redacted]://[redacted]"),
            ("\"sk-abcdefghij0123456789.://", "\"[redacted].://"),
            ("http://[fd00::1]:8080/x", "[redacted]/x"),
            ("http://[fd00::1", "[redacted]"),
            ("http://[fd00::1é", "[redacted]é"),
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
            "a.rb:1:in `",
            "at a.b.c() in ",
            "arn:aws:",
            "projects/",
            "#0 ",
            "%252525",
            r"\\\\",
            r"\\a\",
            "host='",
            "Traceback (most recent call last)",
            "Traceback (most recent call last), in XError: ",
            "http://",
            "模型",
            "aé",
            "/é",
            "@é.",
        ];
        for piece in pieces.into_iter().chain(more) {
            let start = tokio::time::Instant::now();
            let _ = redact(&piece.repeat((1 << 17) / piece.len()));
            assert!(start.elapsed().as_secs() < 3, "{piece}");
        }
    }

    /// Secrets and what looks like one, in pieces.
    const PIECES: &str = concat!(
        r"sk-|sk-proj-|AKIA|SK|ABSK|fc-|xoxb-|eyJ|hvs.|1234567890|abcDEF0123456789|:AA|",
        r"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef|Bearer |basic |account #|tenant_id=|Project |",
        r"SUBSCRIPTION_NUMBER|organizations/|arn|:aws:a:b:c:123456789012:d|password|api_key|key|",
        r"host=|localhost|:80|10.0.0.5|.internal|.svc|db|http|file|://|user:pw@|fe80|::1|[|]|/|",
        r"/etc/|~/|./|../|C:\|D:/|\\|\|server\share|main.py|.rs|:10|:5|:in `run'|#0 |/x|0x1|",
        r"-----BEGIN |PRIVATE KEY-----|-----END |-----|Traceback (most recent call last)|",
        r"stack backtrace:|goroutine 1 [|at |a.b.C(|x.js:1)|(native)|\n|\u0022|%3D|%|é|模型|@|+|$|",
        "=|:|\"|'| | |, |.|(|\n|a|word",
    );

    fn texts() -> impl Strategy<Value = String> {
        let pieces: Vec<_> = PIECES.split('|').collect();
        let piece = prop_oneof![
            8 => prop::sample::select(pieces).prop_map(str::to_owned),
            1 => "[a-zA-Z0-9_-]{1,40}",
            1 => "[ -~é]{1,3}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn nothing_is_missed_where_nothing_is_suspected(text in texts()) {
            let everywhere = |at| Some(at).filter(|at| *at < text.len());
            prop_assert_eq!(secrets(&text), secrets_at(&text, everywhere), "{}", text);
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
        fn never_panics_and_is_stable(text in prop_oneof![texts(), "\\PC{0,200}"]) {
            let once = redact(&text).into_owned();
            let _ = redact(&once);
        }
    }
}

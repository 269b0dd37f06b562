//! Errors inside of errors: what a gateway quotes of somebody further up.
//!
//! The server that knows what went wrong is often two hops away, and every hop puts its own words
//! around the answer. [`open`] takes one such layer off a text, so that the innermost error can be
//! read like any other.
//!
//! | around it | written by |
//! |---|---|
//! | `{"error":…}` as JSON, with its quotes escaped or not | OpenRouter's `metadata.raw`, production-stack, gateways |
//! | `{'error': {'message': "…"}}`, `[{'msg': …}]` | Python's `repr`: OpenAI's SDK, pydantic, LiteLLM |
//! | `b'{"error":…}'` | Python's `repr` of bytes: NeMo Gym |
//! | `Error code: 429 - …` | the SDKs of OpenAI and Anthropic |
//! | `405: …` | Starlette's `HTTPException` |
//! | `HTTP 503: …`, `429 Too Many Requests: …`, `Request failed with status code 429` | HTTP clients |
//! | `litellm.RateLimitError: RateLimitError: OpenAIException - …` | LiteLLM |
//! | `RateLimitError('…')` | Python's `repr` of an exception |
//! | `An error occurred (ThrottlingException) when calling the … operation: …` | botocore |
//! | `rpc error: code = Unavailable desc = …` | grpc-go |
//! | a page | proxies |
//!
//! Rules:
//!
//! 1. A quoted object counts if it is an error's: it has `error` or `detail`, or a message beside a
//!    name or number, or it is all that is left of the text. Anything else is somebody's data.
//! 2. A status in a text counts only where one of the forms above puts it.
//! 3. Words in front of an object are kept: `Prefill failed: …`. Where words come after it too, the
//!    whole text stays the message.
//! 4. Broken quotes and brackets end with the text. Nothing recurses, and every byte is looked at
//!    a fixed number of times.

use super::{html, names};
use crate::framing::json::Json;
use memchr::memchr2;

/// How many places of a text are tried as the begin of an object.
const TRIED: usize = 8;

/// How many words are taken from the front of a text.
const WORDS: usize = 6;

/// The exceptions of the SDKs of OpenAI and Anthropic and of LiteLLM, by the names they share.
const EXCEPTIONS: &[&str] = &[
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "BudgetExceededError",
    "ConflictError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "HTTPException",
    "InternalServerError",
    "MidStreamFallbackError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServiceUnavailableError",
    "Timeout Error",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
];

/// What LiteLLM writes behind the upstream's words.
const LITELLM_ENDS: &[&str] = &[
    "\n\nLiteLLM:",
    "\n\nDeployment Info:",
    ". Received Model Group=",
    "\nReceived Model Group=",
    "\nAvailable Model Group Fallbacks=",
    " LiteLLM Retried:",
];

/// Parts of them that are short enough to be searched for quickly.
const IN_LITELLM_ENDS: [&str; 3] = ["LiteLLM", "l Group", "t Info:"];

/// What was inside of one layer.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Opened {
    /// The names of the exceptions around it, the innermost first.
    pub(super) names: Vec<String>,
    /// The status that the layer names, 0 for none.
    pub(super) status: u16,
    /// The text that is left; empty if that is nothing.
    pub(super) text: String,
    /// The object that is quoted, as JSON.
    pub(super) object: Option<String>,
    /// The words in front of the object.
    pub(super) front: String,
    /// Whether more words come after the object, which is then one part of a sentence.
    pub(super) amid: bool,
}

/// Takes one layer off; `None` if there is none.
pub(super) fn open(text: &str) -> Option<Opened> {
    if is_bare(text) {
        return None;
    }
    let mut opened = Opened::default();
    let mut rest = text.trim();
    if IN_LITELLM_ENDS.iter().any(|part| rest.contains(part)) {
        let end = LITELLM_ENDS.iter().filter_map(|end| rest.find(end)).min();
        rest = rest[..end.unwrap_or(rest.len())].trim_end();
    }
    let mut named = 0;
    for _ in 0..WORDS {
        if let Some((name, after)) = exception(rest) {
            named = names::status(name).unwrap_or(named);
            opened.names.insert(0, name.to_owned());
            rest = after.trim_start();
        } else if let Some((status, after)) = status(rest).filter(|_| opened.status == 0) {
            opened.status = status;
            rest = after.trim_start();
        } else {
            break;
        }
    }
    if opened.status == 0 {
        opened.status = named;
    }
    if let Some(inner) = literal_in(rest) {
        opened.text = inner;
        return Some(opened);
    }
    if let Some((front, object, last)) = object_in(rest) {
        if opened.status == 0 {
            opened.status = labelled_status(front);
        }
        let words = front.trim_end_matches(|c: char| !c.is_alphanumeric());
        opened.front = if number(words).is_some() { "" } else { words }.to_owned();
        opened.object = Some(object);
        opened.amid = !last;
    } else if let Some(sentence) = html::sentence(rest) {
        opened.text = sentence;
    } else {
        // One word, or the name of the status, says less than what was around it.
        let says_more =
            rest.len() < text.len() && rest.contains(' ') && names::status(rest).is_none();
        opened.text = if says_more { rest } else { text }.to_owned();
    }
    (opened != Opened { text: text.to_owned(), ..Opened::default() }).then_some(opened)
}

/// Whether there is nothing in a text that is in each of the forms above.
fn is_bare(text: &str) -> bool {
    let mark = |byte| {
        matches!(byte, b'0'..=b'9' | b':' | b'=' | b'-' | b'(' | b'[' | b'{' | b'<' | b'"' | b'\'')
    };
    !text.bytes().fold(false, |any, byte| any | mark(byte)) && text.trim().len() == text.len()
}

/// The name of an exception at the front, and what it says.
fn exception(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix("An error occurred (") {
        let (name, rest) = rest.split_once(')')?;
        let (_, rest) = rest.split_once(" operation")?;
        let retried = || rest.split_once("): ").map(|(_, said)| said);
        return Some((name, rest.strip_prefix(": ").or_else(retried)?));
    }
    if let Some(rest) = text.strip_prefix("rpc error: code = ") {
        let (name, rest) = rest.split_once(" desc = ")?;
        // What grpc-go says of every connection that broke; it is no word about capacity.
        return Some((if name == "Unavailable" { "Internal" } else { name }, rest));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ' ');
    let end = text.bytes().take(80).position(|b| !word(char::from(b)))?;
    let (name, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(":\n")) {
        let last = name.rsplit('.').next().unwrap_or(name);
        let library = name.starts_with("litellm.") || name.contains(".exceptions.");
        let known = library || EXCEPTIONS.contains(&last);
        return known.then_some((last, rest));
    }
    // LiteLLM: `OpenAIException - `, `AzureException BadRequestError - `, `AnthropicError - `.
    let (name, rest) = (name.strip_suffix(' ')?, rest.strip_prefix("- ")?);
    let last = name.rsplit(' ').next()?;
    let named =
        |word: &str| word.len() > 9 && (word.ends_with("Exception") || word.ends_with("Error"));
    name.split(' ').all(named).then_some((last, rest))
}

/// A status at the front, and what comes after it.
fn status(text: &str) -> Option<(u16, &str)> {
    const FRONTS: [&str; 7] = [
        "error code: ",
        "http error ",
        "http status ",
        "http ",
        "request failed with status code ",
        "status code: ",
        "status_code: ",
    ];
    let starts =
        |front: &&str| text.get(..front.len()).is_some_and(|t| t.eq_ignore_ascii_case(front));
    if let Some(front) = FRONTS.iter().find(|front| starts(front)) {
        let (status, rest) = number(&text[front.len()..])?;
        let separators = [": ", " - ", ", ", ". ", " "];
        let after = separators.iter().find_map(|separator| rest.strip_prefix(separator));
        return Some((status, after.unwrap_or(rest)));
    }
    let (status, rest) = number(text)?;
    if let Some(rest) = rest.strip_prefix(": ") {
        return Some((status, rest)); // Starlette
    }
    // `429 Too Many Requests: …`, `429 RESOURCE_EXHAUSTED. {…}`: the words stay unless an object
    // says it better.
    let reason = rest.strip_prefix(' ')?.split([':', '.', '{']).next()?.trim_end();
    let reason = reason.strip_suffix(" Client Error").unwrap_or(reason);
    (names::status(reason) == Some(status)).then_some((status, text))
}

/// An error status of three digits at the front, and what comes after it.
fn number(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    let status = digits.parse().ok().filter(|status| (400..600).contains(status))?;
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    ends.then_some((status, rest))
}

/// The status that the words in front of an object name: `Upstream returned HTTP 429: {…}`.
fn labelled_status(before: &str) -> u16 {
    let lower = before.to_ascii_lowercase();
    let named = |label: &&str| {
        let after = &lower[lower.rfind(*label)? + label.len()..];
        Some(number(after.trim_start_matches([' ', ':', '=', '(', '\'']))?.0)
    };
    ["error code", "status code", "status_code", "status", "http"]
        .iter()
        .find_map(named)
        .unwrap_or(0)
}

/// What a literal holds that is all of a text, or all behind a colon: of bytes, or of a string in
/// the `repr` of an exception.
fn literal_in(text: &str) -> Option<String> {
    let call = text.split_once('(').filter(|(name, _)| EXCEPTIONS.contains(name));
    let inside = call.map(|(_, inside)| inside);
    if let Some(inside) = inside.filter(|inside| inside.starts_with(['\'', '"'])) {
        return Some(literal(inside));
    }
    let starts = |at: &usize| *at == 0 || text[..*at].ends_with(": ");
    // To see that there is none is much cheaper than to find it.
    let quotes = ["b'", "b\""].iter().filter(|quote| text.contains(**quote));
    let quotes = quotes.filter_map(|quote| text.find(quote)).filter(starts);
    Some(literal(&text[quotes.min()? + 1..]))
}

/// The text of a Python literal, which begins with its quote and ends with it or with the text.
fn literal(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while let Some(&byte) = bytes.get(at).filter(|byte| **byte != quote) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escape) = bytes.get(at) else { break };
        at += 1;
        match escape {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'x' if hex(text, at).is_some() => {
                out.extend(hex(text, at));
                at += 2;
            }
            b'\\' | b'\'' | b'"' => out.push(escape),
            _ => out.extend([b'\\', escape]),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(text: &str, at: usize) -> Option<u8> {
    u8::from_str_radix(text.get(at..at + 2)?, 16).ok()
}

/// The first error object that a text quotes, as JSON: the words in front of it, and whether it is the
/// last thing said.
fn object_in(text: &str) -> Option<(&str, String, bool)> {
    let begins = |at: &usize| {
        let inside = text[*at..].trim_start_matches(['{', '[', ' ', '\n', '\r', '\t']);
        inside.starts_with(['"', '\'', '\\'])
    };
    let mut from = 0;
    for _ in 0..TRIED {
        let at = from + memchr2(b'{', b'[', &text.as_bytes()[from..])?;
        from = at + 1;
        if !begins(&at) {
            continue;
        }
        let rest = &text[at..];
        let quote = rest.find(['"', '\'']).map_or(0, |at| rest.as_bytes()[at]);
        let (json, length) = if rest[..rest.find(['"', '\'']).unwrap_or(0)].contains('\\') {
            // Escaped, without the quotes that it was a string in.
            let whole = format!("\"{rest}");
            let unescaped = Json::of(whole.as_bytes()).string().unwrap_or_default().into_owned();
            (unescaped, rest.len())
        } else if quote == b'\'' {
            repr(rest)
        } else {
            let raw = Json::of(rest.as_bytes()).raw();
            (String::from_utf8_lossy(raw).into_owned(), raw.len())
        };
        let behind = text[at + length..].trim_start();
        let last = behind.starts_with("(request id: ") // one-api and its like
            || behind.chars().all(|c| c.is_ascii_punctuation() || c.is_whitespace());
        if is_error(Json::of(json.as_bytes()), last) {
            return Some((&text[..at], json, last));
        }
    }
    None
}

/// Whether an object is an error's, and no data that is quoted by chance.
fn is_error(json: Json<'_>, last: bool) -> bool {
    let object = if json.is_array() { json.items().next().unwrap_or(Json::MISSING) } else { json };
    let has = |key: &str| object.get(key).is_truthy();
    let names = ["code", "type", "object", "status", "param", "request_id", "loc", "status_code"];
    let said = ["message", "Message", "msg"].into_iter().any(has);
    ["error", "errors", "detail"].into_iter().any(has)
        || said && (last || names.into_iter().any(has))
}

/// A Python value as JSON, as far as its brackets go, and its length.
fn repr(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.char_indices().peekable();
    let mut depth = 0_usize;
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '[' | '(' => {
                depth += 1;
                out.push(if c == '(' { '[' } else { c });
            }
            '}' | ']' | ')' => {
                depth = depth.saturating_sub(1);
                out.push(if c == ')' { ']' } else { c });
                if depth == 0 {
                    return (out, at + c.len_utf8());
                }
            }
            '\'' | '"' => string(c, text, &mut chars, &mut out),
            c if c.is_ascii_alphabetic() => {
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                let mut end = at + 1;
                while chars.next_if(|(_, c)| word(*c)).is_some() {
                    end += 1;
                }
                match &text[at..end] {
                    "None" => out.push_str("null"),
                    "True" => out.push_str("true"),
                    "False" => out.push_str("false"),
                    "b" | "r" | "u" if text[end..].starts_with(['\'', '"']) => {}
                    other => out.push_str(other),
                }
            }
            c => out.push(c),
        }
    }
    (out, text.len())
}

/// Copies a Python string, whose quote was just read, as a JSON string.
fn string(
    quote: char,
    text: &str,
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    out: &mut String,
) {
    out.push('"');
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => break,
            '"' => out.push_str("\\\""),
            '\\' => match chars.next() {
                Some((_, '\'')) => out.push('\''),
                Some((_, escape @ ('"' | '\\' | 'n' | 'r' | 't' | 'u'))) => {
                    out.extend(['\\', escape]);
                }
                Some((_, 'x')) if hex(text, at + 2).is_some() => out.push_str("\\u00"),
                Some((_, other)) => out.extend(['\\', '\\', other]),
                None => out.push_str("\\\\"),
            },
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Category, provider::answer};
    use proptest::prelude::*;

    /// Category and message of a text that comes with this status.
    fn read(status: u16, text: &str) -> (Category, String) {
        let body = serde_json::json!({ "error": { "message": text } }).to_string();
        let error = answer(status, &[], &body);
        (error.category(), error.message().to_owned())
    }

    #[test]
    fn every_end_of_litellm_has_a_part_that_is_searched_for() {
        for end in LITELLM_ENDS {
            assert!(IN_LITELLM_ENDS.iter().any(|part| end.contains(part)), "{end:?}");
        }
    }

    #[test]
    fn the_innermost_error_decides_and_its_sentence_is_shown() {
        let long = "This model's maximum context length is 8192 tokens";
        let json = format!(r#"{{"error":{{"message":"{long}","type":"t","code":400}}}}"#);
        let escaped = json.replace('"', "\\\"");
        let dict = format!("{{'error': {{'message': \"{long}\", 'code': None, 'ok': True}}}}");
        let bytes = format!("b'{}'", json.replace('\'', "\\'"));
        for text in [
            json.clone(),
            escaped.clone(),
            dict.clone(),
            bytes.clone(),
            format!("Prefill failed: {json}"),
            format!("Prefill failed: \"{escaped}\""),
            format!("Error code: 400 - {dict}"),
            format!("BadRequestError(\"Error code: 400 - {}\")", dict.replace('"', "\\\"")),
            format!("openai.BadRequestError: Error code: 400 - {dict}"),
            format!(
                "litellm.BadRequestError: OpenAIException - {json}\n\nLiteLLM: model group 'x' failed"
            ),
            format!(
                "litellm.BadRequestError: AzureException BadRequestError - {long}\nReceived Model Group=x"
            ),
            format!("Hit an exception in policy calling an inner server: {bytes}"),
            format!("Server error (HTTP 400): {json}"),
            format!("400: {long}"),
            serde_json::json!({ "detail": dict }).to_string(),
            serde_json::json!({ "detail": format!("400: {json}") }).to_string(),
            serde_json::to_string(&json).unwrap(),
        ] {
            for status in [500, 502, 0] {
                let (category, message) = read(status, &text);
                assert_eq!(category, Category::ContextLengthExceeded, "{status} {text}");
                let front = ["Prefill failed", "Server error (HTTP 400"];
                let front = front.iter().find(|front| text.starts_with(**front));
                let shown = front.map_or(long.to_owned(), |front| format!("{front}: {long}"));
                assert_eq!(message, shown, "{status} {text}");
            }
        }
    }

    #[test]
    fn statuses_and_names_count_where_a_wrapper_puts_them() {
        let table = [
            ("Error code: 429 - {'detail': 'no x'}", Category::RateLimited, "no x"),
            ("Error code: 503", Category::Overloaded, "Error code: 503"),
            ("HTTP 503: no x", Category::Overloaded, "no x"),
            (
                "HTTP Error 401: Unauthorized",
                Category::Authentication,
                "HTTP Error 401: Unauthorized",
            ),
            (
                "Request failed with status code 429",
                Category::RateLimited,
                "Request failed with status code 429",
            ),
            (
                "429 Client Error: Too Many Requests for url: http://x",
                Category::RateLimited,
                "429 Client Error: Too Many Requests for url: http://x",
            ),
            (
                "429 Too Many Requests: slow down",
                Category::RateLimited,
                "429 Too Many Requests: slow down",
            ),
            (
                "429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'x', 'status': 'RESOURCE_EXHAUSTED'}}",
                Category::RateLimited,
                "x",
            ),
            (
                "{'error': {'message': 'no x', 'code': 429}} (request id: 20)",
                Category::RateLimited,
                "no x",
            ),
            (
                "it said {'error': {'message': 'no x', 'code': 429}}, then left",
                Category::RateLimited,
                "it said {'error': {'message': 'no x', 'code': 429}}, then left",
            ),
            ("RateLimitError: no x", Category::RateLimited, "no x"),
            ("litellm.Timeout: Timeout Error: OpenAIException - no x", Category::Timeout, "no x"),
            (
                "litellm.APIError: APIError: OpenAIException - Error code: 405 - {'detail': 'Model is not ready'}",
                Category::ModelNotReady,
                "Model is not ready",
            ),
            (
                "An error occurred (ThrottlingException) when calling the Converse operation (reached max retries: 4): no x",
                Category::RateLimited,
                "no x",
            ),
            ("rpc error: code = Unavailable desc = no x", Category::UpstreamError, "no x"),
            ("rpc error: code = ResourceExhausted desc = no x", Category::RateLimited, "no x"),
            (
                "x: <html><head><title>502 Bad Gateway</title></head></html>",
                Category::UpstreamError,
                "x: <html><head><title>502 Bad Gateway</title></head></html>",
            ),
            (
                "<html><head><title>502 Bad Gateway</title></head></html>",
                Category::UpstreamError,
                "502 Bad Gateway",
            ),
            ("page 429: the author", Category::UpstreamError, "page 429: the author"),
            (
                "PermissionError: [Errno 13] '/x'",
                Category::UpstreamError,
                "PermissionError: [Errno 13] '/x'",
            ),
        ];
        for (text, category, message) in table {
            assert_eq!(read(500, text), (category, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_an_answer_of_this_status_cannot_mean_is_not_believed() {
        assert_eq!(read(429, "503: x").0, Category::RateLimited);
        assert_eq!(read(400, "HTTP 503: x").0, Category::InvalidRequest);
    }

    #[test]
    fn data_that_is_quoted_is_no_error() {
        for text in [
            r#"cannot parse {"message": "hello", "role": "user"} as a tool"#,
            r#"unknown variable ${model} in [a, "b"]"#,
            r#"expected {"type": "object"} at 3"#,
            "a set {'a', 'b'} of words",
            "{}",
            "{",
            "it's",
            "b'",
        ] {
            assert_eq!(read(400, text), (Category::InvalidRequest, text.to_owned()));
        }
    }

    #[test]
    fn inner_names_go_before_outer_ones() {
        let inner =
            r#"{"error":{"message":"m","type":"t","code":"insufficient_quota","param":"p"}}"#;
        let body = serde_json::json!({ "error": { "message": inner, "type": "api_error", "code": "400" } });
        let error = answer(400, &[], &body.to_string());
        assert_eq!(error.category(), Category::QuotaExhausted);
        assert_eq!(
            (error.code(), error.kind(), error.param()),
            (Some("insufficient_quota"), Some("t"), Some("p"))
        );
        assert_eq!(error.provider_status().map(|status| status.as_u16()), Some(400));
        let waits =
            r#"{'error': {'message': 'Rate limit reached, try again in 20s', 'type': 'tokens'}}"#;
        let error = answer(500, &[], &serde_json::json!({ "detail": waits }).to_string());
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(20));
    }

    #[test]
    fn literals_of_python_are_read_as_far_as_they_go() {
        let table = [
            (r"'it\'s'", "it's"),
            (r#""say \"x\"""#, "say \"x\""),
            (r"'a\nb\\n'", "a\nb\\n"),
            (r"'\xc3\xa9'", "é"),
            (r"'\xff\xzz\x'", "\u{fffd}\\xzz\\x"),
            (r"'open", "open"),
            (r"'\", ""),
            ("'", ""),
        ];
        for (text, expected) in table {
            assert_eq!(literal(text), expected, "{text}");
        }
        let table = [
            (
                "{'a': None, \"b\": (1, 'x'), 'c': True}",
                "{\"a\": null, \"b\": [1, \"x\"], \"c\": true}",
            ),
            (r#"{'a': b'x', 'q': 'say "y"'} tail"#, r#"{"a": "x", "q": "say \"y\""}"#),
            (r"{'a': 'it\'s \x41 \q'", r#"{"a": "it's \u0041 \\q""#),
            ("{'a': <object at 0x7f>", "{\"a\": <object at 0x7f>"),
            ("{'a", "{\"a\""),
        ];
        for (text, expected) in table {
            assert_eq!(repr(text).0, expected, "{text}");
        }
    }

    #[test]
    fn hostile_texts_cost_little() {
        let deep = (0..40).fold("x".to_owned(), |text, _| format!("{{'error': b'{text}"));
        let strings = (0..12).fold("{\"message\":\"x\",\"code\":1}".to_owned(), |text, _| {
            serde_json::json!({ "message": text }).to_string()
        });
        let many = 64 * 1024;
        let begin = std::time::SystemTime::now();
        for text in [
            "'".repeat(many),
            "\"".repeat(many),
            "\\".repeat(many),
            "{".repeat(many),
            "{'".repeat(many),
            "[{'".repeat(many),
            "{\\\"".repeat(many),
            "b'".repeat(many),
            "(".repeat(many),
            "litellm.".repeat(many),
            "RateLimitError: ".repeat(many),
            "OpenAIException - ".repeat(many),
            "Error code: 429 - ".repeat(many),
            "\\x".repeat(many),
            "{\"error\":\"\\ud800\\udfff\\u12\"}".repeat(many / 16),
            format!("{{'error': '{}", "\\ud800\\'".repeat(many)),
            deep,
            strings,
        ] {
            let opened = open(&text).unwrap_or_default();
            assert!(opened.text.len() <= text.len());
            let start: String = text.chars().take(2048).collect();
            for text in [&start, &format!("x: {start}"), &format!("Error code: 500 - {start}")] {
                assert!(read(500, text).1.chars().count() <= 2000);
            }
        }
        // Ten times what it takes without optimisation; a square of 64 KiB would take far longer.
        assert!(begin.elapsed().is_ok_and(|took| took.as_secs() < 30), "{:?}", begin.elapsed());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_grows(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("{'"), Just("{\""), Just("b'"), Just("\\"), Just("'"), Just("\""), Just("': "), Just("error"),
                    Just("message"), Just("}"), Just("("), Just("\\x4"), Just("\\ud8"), Just("Error code: 429 - "),
                    Just("RateLimitError("), Just("litellm."), Just("é"), Just("😀"), Just("rpc error: code = "),
                    Just("503: "), Just("HTTP "), Just("<html><h1>"),
                ],
                0..40,
            ),
            noise in ".{0,40}",
        ) {
            let text = format!("{}{noise}", parts.concat());
            for text in [text.clone(), format!("{noise}{text}")] {
                if let Some(opened) = open(&text) {
                    prop_assert!(opened.text.len() <= 4 * text.len());
                    prop_assert!(opened.object.is_none_or(|json| json.len() <= 6 * text.len()));
                }
                let _ = read(500, &text);
            }
        }
    }
}

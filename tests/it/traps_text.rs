//! Text of strangers: what an upstream or a client writes must stay text.

use crate::{
    script::{Script, answer, json as json_answer, stream, text},
    support::{always, json as whole, post, send, stack},
};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, ModelRegistry,
    readiness::{State, UnknownModel},
};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";

fn layer() -> ErrorNormalizationLayer {
    ErrorNormalizationLayer::new()
}

/// JSON that is refused, changed or lost by those who parse it whole.
fn hostile_values() -> Vec<(&'static str, Vec<u8>)> {
    let value = |text: &str| text.as_bytes().to_vec();
    vec![
        ("128 arrays", value(&("[".repeat(128) + &"]".repeat(128)))),
        ("100,000 arrays", value(&("[".repeat(100_000) + &"]".repeat(100_000)))),
        ("100,000 objects", value(&("{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)))),
        ("an infinite number", value("1e999")),
        ("thirty digits", value("123456789012345678901234567890")),
        ("minus zero", value("-0")),
        ("a long fraction", value("0.12345678901234567890123")),
        ("half a surrogate pair", value("\"\\ud800\"")),
        ("no UTF-8", b"\"\xff\xfe\xed\xa0\x80\"".to_vec()),
        ("not a number", value("NaN")),
        ("a raw control character", value("\"a\u{1}b\"")),
        ("duplicate keys", value("{\"a\":1,\"a\":2}")),
    ]
}

// U1 U3 U4 U5
#[tokio::test]
async fn a_hostile_value_beside_the_message_does_not_hide_it() {
    for (name, value) in hostile_values() {
        let body = [b"{\"error\":{\"message\":\"slow down\"},\"x\":", &value[..], b"}"].concat();
        let mut refused = json_answer(Script::frames([&body]));
        *refused.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let (head, out) = text(answer(&layer(), CHAT, refused).await).await;
        let out: Value = serde_json::from_str(&out).unwrap();
        let seen = (head.status.as_u16(), &out["error"]["message"]);
        assert_eq!(seen, (429, &json!("slow down")), "{name}");

        let event = [b"data: ", &body[..], b"\n\n"].concat();
        let begun = Script::frames([TEXT.as_bytes(), &event]);
        let (_, out) = text(answer(&layer(), CHAT, stream(begun)).await).await;
        assert!(out.starts_with(TEXT) && out.contains("\"slow down\""), "{name}: {out}");
    }
}

// U1 U3 U4 U5
#[tokio::test]
async fn a_hostile_value_in_a_healthy_answer_passes_unchanged() {
    for (name, value) in hostile_values() {
        let body = [b"{\"id\":\"x\",\"x\":", &value[..], b"}"].concat();
        for script in [Script::sized(&body), Script::frames(body.chunks(1000))] {
            let answer = answer(&layer(), CHAT, json_answer(script)).await;
            let (head, frames, _) = crate::script::take(answer).await;
            assert_eq!(head.status, 200, "{name}");
            assert_eq!(crate::script::bytes_of(&frames), body, "{name}");
        }
    }
}

// U1 U2 U4 U5
#[tokio::test]
async fn a_hostile_value_in_a_request_does_not_hide_its_model() {
    let models = ModelRegistry::new();
    models.set("m", State::starting());
    let service = stack(models, always(|| whole(200, "{\"id\":\"x\"}")));
    for (name, value) in hostile_values() {
        let body = [b"{\"x\":", &value[..], b",\"model\":\"m\",\"model\":\"n\"}"].concat();
        let request = post(CHAT, "").map(|_| http_body_util::Full::from(body));
        let answer = send(&service, request).await;
        assert_eq!(answer.status(), 503, "{name}");
    }
}

// U2
#[tokio::test]
async fn of_duplicate_keys_the_first_counts() {
    let body =
        "{\"error\":{\"message\":\"one\",\"message\":\"two\"},\"error\":{\"message\":\"three\"}}";
    let mut refused = json_answer(Script::frames([body]));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    let (_, out) = text(answer(&layer(), CHAT, refused).await).await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["error"]["message"], "one");
}

/// Every byte as a character, and what is no better.
fn hostile_texts() -> impl Iterator<Item = String> {
    let bytes = (0..=255_u8).map(|byte| format!("a{}b", char::from(byte)));
    let others = [
        "a\r\nset-cookie: x=1\r\n\r\nb",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "a\u{202e}b\u{2066}c\u{200f}d\u{61c}e",
        "a\u{2028}b\u{2029}c\u{85}d",
        "\u{feff}a",
    ];
    bytes.chain(others.map(str::to_owned))
}

// U6
#[tokio::test]
async fn no_character_of_an_upstream_makes_another_header() {
    let mut counts = std::collections::BTreeMap::new();
    for hostile in hostile_texts() {
        for (path, key) in [(CHAT, "code"), ("/v1/messages", "type"), ("/other", "param")] {
            let error = json!({"message": hostile, key: hostile, "type": hostile});
            let body = json!({"type": "error", "error": error, "request_id": hostile});
            let mut refused = json_answer(Script::frames([body.to_string()]));
            *refused.status_mut() = StatusCode::BAD_REQUEST;
            let (head, out) = text(answer(&layer(), path, refused).await).await;
            assert_eq!(out.lines().count(), 1, "{hostile:?}");
            assert!(serde_json::from_str::<Value>(&out).unwrap()["error"]["message"].is_string());
            // The one header that is made of an upstream's text; only where it is a plain id.
            let id = usize::from(head.headers.contains_key("request-id"));
            for (name, value) in &head.headers {
                let text = value.to_str().unwrap_or_else(|_| panic!("{name} of {hostile:?}"));
                assert!(!text.contains('\t') && text.trim() == text, "{name} of {hostile:?}");
            }
            counts.entry((path, head.headers.len() - id)).or_insert(hostile.clone());
        }
    }
    assert_eq!(counts.len(), 3, "always the same number of headers: {counts:?}");
}

// U7
#[test]
fn an_error_is_one_line_of_a_log_whatever_it_says() {
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for hostile in hostile_texts() {
        let error = InferenceError::new(Category::Timeout, hostile.clone())
            .with_code(hostile.clone())
            .with_kind(hostile.clone())
            .with_param(hostile.clone())
            .with_model(hostile.clone())
            .with_provider(hostile.clone())
            .with_endpoint(hostile.clone())
            .with_request_id(hostile.clone())
            .with_label(hostile.clone());
        for line in [format!("{error}"), format!("{error:?}")] {
            assert!(!line.contains(unfit), "{line:?}");
        }
        assert_eq!(error.message(), hostile, "what was said is kept");
    }
    let error = InferenceError::new(Category::Timeout, "a\n\u{1b}[2J \"é\" 日本 \\");
    assert_eq!(error.to_string(), "timeout: a\\u{a}\\u{1b}[2J \"é\" 日本 \\");
}

// U9
#[tokio::test]
async fn a_page_in_a_message_is_never_served_as_one() {
    let script = "</script><script>alert(1)</script><img src=x onerror=alert(1)>";
    for (content_type, body) in [
        ("application/json", json!({"error": {"message": script}}).to_string()),
        ("text/html", format!("<html><title>{script}</title></html>")),
        ("text/plain", script.to_owned()),
    ] {
        for path in [CHAT, "/v1/messages", "/v1/responses", "/api/chat", "/v2/chat", "/other"] {
            let upstream = Response::builder().status(400).header("content-type", content_type);
            let upstream = upstream.body(Script::frames([&body])).unwrap();
            let (head, out) = text(answer(&layer(), path, upstream).await).await;
            assert_eq!(head.headers["content-type"], "application/json", "{path} {content_type}");
            assert_eq!(head.headers["x-content-type-options"], "nosniff");
            assert!(serde_json::from_str::<Value>(&out).unwrap().is_object());
        }
    }
}

// U6 U10
#[tokio::test]
async fn a_hostile_model_name_stays_a_short_name() {
    let long = ["é".repeat(200), "\u{202e}".repeat(150), "`\"\\".repeat(100)];
    for name in hostile_texts().chain(long) {
        let models = ModelRegistry::new();
        models.set(name.as_str(), State::starting());
        let service = stack(models, always(|| whole(200, "{\"id\":\"x\"}")));
        for path in [CHAT, "/v1/messages", "/v1/responses"] {
            let answer = send(&service, post(path, &json!({"model": name}).to_string())).await;
            let shown = name.chars().take(9).collect::<String>();
            assert_eq!(answer.status(), 503, "{shown:?}");
            let message = &answer.json()["error"]["message"];
            let message = message.as_str().unwrap();
            assert!(message.starts_with("Model `") && message.chars().count() < 300, "{shown:?}");
            assert!(!message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{message:?}");
            assert_eq!(message.matches('`').count(), 2, "{message:?}");
            assert!(answer.text().len() < 4096 && answer.text().lines().count() == 1);
            let names: Vec<_> = answer.headers().keys().map(http::HeaderName::as_str).collect();
            assert_eq!(names.len(), 5, "{shown:?}: {names:?}");
        }
    }
}

// U10
#[tokio::test]
async fn a_model_name_that_is_no_text_is_a_name_of_nothing() {
    let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
    let service = stack(models, always(|| whole(200, "{\"id\":\"x\"}")));
    let megabyte = format!("{{\"model\":\"{}\"}}", "m".repeat(1 << 20));
    for (body, status) in [
        // Not found: what cannot be read in it is U+FFFD.
        (&b"{\"model\":\"\xff\xfe\"}"[..], 404),
        (b"{\"model\":\"\\ud800\"}", 404),
        // No name at all: only the process gate counts.
        (b"{\"model\":7}", 200),
        (b"{\"model\":[\"m\"]}", 200),
        (megabyte.as_bytes(), 200),
    ] {
        let request = post(CHAT, "").map(|_| http_body_util::Full::from(body.to_vec()));
        let answer = send(&service, request).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(30)]);
        assert_eq!(answer.status(), status, "{shown}");
        if status == 404 {
            let message = &answer.json()["error"]["message"];
            assert!(message.as_str().unwrap().contains('\u{fffd}'), "{message}");
        }
    }
}

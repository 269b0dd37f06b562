//! An error that says anything, for the clients of every dialect.
#![no_main]

use arbitrary::Arbitrary;
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::time::Duration;
use tower_inference::{
    Category, InferenceError, RequestHead,
    dialect::{self, Client, Disclosure, ProviderContext, Seen, StatusPolicy, View},
    framing::sse::{Blocks, Event},
    provider::{Failure, Providers},
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    dialect: u8,
    category: u8,
    path: u8,
    options: u8,
    provider_status: u16,
    retry_after: u64,
    next_sequence: u64,
    /// The response a stream began with, what else an error may name, and its message: a line each.
    text: &'a str,
}

const PATHS: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/g:streamGenerateContent?alt=sse",
    "/api/chat",
    "/v2/chat",
    "/v2/models/m/generate_stream",
    "/",
];

fuzz_target!(|input: Input<'_>| {
    let category = Category::ALL[usize::from(input.category) % Category::ALL.len()];
    let mut lines = input.text.splitn(10, '\n').map(str::to_owned);
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let response = line();
    let mut fields = [(); 8].map(|()| line());
    let mut error = InferenceError::new(category, line().unwrap_or_default());
    macro_rules! set {
        ($($with:ident)+) => {
            let mut fields = fields.iter_mut();
            $(if let Some(text) = fields.next().and_then(Option::take) { error = error.$with(text); })+
        };
    }
    set!(with_code with_kind with_param with_model with_provider with_endpoint with_request_id with_label);
    if let Ok(status) = StatusCode::from_u16(input.provider_status) {
        error = error.with_provider_status(status);
    }
    let is_set = |bit: u8| input.options >> bit & 1 == 1;
    if is_set(0) {
        error = error.with_retryable(is_set(1));
    }
    if is_set(2) {
        error = error.with_retry_after(Duration::new(input.retry_after, 1));
    }
    let context = if is_set(3) { ProviderContext::Full } else { ProviderContext::Name };
    let policy = if is_set(4) { StatusPolicy::Provider } else { StatusPolicy::Normalized };
    let disclosure =
        Disclosure::default().redaction(is_set(5)).provider_context(context).status(policy);
    let path = PATHS[usize::from(input.path) % PATHS.len()];
    let request = Request::post(path).body(()).expect("valid");
    let client = Client::of(RequestHead::of(&request));
    let names: Vec<_> = dialect::names().collect();
    let name = names[usize::from(input.dialect) % names.len()];
    let dialect = dialect::named(name).expect("it is one of the names");

    let (head, body) = client.answer(error.clone(), dialect, &disclosure).into_parts();
    if name == "grpc" {
        assert!(head.status == StatusCode::OK && body.is_empty());
        return;
    }
    assert!(head.status.is_client_error() || head.status.is_server_error(), "{}", head.status);
    let wait = head.headers.get("retry-after").map(|it| it.to_str().expect("a number"));
    assert!(wait.is_none_or(|wait| wait.parse::<u64>().is_ok_and(|wait| wait > 0)));
    assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()), "{name}");
    let _ = Providers::auto().read(&Failure::of_answer(head.status, &head.headers, &body));

    let view = View::of(&error, client.operation(), &disclosure);
    assert!(serde_json::from_str::<Value>(&view.extension_members()).is_ok());
    let mut seen = Seen::default();
    seen.next_sequence = input.next_sequence;
    seen.response = response.as_deref().map(str::as_bytes);
    last_word(name, &dialect.last_word(&view, &seen), path == "/api/chat");
});

/// Whole events of JSON.
fn last_word(name: &str, word: &[u8], of_ollama: bool) {
    // Two dialects end a stream as the one does that it was asked for in.
    if name == "ollama" || of_ollama && matches!(name, "fastapi" | "nemo-gym") {
        assert!(word.ends_with(b"\n") && serde_json::from_slice::<Value>(word).is_ok(), "{name}");
        return;
    }
    let (mut blocks, mut rest) = (Blocks::new(), word);
    assert!(!word.is_empty(), "{name}");
    while let Some(end) = blocks.next_end(rest) {
        let data = Event::of(&rest[..end]).data();
        assert!(serde_json::from_slice::<Value>(&data).is_ok(), "{name}: {data:?}");
        rest = &rest[end..];
    }
    assert!(rest.is_empty(), "{name}: half an event");
}

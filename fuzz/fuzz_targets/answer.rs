//! Whole answers of any status, headers and bytes: they pass as they came, or become one of ours.
#![no_main]

use arbitrary::Arbitrary;
use http::{Request, Response, StatusCode};
use http_body::Body;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tower::{Layer, ServiceExt, service_fn};
use tower_inference::{
    ErrorNormalizationLayer, InferenceError, RequestHead, RequestedModel,
    dialect::{self, Client, Disclosure, StatusPolicy},
    error_normalization::{Credentials, Unrecognised},
    provider::Providers,
};
use tower_inference_fuzz::{End, Pieces, Whole, message, read, run, trailers, within_a_day};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    request: u8,
    path: u8,
    dialect: u8,
    provider: u8,
    options: u8,
    status: u16,
    seed: u8,
    end: u8,
    text: &'a [u8],
}

const PATHS: [&str; 16] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/g:generateContent",
    "/v1beta/models/g:streamGenerateContent?alt=sse",
    "/api/chat",
    "/api/pull",
    "/v2/chat",
    "/generate",
    "/v2/models/m/infer",
    "/other",
];

/// The longest answer: a message of 2,000 characters, names, and a code and a type, which may be as
/// long as the body they were read from; every byte may be written as six.
const LONGEST: usize = 1 << 20;

fuzz_target!(|input: Input<'_>| {
    let (headers, text) = message(input.text);
    let request = match input.request % 8 {
        0 => Request::head("/"),
        1 => Request::options("/"),
        2 => Request::get("/").header("upgrade", "websocket"),
        3 => Request::post("/").header("content-type", "application/grpc"),
        4 => Request::post("/").header("anthropic-version", "2023-06-01"),
        5 => Request::post("/").extension(RequestedModel::new("llama-3")),
        _ => Request::post("/"),
    };
    let request = request.uri(PATHS[usize::from(input.path) % PATHS.len()]);
    let request = request.body(()).expect("valid");
    let status = StatusCode::from_u16(100 + input.status % 900).expect("three digits");

    let end = End::of(input.end);
    let mut body = Pieces::new(text, input.seed, end);
    body.lazy = input.options & 1 != 0;
    body.sized = input.options & 2 != 0 && matches!(end, End::Clean | End::Trailers);
    let mut answer = Response::new(body);
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers.clone());
    let mut answer = Some(answer);
    let service = layer(&input).layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(answer.take().expect("called once")))
    }));

    let dialect = dialect::names().nth(usize::from(input.dialect));
    let is_grpc = Client::of(RequestHead::of(&request)).is_grpc() || dialect == Some("grpc");
    let has_no_body = matches!(input.request % 8, 0 | 2);
    let (head, length, whole) = run(async {
        let answer = within_a_day(service.oneshot(request)).await;
        let (head, body) = answer.expect("a head comes").into_parts();
        let length = body.size_hint().exact();
        (head, length, read(body, |_| ()).await)
    });

    if head.extensions.get::<InferenceError>().is_some() {
        assert!(head.status.is_client_error() || head.status.is_server_error() || is_grpc);
        let kept = Whole { text: whole.text.clone(), ..Whole::default() };
        assert_eq!(whole, kept, "it ends as soon as it is said");
        assert_eq!(length, Some(whole.text.len() as u64));
        assert!(whole.text.len() <= LONGEST);
        assert_eq!(whole.text.is_empty(), is_grpc || has_no_body);
        assert!(whole.text.is_empty() || serde_json::from_slice::<Value>(&whole.text).is_ok());
        for gone in ["content-encoding", "transfer-encoding", "etag", "retry-after-ms"] {
            assert!(!head.headers.contains_key(gone), "{gone}");
        }
        let wait = head.headers.get("retry-after").map(|it| it.to_str().expect("a number"));
        assert!(wait.is_none_or(|it| it.parse().is_ok_and(|it: u64| (1..=3600).contains(&it))));
        return;
    }
    assert_eq!(head.status, status);
    if status.is_success() && head.headers != headers || is_stream(&headers) {
        // A stream is watched: see the target of that name.
        return;
    }
    assert_eq!(head.headers, headers);
    let came = Whole {
        text: text.to_vec(),
        trailers: (end == End::Trailers).then(trailers),
        error: (end == End::Error).then(|| "connection reset".to_owned()),
        is_silent: end == End::Silence,
    };
    assert_eq!(whole, came, "it passes as it came");
});

fn is_stream(headers: &http::HeaderMap) -> bool {
    let value = headers.get("content-type").map_or(&b""[..], |it| it.as_bytes());
    let value = value.to_ascii_lowercase();
    [&b"event-stream"[..], b"json"].iter().any(|it| value.windows(it.len()).any(|at| at == *it))
        && !value.starts_with(b"application/json")
}

fn layer(input: &Input<'_>) -> ErrorNormalizationLayer {
    let mut layer = ErrorNormalizationLayer::new();
    if let Some(name) = dialect::names().nth(usize::from(input.dialect)) {
        layer = layer.dialect(dialect::named(name).expect("it is one of the names"));
    }
    if let Some(name) = Providers::names().nth(usize::from(input.provider)) {
        layer = layer.providers(Providers::named(name).expect("it is one of the names"));
    }
    if input.options & 4 != 0 {
        layer = layer.credentials(Credentials::Gateway);
    }
    if input.options & 8 != 0 {
        layer =
            layer.disclosure(Disclosure::default().redaction(false).status(StatusPolicy::Provider));
    }
    if input.options & 16 != 0 {
        layer = layer.unrecognised(Unrecognised::Pass);
    }
    if input.options & 32 != 0 {
        layer = layer.max_error_body(64);
    }
    if input.options & 64 != 0 {
        layer = layer.promote_within(Duration::ZERO).error_body_timeout(Duration::ZERO);
    }
    layer
}

//! Whole answers through the error normalization layer: what passes, is checked, is replaced.

use crate::script::{CHAT, Script, Step, answer, bytes_of, data, json, take, text};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::time::Duration;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, dialect::Problem,
    error_normalization::Credentials,
};

const HEALTHY: &str = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"choices\":[]}";

fn layer() -> ErrorNormalizationLayer {
    ErrorNormalizationLayer::new()
}

fn error_of(body: &str) -> Value {
    let body: Value = serde_json::from_str(body).unwrap();
    let error = &body["error"];
    for member in ["message", "type", "category", "origin"] {
        assert!(error[member].is_string(), "{member} in {body}");
    }
    for member in ["param", "code", "provider_status", "model"] {
        assert!(error.get(member).is_some(), "{member} in {body}");
    }
    error.clone()
}

// H8
#[tokio::test]
async fn a_checked_answer_is_the_same_frame_with_its_headers_and_trailers() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-usage", "3".parse().unwrap());
    let frame = Bytes::from(HEALTHY);
    for sized in [true, false] {
        let body = if sized { Script::sized(&frame) } else { Script::frames([&frame]) };
        let upstream = Response::builder()
            .header("content-type", "application/json")
            .header("etag", "\"x\"")
            .extension("kept")
            .body(body.then(Step::Trailers(trailers.clone())))
            .unwrap();
        let answer = answer(&layer(), CHAT, upstream).await;
        if sized {
            assert_eq!(
                http_body::Body::size_hint(answer.body()).exact(),
                Some(HEALTHY.len() as u64)
            );
        }
        let (head, frames, failed) = take(answer).await;
        assert!(!failed);
        assert_eq!(frames[0].data_ref(), Some(&frame));
        assert_eq!(frames[1].trailers_ref(), Some(&trailers));
        assert_eq!(head.headers["etag"], "\"x\"");
        assert_eq!(head.extensions.get::<&str>(), Some(&"kept"));
    }
}

#[tokio::test]
async fn frames_stay_frames_and_empty_ones_end_nothing() {
    let frames = ["{\"id\":", "", "\"x\"", "}"];
    let (_, out, _) = take(answer(&layer(), CHAT, json(Script::frames(frames))).await).await;
    let texts: Vec<_> = out.iter().filter_map(|frame| frame.data_ref()).collect();
    assert_eq!(texts, frames);
}

// H16
#[tokio::test]
async fn a_200_that_is_an_error_is_replaced() {
    for body in [
        "{\"error\":{\"message\":\"no\",\"code\":429}}",
        "{\"error\":\"no\"}",
        "{\"choices\":[{\"error\":{\"message\":\"no\"}}]}",
        "<html><title>no</title></html>",
        "",
        "   \n",
    ] {
        for script in [Script::sized(body), Script::frames(body.as_bytes().chunks(3))] {
            let (head, text) = text(answer(&layer(), CHAT, json(script)).await).await;
            if body.starts_with("{\"choices") && head.status == 200 {
                // A body of unknown length is released at its first key.
                assert_eq!(text, body);
                continue;
            }
            assert!(head.status.is_client_error() || head.status.is_server_error(), "{body}");
            error_of(&text);
        }
    }
}

// S6 S7
#[tokio::test]
async fn text_that_talks_about_errors_is_an_answer() {
    for body in [
        "{\"id\":\"x\",\"error\":null,\"choices\":[{\"message\":{\"content\":\"{\\\"error\\\":1}\"}}]}",
        "{\"error\":{},\"id\":\"x\"}",
        "[{\"error\":1}]",
    ] {
        let (head, out) = text(answer(&layer(), CHAT, json(Script::sized(body))).await).await;
        assert_eq!((head.status, out.as_str()), (StatusCode::OK, body));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_it_leaves_is_a_502() {
    for body in [Script::sized("{\"id\":"), Script::frames([""])] {
        let answer = answer(&layer(), CHAT, json(body.then(Step::Error("reset")))).await;
        let (head, text) = text(answer).await;
        assert_eq!(
            (head.status, &error_of(&text)["origin"]),
            (StatusCode::BAD_GATEWAY, &"stream".into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_released_as_it_came() {
    let late = Script::new([data("  "), Step::Wait(Duration::from_secs(60)), data(HEALTHY)]);
    let start = tokio::time::Instant::now();
    let answer = answer(&layer(), CHAT, json(late)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(text(answer).await.1, format!("  {HEALTHY}"));
}

#[tokio::test]
async fn a_long_answer_is_decided_at_its_first_key() {
    let long = format!("{{\"id\":\"x\",\"data\":\"{}\"}}", "y".repeat(1 << 20));
    let body = Script::frames(long.as_bytes().chunks(1000)).then(Step::Error("late"));
    let (head, frames, failed) = take(answer(&layer(), CHAT, json(body)).await).await;
    assert_eq!((head.status, failed), (StatusCode::OK, true), "released before it broke");
    assert_eq!(bytes_of(&frames), long.into_bytes());
}

// U9
#[tokio::test]
async fn every_error_status_is_answered_in_the_dialect() {
    for status in 400..600 {
        let status = StatusCode::from_u16(status).unwrap();
        let mut upstream = json(Script::frames(["{\"error\":{\"message\":\"because\"}}"]));
        *upstream.status_mut() = status;
        let (head, text) = text(answer(&layer(), CHAT, upstream).await).await;
        let error = error_of(&text);
        assert_eq!(error["provider_status"], status.as_u16());
        assert_eq!(error["message"], "because");
        assert!(head.status.is_client_error() || head.status.is_server_error());
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
    }
}

/// Bad input: what an upstream may send instead of an error body.
fn bad_bodies() -> Vec<(&'static str, Script)> {
    let endless = std::iter::repeat_with(|| data([b'x'; 4096])).take(100_000);
    vec![
        ("garbage", Script::frames([[0_u8, 255, 254, 1, 2].as_slice()])),
        ("empty", Script::default()),
        ("10 MiB", Script::frames([vec![b'a'; 10 << 20]])),
        ("endless", Script::new(endless)),
        (
            "not UTF-8",
            Script::frames([b"{\"error\":{\"message\":\"\xff\xfe\xed\xa0\x80\"}}".as_slice()]),
        ),
        ("deep", Script::frames(["{\"error\":[".repeat(100_000)])),
        ("deep array", Script::frames(["[".repeat(1 << 20)])),
        ("surrogate", Script::frames(["{\"error\":{\"message\":\"\\ud800\"}}"])),
        ("infinite number", Script::frames(["{\"error\":{\"message\":\"m\",\"code\":1e999}}"])),
        (
            "duplicates",
            Script::frames(["{\"error\":{\"message\":\"a\"},\"error\":{\"message\":\"b\"}}"]),
        ),
        ("cut", Script::frames(["{\"error\":{\"message\":\"cu"]).then(Step::Error("reset"))),
        ("long line", Script::frames(["e".repeat(60_000)])),
    ]
}

// H14 U1 U2 U3 U4 U5
#[tokio::test]
async fn bad_error_bodies_give_a_well_formed_answer() {
    for path in [CHAT, "/v1/messages", "/v1/responses", "/other"] {
        for (name, body) in bad_bodies() {
            let mut upstream = json(body);
            *upstream.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            let (head, text) = text(answer(&layer(), path, upstream).await).await;
            assert_eq!(head.status, 500, "{name}");
            let body: Value = serde_json::from_str(&text).unwrap();
            let message = body["error"]["message"].as_str().unwrap();
            assert!(!message.is_empty() && message.chars().count() <= 2000, "{name}: {message}");
            assert!(text.len() < 8192, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_countless_empty_frames_is_read_only_so_far() {
    let start = tokio::time::Instant::now();
    for (status, expected) in [(500, 500), (200, 200)] {
        let body = Script::frames(vec![""; 20_000]).then(Step::Silence);
        let upstream = Response::builder().status(status).body(body).unwrap();
        assert_eq!(answer(&layer(), CHAT, upstream).await.status(), expected);
    }
    assert!(start.elapsed().is_zero());
}

// H13
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let body = Script::frames(["{\"error\":{\"message\":\"half"]).then(Step::Silence);
    let mut upstream = json(body);
    *upstream.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let start = tokio::time::Instant::now();
    let (head, text) = text(answer(&layer(), CHAT, upstream).await).await;
    assert_eq!((start.elapsed(), head.status.as_u16()), (Duration::from_secs(5), 429));
    assert_eq!(error_of(&text)["category"], "rate_limited");
}

// H10
#[tokio::test]
async fn a_compressed_error_is_replaced_and_not_mislabelled() {
    let upstream = Response::builder()
        .status(429)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(Script::frames([[0x1f, 0x8b, 8, 0]]))
        .unwrap();
    let (head, text) = text(answer(&layer(), CHAT, upstream).await).await;
    assert!(!head.headers.contains_key("content-encoding"));
    assert_eq!(error_of(&text)["category"], "rate_limited");
}

// U12
#[tokio::test]
async fn retry_hints_are_written_anew() {
    let upstream = Response::builder()
        .status(429)
        .header("retry-after-ms", "1500")
        .header("x-should-retry", "false")
        .body(Script::frames([
            "{\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}",
        ]))
        .unwrap();
    let (head, text) = text(answer(&layer(), CHAT, upstream).await).await;
    assert_eq!(head.headers["retry-after"], "2");
    assert_eq!(head.headers["x-should-retry"], "true");
    assert!(!head.headers.contains_key("retry-after-ms"));
    assert_eq!(error_of(&text)["retry_after"], 2);
}

async fn serve<F, Fut>(layer: ErrorNormalizationLayer, method: Method, inner: F) -> Response<Bytes>
where
    F: FnMut(Request<()>) -> Fut,
    Fut: Future<Output = Result<Response<Full<Bytes>>, BoxError>>,
{
    let request = Request::builder().method(method).uri(CHAT).body(()).unwrap();
    let answer = layer.layer(service_fn(inner)).oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn service_errors_are_answered() {
    let answer = serve(layer(), Method::POST, |_| async {
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into())
    });
    let answer = answer.await;
    assert_eq!(answer.status(), 502);
    let error = error_of(std::str::from_utf8(answer.body()).unwrap());
    assert_eq!((&error["origin"], &error["retryable"]), (&"service".into(), &true.into()));
}

// H2
#[tokio::test]
async fn a_request_for_the_head_gets_no_body() {
    let answer = serve(layer(), Method::HEAD, |_| async {
        Ok(Response::builder().status(404).body(Full::default()).unwrap())
    });
    let answer = answer.await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (404, 0));
}

// H3
#[tokio::test]
async fn preflights_and_bodyless_statuses_pass() {
    for (method, status) in
        [(Method::OPTIONS, 403), (Method::POST, 204), (Method::POST, 304), (Method::POST, 307)]
    {
        let answer = serve(layer(), method, move |_| async move {
            Ok(Response::builder()
                .status(status)
                .header("etag", "x")
                .body(Full::default())
                .unwrap())
        });
        let answer = answer.await;
        assert_eq!((answer.status().as_u16(), answer.headers().len()), (status, 1));
    }
}

#[tokio::test]
async fn twice_stacked_the_inner_answer_stays_unless_the_outer_dialect_differs() {
    let failing = || {
        service_fn(async |_: Request<()>| {
            Ok::<_, BoxError>(
                Response::builder().status(503).body(Full::<Bytes>::from("busy")).unwrap(),
            )
        })
    };
    let request = || Request::post(CHAT).body(()).unwrap();
    let take = async |answer: Response<_>| {
        let (head, body): (
            http::response::Parts,
            tower_inference::error_normalization::ResponseBody<_>,
        ) = answer.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let once = take(layer().layer(failing()).oneshot(request()).await.unwrap()).await;
    let answer = layer().layer(layer().layer(failing())).oneshot(request()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(body, once.1);
    assert_eq!(head.extensions.get::<InferenceError>().unwrap().category(), Category::Overloaded);

    let outer = layer().dialect(Problem);
    let answer = outer.layer(layer().layer(failing())).oneshot(request()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["status"], &body["category"]), (&503.into(), &"overloaded".into()));
}

#[tokio::test]
async fn refusals_of_the_gateways_own_credentials_are_not_the_clients() {
    let table = [
        (
            401,
            "{\"error\":{\"message\":\"Incorrect API key provided: sk-x\",\"code\":\"invalid_api_key\"}}",
        ),
        (403, "{\"error\":{\"message\":\"Your organization acme may not\"}}"),
        (
            429,
            "{\"error\":{\"message\":\"You exceeded your quota\",\"code\":\"insufficient_quota\"}}",
        ),
    ];
    let gateway = layer().credentials(Credentials::Gateway);
    for (status, body) in table {
        let upstream = || {
            Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .header("www-authenticate", "Bearer")
                .header("openai-organization", "acme")
                .header("set-cookie", "a=b")
                .header("x-request-id", "req_1")
                .body(Script::frames([body]))
                .unwrap()
        };
        let (head, text) = text(answer(&gateway, CHAT, upstream()).await).await;
        assert_eq!(head.status, 502, "{body}");
        assert_eq!(head.headers["x-should-retry"], "false");
        assert_eq!(head.headers["x-request-id"], "req_1");
        for name in ["www-authenticate", "openai-organization", "set-cookie"] {
            assert!(!head.headers.contains_key(name), "{name}");
        }
        let error = error_of(&text);
        assert_eq!(
            (&error["category"], &error["provider_status"]),
            (&"upstream_error".into(), &Value::Null)
        );
        assert!(
            !text.contains("acme") && !text.contains("quota") && !text.contains("key"),
            "{text}"
        );
        assert_eq!(answer(&layer(), CHAT, upstream()).await.status(), status, "the client's own");
    }
}

//! Heads: any path, any headers, and how long they ask to wait.
#![no_main]

use arbitrary::Arbitrary;
use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, SystemTime};
use tower_inference::{
    RequestHead,
    dialect::{Client, Operation},
    error::retry_after,
};
use tower_inference_fuzz::message;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    now: u32,
    max: u16,
    text: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let (headers, rest) = message(input.text);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(input.now.into());
    let max = Duration::from_secs(input.max.into());
    assert!(retry_after::from_headers(&headers, now, max).is_none_or(|wait| wait <= max));
    if let Ok(text) = std::str::from_utf8(rest) {
        assert!(retry_after::from_text(text, max).is_none_or(|wait| wait <= max));
        let _ = retry_after::go_duration(text);
    }
    let Ok(uri) = Uri::try_from(rest) else { return };
    let mut request = Request::post(uri).body(()).expect("its parts are valid");
    *request.headers_mut() = headers;
    let head = RequestHead::of(&request);
    if let Some(model) = head.path_model() {
        assert!(!model.is_empty() && head.uri().path().contains(model));
    }
    let client = Client::of(head);
    assert_eq!(client.operation(), Operation::of(head));
    assert!(!client.is_grpc() || !client.is_recognised());
});

//! An error answer of an upstream, read and written anew; `bare` does as much as a handler does that
//! parses it into a `serde_json::Value` and writes three members of it into another.

use super::Work;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use std::hint::black_box;
use tower_inference::{
    RequestHead,
    dialect::{Client, Disclosure},
    provider::{Failure, Providers},
};

/// An error of so many bytes, as OpenAI writes it; a trace fills it up.
fn body(size: usize) -> Bytes {
    let open = "{\"error\":{\"message\":\"The server had an error while processing your request.\",\
                \"type\":\"server_error\",\"param\":null,\"code\":null,\"trace\":\"";
    let line = "at step 12 of the model's \\\"forward\\\" pass\\n";
    let close = "\"}}";
    let fill = size - open.len() - close.len();
    let mut trace = line.repeat(fill / line.len());
    trace.push_str(&".".repeat(fill - trace.len()));
    format!("{open}{trace}{close}").into()
}

fn ours(size: usize) -> Work {
    let (body, headers) = (body(size), HeaderMap::new());
    let (providers, disclosure) = (Providers::auto(), Disclosure::default());
    let request = Request::post("/v1/chat/completions").body(()).expect("is a request");
    let client = Client::of(RequestHead::of(&request));
    let mut work: Work = Box::new(move |times| {
        for _ in 0..times {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let error = providers.read(&Failure::of_answer(status, &headers, black_box(&body)));
            black_box(client.answer(error, client.dialect(), &disclosure));
        }
    });
    // What is made once, for all answers.
    work(1);
    work
}

fn value(size: usize) -> Work {
    let body = body(size);
    Box::new(move |times| {
        for _ in 0..times {
            let error: Value = serde_json::from_slice(black_box(&body)).expect("is JSON");
            let error = &error["error"];
            let written = json!({"error": {
                "message": error["message"],
                "type": error["type"],
                "code": error["code"],
            }});
            black_box(serde_json::to_vec(&written).expect("is JSON"));
        }
    })
}

macro_rules! cases {
    ($($group:ident: $size:expr;)*) => {
        $(pub(crate) mod $group {
            use super::*;

            pub(crate) fn bare() -> Work {
                super::value($size)
            }

            pub(crate) fn ours() -> Work {
                super::ours($size)
            }
        })*
    };
}

cases! {
    error_of_200_bytes: 200;
    error_of_2_kb: 2_000;
    error_of_4_kb: 4_000;
    error_of_32_kb: 32_000;
    error_of_64_kb: 64_000;
}

//! The `model` of a request's body: its first key, its last, and the last after a large image.

use super::Work;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, hint::black_box};
use tower_inference::framing::json_keys::{FindString, Found};

const MODEL: &str = "\"model\":\"meta-llama/Llama-3.1-8B-Instruct\"";

/// A conversation of about so many bytes.
fn messages(size: usize) -> String {
    let turn = "{\"role\":\"user\",\"content\":\"Tell me \\\"more\\\" about it, please.\\nAnd be brief.\"},";
    let turns = turn.repeat(size / turn.len());
    format!("\"messages\":[{}]", turns.trim_end_matches(','))
}

fn image(size: usize) -> String {
    let data = "iVBORw0KGgo+".repeat(size / 12);
    format!(
        "\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"image_url\",\
         \"image_url\":{{\"url\":\"data:image/png;base64,{data}\"}}}}]}}]"
    )
}

fn first(size: usize) -> Bytes {
    format!("{{{MODEL},{}}}", messages(size)).into()
}

fn last(size: usize) -> Bytes {
    format!("{{{},{MODEL}}}", messages(size)).into()
}

fn last_after_image(size: usize) -> Bytes {
    format!("{{{},{MODEL}}}", image(size)).into()
}

fn ours(body: &Bytes) -> Work {
    let body = body.clone();
    let look = |body: &Bytes| {
        let found = FindString::new("model", 1024).push(black_box(body));
        assert!(matches!(black_box(found), Some(Found::Value(_))), "is there");
    };
    // The first time, `memchr` asks what the processor can do.
    look(&body);
    Box::new(move |times| (0..times).for_each(|_| look(&body)))
}

fn value(body: &Bytes) -> Work {
    let body = body.clone();
    Box::new(move |times| {
        for _ in 0..times {
            let value: Value = serde_json::from_slice(black_box(&body)).expect("is JSON");
            black_box(value["model"].as_str().map(str::to_owned));
        }
    })
}

fn typed(body: &Bytes) -> Work {
    #[derive(Deserialize)]
    struct Model<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }

    let body = body.clone();
    Box::new(move |times| {
        for _ in 0..times {
            let value: Model<'_> = serde_json::from_slice(black_box(&body)).expect("is JSON");
            black_box(value.model.into_owned());
        }
    })
}

macro_rules! cases {
    ($($group:ident: $body:expr;)*) => {
        $(pub(crate) mod $group {
            use super::*;

            pub(crate) fn bare() -> Work {
                value(&$body)
            }

            pub(crate) fn ours() -> Work {
                super::ours(&$body)
            }

            pub(crate) fn typed() -> Work {
                super::typed(&$body)
            }
        })*
    };
}

cases! {
    model_first_in_100_kb: first(100_000);
    model_last_in_100_kb: last(100_000);
    model_last_in_200_kb: last(200_000);
    model_after_10_mb: last_after_image(10_000_000);
}

//! What a dialect writes, the provider of the same name reads back: gateways may stand in a row.

use crate::script::{self, Script};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tower_inference::{
    Category, ErrorNormalizationLayer, InferenceError, RequestHead,
    dialect::{self, Client, Dialect, Disclosure},
    provider::{self, Failure, Provider},
};

/// A wire format that both sides know.
struct Format {
    path: &'static str,
    dialect: &'static dyn Dialect,
    provider: &'static dyn Provider,
    /// Categories that this format writes alike: any of them may be read back.
    alike: &'static [&'static [Category]],
    /// Where the body says the code; `None` if the format has none.
    code: Option<&'static str>,
}

/// The code tells all categories apart, except that a 502 which knows nothing and one which says so
/// are the same to a reader.
const OPENAI: Format = Format {
    path: "/v1/chat/completions",
    dialect: &dialect::OpenAi,
    provider: &provider::OpenAi,
    alike: &[&[Category::UpstreamError, Category::Unknown]],
    code: Some("/error/code"),
};

/// With a code of the provider's, only type and status are left.
const OPENAI_WITH_FOREIGN_CODE: Format = Format {
    alike: &[
        &[Category::UpstreamError, Category::Unknown],
        &[Category::InvalidRequest, Category::ContextLengthExceeded, Category::ContentFilter],
        &[Category::NotFound, Category::ModelNotFound],
        &[Category::Overloaded, Category::ModelNotReady],
    ],
    ..OPENAI
};

/// No code at all, and types coarser than the categories.
const ANTHROPIC: Format = Format {
    path: "/v1/messages",
    dialect: &dialect::Anthropic,
    provider: &provider::Anthropic,
    alike: &[
        &[
            Category::InvalidRequest,
            Category::ContextLengthExceeded,
            Category::ContentFilter,
            Category::Unsupported,
        ],
        &[Category::NotFound, Category::ModelNotFound],
        &[Category::RateLimited, Category::QuotaExhausted],
        &[Category::Overloaded, Category::ModelNotReady],
        &[Category::UpstreamError, Category::Unknown, Category::Cancelled],
    ],
    code: None,
};

/// A sentence and the status, nothing else.
const FASTAPI: Format = Format {
    path: "/v1/chat/completions",
    dialect: &dialect::Detail,
    provider: &provider::FastApi,
    alike: &[
        &[Category::InvalidRequest, Category::ContextLengthExceeded, Category::ContentFilter],
        &[Category::NotFound, Category::ModelNotFound],
        &[Category::RateLimited, Category::QuotaExhausted],
        &[Category::Overloaded, Category::ModelNotReady],
        &[Category::UpstreamError, Category::Unknown],
    ],
    code: None,
};

/// The same: its type is the reason phrase, its code the number of the status.
const OPENAI_FLAT: Format =
    Format { dialect: &dialect::OpenAiFlat, provider: &provider::OpenAiFlat, ..FASTAPI };

impl Format {
    fn write(&self, error: InferenceError) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::post(self.path).body(()).expect("the path is valid");
        let client = Client::of(RequestHead::of(&request));
        let (parts, body) = client.answer(error, self.dialect, &Disclosure::default()).into_parts();
        (parts.status, parts.headers, body.to_vec())
    }

    fn may_read(&self, written: Category, read: Category) -> bool {
        let alike = self.alike.iter().find(|alike| alike.contains(&written));
        written == read || alike.is_some_and(|alike| alike.contains(&read))
    }

    /// What is lost on the way of this error, whose wait should be read as `wait`, in words.
    fn lost(&self, error: &InferenceError, wait: Option<Duration>) -> Vec<String> {
        let (status, headers, body) = self.write(error.clone());
        let failure = Failure::of_answer(status, &headers, &body);
        let Some(read) = self.provider.read(&failure) else {
            return vec![format!("{error}: not recognised")];
        };
        let mut lost = Vec::new();
        if !self.may_read(error.category(), read.category()) {
            lost.push(format!("{}: read as {}", error.category(), read.category()));
        }
        if !read.message().starts_with(error.message()) {
            lost.push(format!("{error}: message {:?}", read.message()));
        }
        if let Some(pointer) = self.code {
            let value: Value = serde_json::from_slice(&body).expect("bodies are JSON");
            let written = value.pointer(pointer).and_then(Value::as_str);
            if read.code() != written || (error.code().is_some() && error.code() != written) {
                lost.push(format!("{error}: code {written:?} read as {:?}", read.code()));
            }
        }
        if read.retry_after() != wait {
            lost.push(format!("{error}: wait {wait:?} read as {:?}", read.retry_after()));
        }
        lost
    }

    #[track_caller]
    fn assert_nothing_is_lost(&self, code: Option<&'static str>) {
        let mut lost = Vec::new();
        for category in Category::ALL {
            // Every format has the header `retry-after`: whole seconds, rounded up.
            for (millis, seconds) in [(None, None), (Some(7000), Some(7)), (Some(1500), Some(2))] {
                let mut error = InferenceError::new(category, "it broke");
                if let Some(code) = code {
                    error = error.with_code(code);
                }
                if let Some(millis) = millis {
                    error = error.with_retry_after(Duration::from_millis(millis));
                }
                lost.extend(self.lost(&error, seconds.map(Duration::from_secs)));
            }
        }
        assert!(lost.is_empty(), "{lost:#?}");
    }
}

#[test]
fn openai_carries_category_code_and_wait() {
    OPENAI.assert_nothing_is_lost(None);
}

#[test]
fn openai_carries_the_code_of_a_provider() {
    OPENAI_WITH_FOREIGN_CODE.assert_nothing_is_lost(Some("its_code"));
}

#[test]
fn anthropic_carries_its_coarser_types_and_the_wait() {
    ANTHROPIC.assert_nothing_is_lost(None);
    ANTHROPIC.assert_nothing_is_lost(Some("its_code"));
}

#[test]
fn openai_flat_carries_the_status_and_the_wait() {
    OPENAI_FLAT.assert_nothing_is_lost(None);
    OPENAI_FLAT.assert_nothing_is_lost(Some("its_code"));
}

#[test]
fn fastapi_carries_the_status_and_the_wait() {
    FASTAPI.assert_nothing_is_lost(None);
    FASTAPI.assert_nothing_is_lost(Some("its_code"));
}

/// A gateway before a gateway: what the inner one says last of a stream, the outer one says again.
#[tokio::test]
async fn a_last_word_is_read_and_written_again_in_every_dialect() {
    let streams = [
        ("/v1/chat/completions", "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n"),
        ("/v1/responses", "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n"),
        (
            "/v1/messages",
            "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Hi\"}}\n\n",
        ),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}\n\n",
        ),
        ("/api/chat", "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n"),
        ("/v2/chat", "data: {\"type\":\"content-delta\",\"delta\":{}}\n\n"),
    ];
    for (path, text) in streams {
        let sse = text.starts_with("data");
        let content_type = if sse { "text/event-stream" } else { "application/x-ndjson" };
        let answer = |frames: Vec<Vec<u8>>| {
            let body = Script::frames(frames);
            Response::builder().header("content-type", content_type).body(body).unwrap()
        };
        for category in Category::ALL {
            let error = json!({ "error": {
                "message": "it broke", "category": category.as_str(),
                "retryable": category.is_retryable(), "origin": "upstream", "retry_after": 7,
            } });
            let event = if sse { format!("data: {error}\n\n") } else { format!("{error}\n") };
            let mut frames = vec![text.as_bytes().to_vec(), event.into_bytes()];
            for _ in 0..2 {
                let upstream = answer(frames);
                let layer = ErrorNormalizationLayer::new();
                let (_, out, _) = script::take(script::answer(&layer, path, upstream).await).await;
                frames = out.iter().map(|frame| frame.data_ref().unwrap().to_vec()).collect();
            }
            let last = String::from_utf8(frames.concat()).unwrap();
            for said in [format!("\"category\":\"{category}\""), "it broke".to_owned()] {
                assert!(last.contains(&said), "{path}: {said} is not in {last}");
            }
            assert!(last.contains("\"retry_after\":7"), "{path}: {last}");
        }
    }
}

#[test]
fn the_extension_members_carry_what_types_and_statuses_cannot() {
    for format in [OPENAI, ANTHROPIC] {
        for category in Category::ALL {
            let error = InferenceError::new(category, "it broke")
                .with_code("its_code")
                .with_provider("openai")
                .with_retry_after(Duration::from_millis(1500));
            let (_, _, body) = format.write(error);
            let value: Value = serde_json::from_slice(&body).unwrap();
            let object = &value["error"];
            assert_eq!(object["category"], category.as_str());
            assert_eq!(object["retryable"], category.is_retryable());
            assert_eq!(object["retry_after"], 2);
            assert_eq!(object["provider_context"]["code"], "its_code");
        }
    }
}

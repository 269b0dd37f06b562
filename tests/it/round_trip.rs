//! What a dialect writes, the provider of the same name reads back: gateways may stand in a row.

use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use std::time::Duration;
use tower_inference::{
    Category, InferenceError, RequestHead,
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

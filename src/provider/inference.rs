//! Answers of this very crate: an upstream may be a gateway that has already read the failure.

use super::{Failure, Provider, said};
use crate::error::{Category, InferenceError};
use http::StatusCode;
use std::time::Duration;

/// Restores an error from the members that every [dialect](crate::dialect) carries: `category`,
/// `retryable` and `origin` are the mark, in the `error` object or at the top.
#[derive(Clone, Copy, Debug)]
pub struct Inference;

impl Provider for Inference {
    fn name(&self) -> &'static str {
        "inference"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let places = [body.get("error"), body.get("response").get("error"), body];
        let error = places.into_iter().find(|place| place.get("category").string().is_some())?;
        let (name, retryable) = (error.get("category").string()?, error.get("retryable").boolean()?);
        error.get("origin").string()?;
        let category = Category::ALL.into_iter().find(|category| category.as_str() == name)?;
        let message = said::message(error)
            .or_else(|| said::message(body))
            .unwrap_or_else(|| super::fallback::message(failure).into());
        let mut read = failure.error(self, category, &message).with_retryable(retryable);

        let context = error.get("provider_context");
        let told = if context.is_object() { context } else { error };
        let text = |key| told.get(key).text().filter(|text| !text.is_empty());
        if let Some(provider) = text("provider") {
            read = read.with_provider(provider.into_owned());
        }
        if let Some(code) = text("code") {
            read = read.with_code(code.into_owned());
        }
        if let Some(kind) = text("type") {
            read = read.with_kind(kind.into_owned());
        }
        if let Some(id) = text("request_id") {
            read = read.with_request_id(id.into_owned());
        }
        if let Some(param) = error.get("param").string() {
            read = read.with_param(param.into_owned());
        }
        if let Some(model) = error.get("model").string() {
            read = read.with_model(model.into_owned());
        }
        let status = error.get("provider_status").number().and_then(|n| u16::try_from(n).ok());
        if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
            read = read.with_provider_status(status);
        }
        if let (Some(seconds), None) = (error.get("retry_after").number(), read.retry_after()) {
            let wait = Duration::from_secs(seconds).min(failure.max_retry_after());
            read = read.with_retry_after(wait);
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    #[test]
    fn an_error_that_was_read_already_is_restored() {
        let members = r#""category":"content_filter","retryable":true,"retry_after":9,"provider_status":418,
            "model":"m","origin":"upstream","provider_context":{"provider":"azure","code":"c","type":"t","request_id":"r"}"#;
        for body in [
            format!(r#"{{"error":{{"message":"x","type":"invalid_request_error","code":"content_filter",{members}}}}}"#),
            format!(r#"{{"type":"about:blank","title":"t","status":400,"detail":"x",{members}}}"#),
        ] {
            for status in [400, 0] {
                let error = answer(status, &[], &body);
                assert_eq!((error.category(), error.message()), (Category::ContentFilter, "x"));
                assert_eq!((error.provider(), error.code(), error.kind()), (Some("azure"), Some("c"), Some("t")));
                assert_eq!(error.provider_status().map(|s| s.as_u16()), Some(418));
                assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(9));
                assert!(error.is_retryable());
                assert_eq!((error.model(), error.request_id()), (Some("m"), Some("r")));
            }
        }
    }

    #[test]
    fn a_category_of_somebody_else_is_not_ours() {
        for body in [
            r#"{"error":{"message":"x","category":"content_filter"}}"#,
            r#"{"error":{"message":"x","category":"auth","retryable":true,"origin":"upstream"}}"#,
            r#"{"error":{"message":"x","category":"timeout","retryable":"yes","origin":"upstream"}}"#,
        ] {
            assert_eq!(answer(400, &[], body).category(), Category::InvalidRequest, "{body}");
        }
    }
}

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

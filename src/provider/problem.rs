//! Problem details (RFC 9457): `{"type","title","status","detail"}`.

use super::{Failure, Provider, said::{self, Said}};
use crate::error::InferenceError;

/// Reads problem details: NVIDIA NIM, Replicate, and whoever says `application/problem+json`.
///
/// `type` is an address, whose last part is taken for a name.
#[derive(Clone, Copy, Debug)]
pub struct Problem;

impl Provider for Problem {
    fn name(&self) -> &'static str {
        "problem"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let kind = failure.header("content-type").unwrap_or_default();
        let declared = kind.to_ascii_lowercase().starts_with("application/problem+json");
        let detail = body.get("detail").string();
        let numbered = body.get("status").number().is_some();
        let shaped = numbered && (detail.is_some() || body.get("title").string().is_some());
        if !body.is_object() || !(declared || shaped) {
            return None;
        }
        let mut said = Said::of(body);
        said.message = detail.or_else(|| said::message(body)).unwrap_or_default();
        said.kind = said.kind.filter(|kind| kind != "about:blank");
        let name = said.kind.as_deref().and_then(|kind| kind.trim_end_matches('/').rsplit('/').next());
        said.names.extend(name.map(|name| name.to_owned().into()));
        Some(said.error(failure, self))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn details_go_before_titles() {
        let declared = [("content-type", "application/problem+json")];
        let table: [(u16, &[(&str, &str)], _, _, _); 4] = [
            (403, &declared, r#"{"type":"https://example.com/credit","title":"No credit","detail":"d"}"#, Category::Permission, "d"),
            (404, &declared, r#"{"type":"about:blank","title":"Gone"}"#, Category::NotFound, "Gone"),
            (400, &[], r#"{"status":400,"title":"t","detail":"DEGRADED function cannot be invoked"}"#, Category::Overloaded, "DEGRADED function cannot be invoked"),
            (0, &[], r#"{"status":429,"title":"Too Many Requests"}"#, Category::RateLimited, "Too Many Requests"),
        ];
        for (status, headers, body, category, message) in table {
            let error = answer(status, headers, body);
            assert_eq!((error.category(), error.message()), (category, message), "{body}");
            assert_eq!(error.provider(), Some("problem"));
            assert_ne!(error.kind(), Some("about:blank"));
        }
    }
}

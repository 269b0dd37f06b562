//! MiniMax: `{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, with a 200.

use super::{Failure, Provider, said::Said};
use crate::{
    error::{Category, InferenceError},
    framing::json::Json,
};

/// Reads a `base_resp` whose `status_code` is not 0.
///
/// | `status_code` | category |
/// |---|---|
/// | 1001 | timeout |
/// | 1002, 1039, 1041 | rate limited: requests, tokens, connections |
/// | 1004, 2049 | authentication |
/// | 1008, 2056 | quota exhausted |
/// | 1026, 1027 | content filter |
/// | 1042, 2013 | invalid request |
/// | other | upstream error |
///
/// Source: the error codes of `platform.minimax.io/docs/api-reference/errorcode`.
#[derive(Clone, Copy, Debug)]
pub struct MiniMax;

impl Provider for MiniMax {
    fn name(&self) -> &'static str {
        "minimax"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let base = failure.json().get("base_resp");
        let code = failure_code(base)?;
        let mut said = Said::text(base.get("status_msg").string().unwrap_or_default());
        said.category = Some(match code {
            1001 => Category::Timeout,
            1002 | 1039 | 1041 => Category::RateLimited,
            1004 | 2049 => Category::Authentication,
            1008 | 2056 => Category::QuotaExhausted,
            1026 | 1027 => Category::ContentFilter,
            1042 | 2013 => Category::InvalidRequest,
            _ => Category::UpstreamError,
        });
        said.code = Some(code.to_string().into());
        Some(said.error(failure, self))
    }
}

/// The code of a `base_resp` that says that something went wrong.
pub(super) fn failure_code(base: Json<'_>) -> Option<u64> {
    base.get("status_code").number().filter(|code| *code > 0)
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn numbers_decide_in_an_answer_that_looks_well() {
        for (code, category) in [
            (1002, Category::RateLimited),
            (1008, Category::QuotaExhausted),
            (1027, Category::ContentFilter),
            (2013, Category::InvalidRequest),
            (2049, Category::Authentication),
            (1000, Category::UpstreamError),
        ] {
            let body = format!(
                r#"{{"id":"x","choices":null,"base_resp":{{"status_code":{code},"status_msg":"no luck"}}}}"#
            );
            let error = answer(200, &[], &body);
            assert_eq!((error.category(), error.message()), (category, "no luck"), "{code}");
            assert_eq!(error.provider(), Some("minimax"));
        }
        let well = r#"{"base_resp":{"status_code":0,"status_msg":""},"message":"x"}"#;
        assert_ne!(answer(500, &[], well).provider(), Some("minimax"));
    }
}

//! Servers that leave out the `error` around it: `{"message","type","param","code"}`.

use super::{Failure, Provider, said::Said};
use crate::error::InferenceError;

/// Reads bodies with a `message` at the top: Dynamo, vLLM before 0.10, SGLang, TensorRT-LLM,
/// LMDeploy, Cerebras, Mistral, Cohere, DashScope, TorchServe, Kong, and AWS Bedrock, whose name of
/// the failure is in the header `x-amzn-errortype`.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiFlat;

impl Provider for OpenAiFlat {
    fn name(&self) -> &'static str {
        "openai-flat"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let keys = ["message", "Message", "msg", "html-message", "error_code"];
        if !keys.iter().any(|key| body.get(key).is_truthy()) {
            return None;
        }
        let mut said = Said::of(body);
        // `Name:http://internal.amazon.com/…`; gateways put `__type` into the body instead.
        let header = failure.header("x-amzn-errortype").map(Into::into);
        if let Some(name) = header.or_else(|| body.get("__type").string()) {
            let name = name.split(':').next().unwrap_or_default().to_owned();
            said.names.insert(0, name.clone().into());
            said.kind.get_or_insert(name.into());
        }
        Some(said.error(failure, self))
    }
}

//! Servers that leave out the `error` around it: `{"message","type","param","code"}`.

use super::{Failure, Provider, said::Said};
use crate::error::InferenceError;

/// Reads bodies with a `message` at the top: Dynamo, vLLM before 0.10, SGLang, TensorRT-LLM,
/// LMDeploy, Cerebras, Mistral, Cohere, DashScope, TorchServe, Kong, and AWS Bedrock, whose name of
/// the failure is in the header `x-amzn-errortype`; with `error_msg` instead: Qianfan, Huawei, APISIX;
/// in a `fault`: Apigee, WSO2; in a `requestStatus`: NVIDIA NIM; with a `name` and sentences as `errors`: Stability AI.
#[derive(Clone, Copy, Debug)]
pub struct OpenAiFlat;

impl Provider for OpenAiFlat {
    fn name(&self) -> &'static str {
        "openai-flat"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let within = ["fault", "requestStatus"].map(|key| body.get(key));
        let within = within.into_iter().find(|it| it.is_object());
        let keys = ["message", "Message", "msg", "html-message", "error_code", "error_msg"];
        let name = body.get("name").string().filter(|_| body.get("errors").is_array());
        if !keys.iter().any(|key| body.get(key).is_truthy()) && within.is_none() && name.is_none() {
            return None;
        }
        let mut said = Said::of(within.unwrap_or(body));
        said.names.extend(name);
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

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn reason_phrases_numbers_and_names_decide() {
        let table = [
            (404, r#"{"message":"Model not found","type":"Not Found","code":404}"#, Category::ModelNotFound),
            (503, r#"{"message":"m","type":"Service Unavailable","code":503}"#, Category::Overloaded),
            (507, r#"{"message":"m","type":"Overloaded","code":507}"#, Category::Overloaded),
            (499, r#"{"message":"m","type":"Client Closed Request","code":499}"#, Category::Cancelled),
            (501, r#"{"message":"m","type":"Not Implemented","code":501}"#, Category::Unsupported),
            (0, r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#, Category::InvalidRequest),
            (0, r#"{"object":"error","message":"m","type":"InternalServerError"}"#, Category::UpstreamError),
            (400, r#"{"requestStatus":{"statusCode":"INVALID_REQUEST","statusDescription":"Token is invalid"}}"#, Category::Authentication),
            (403, r#"{"id":"0","name":"content_moderation","errors":["m"]}"#, Category::ContentFilter),
            (422, r#"{"message":{"detail":[{"loc":["body","x"],"msg":"bad"}]}}"#, Category::InvalidRequest),
        ];
        for (status, body, expected) in table {
            let error = answer(status, &[], body);
            assert_eq!(error.category(), expected, "{body}");
        }
    }

    #[test]
    fn aws_names_the_failure_in_a_header() {
        let name = "ThrottlingException:http://internal.amazon.com/coral/";
        let error = answer(400, &[("x-amzn-errortype", name)], r#"{"message":"m"}"#);
        assert_eq!((error.category(), error.kind()), (Category::RateLimited, Some("ThrottlingException")));
    }
}

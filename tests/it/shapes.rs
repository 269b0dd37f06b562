//! Who claims which shape: the table of `provider`, and a body or more for every provider.
//!
//! Bodies follow the documentation of those who send them; the words are ours.

use http::{HeaderMap, StatusCode, header::HeaderName};
use tower_inference::provider::{Failure, Providers};

/// A shape, and the provider that it belongs to.
struct Shape {
    provider: &'static str,
    /// The name that is shown: the provider's, unless somebody signed the answer.
    shown: &'static str,
    /// Whose answer this is.
    sender: &'static str,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Providers that would claim it too, were they asked first: what makes the order matter.
    also: &'static [&'static str],
}

const NONE: &[(&str, &str)] = &[];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PROBLEM: &[(&str, &str)] = &[("content-type", "application/problem+json")];
const PAGE: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
const TEXT: &[(&str, &str)] = &[("content-type", "text/plain")];
const REJECTED: &[(&str, &str)] = &[("x-mofa-backend", "rejected(no agent is free)")];
const THROTTLED: &[(&str, &str)] =
    &[("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/coral/")];

macro_rules! shapes {
    ($($provider:literal $(as $shown:literal)?, $sender:literal, $status:literal, $headers:expr, $body:expr, [$($also:literal),*];)+) => {
        &[$(Shape { provider: $provider, shown: [$($shown,)? $provider][0], sender: $sender, status: $status, headers: $headers, body: $body, also: &[$($also),*] },)+]
    };
}

const SHAPES: &[Shape] = shapes! {
    "inference", "this crate, OpenAI's dialect", 503, JSON,
        r#"{"error":{"message":"The model is starting","type":"server_error","param":null,"code":"model_not_ready","category":"model_not_ready","retryable":true,"origin":"readiness"}}"#, ["openai"];
    "inference", "this crate, Anthropic's dialect", 529, JSON,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Busy","category":"overloaded","retryable":true,"origin":"upstream"}}"#, ["anthropic", "openai"];
    "inference", "this crate, problem details", 504, PROBLEM,
        r#"{"type":"about:blank","title":"Gateway Timeout","status":504,"detail":"Too late","category":"timeout","retryable":true,"origin":"stream"}"#, ["problem"];
    "anthropic", "Anthropic", 429, JSON,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"Too many requests this minute"},"request_id":"req_1"}"#, ["openai"];
    "anthropic", "SGLang, /v1/messages", 503, JSON,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Internal server error"}}"#, ["openai"];
    "anthropic", "Envoy AI Gateway", 500, JSON,
        r#"{"type":"error","error":{"type":"OpenAIBackendError","code":"500","message":"backend is gone"}}"#, ["openai"];
    "mofa", "MoFA", 503, REJECTED,
        r#"{"error":{"message":"rejected","type":"server_error","code":null}}"#, ["openai"];
    "mofa", "MoFA before ac7dd98a", 200, REJECTED,
        r#"{"choices":[{"message":{"content":"[rejected] no agent is free"}}]}"#, [];
    "minimax", "MiniMax", 200, JSON,
        r#"{"choices":null,"base_resp":{"status_code":1008,"status_msg":"The balance is used up"}}"#, [];
    "google", "Gemini", 400, JSON,
        r#"{"error":{"code":400,"message":"The key is not valid","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#, ["openai"];
    "google", "Vertex AI, in an array", 429, JSON,
        r#"[{"error":{"code":429,"message":"Resource is used up","status":"RESOURCE_EXHAUSTED"}}]"#, ["openai"];
    "cloudflare", "Workers AI", 429, JSON,
        r#"{"success":false,"errors":[{"code":3040,"message":"No capacity"}],"messages":[],"result":null}"#, [];
    "cloudflare", "Cloudflare's AI Gateway", 400, JSON,
        r#"{"success":false,"error":[{"code":2001,"message":"Configure the gateway"}]}"#, [];
    "openai", "OpenAI", 404, JSON,
        r#"{"error":{"message":"There is no model x","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#, [];
    "openai", "OpenAI, with a status outside", 401, TEXT,
        r#"{"error":{"message":"Wrong key","type":"invalid_request_error","param":null,"code":"invalid_api_key"},"status":401}"#, [];
    "openai", "OpenAI, the Responses API", 0, NONE,
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"It broke"}}}"#, [];
    "openai" as "azure", "Azure, with a filter", 400, JSON,
        r#"{"error":{"message":"Filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#, [];
    "openai", "vLLM from 0.10", 400, JSON,
        r#"{"error":{"message":"n must be 1","type":"BadRequestError","param":"n","code":400}}"#, [];
    "openai", "llama.cpp", 503, JSON,
        r#"{"error":{"code":503,"message":"Loading","type":"unavailable_error"}}"#, [];
    "openai" as "openrouter", "OpenRouter", 402, JSON,
        r#"{"error":{"code":402,"message":"No credits","metadata":{"provider_name":"x"}},"user_id":"u"}"#, [];
    "openai", "OpenRouter, in a choice", 0, NONE,
        r#"{"id":"gen-1","choices":[{"finish_reason":"error","error":{"code":502,"message":"It broke"}}]}"#, [];
    "openai", "DashScope, as OpenAI", 400, JSON,
        r#"{"error":{"code":"Arrearage","message":"In arrears","type":"Arrearage","param":null},"request_id":"r"}"#, [];
    "openai", "GitHub Models", 413, JSON,
        r#"{"error":{"code":"tokens_limit_reached","message":"Too large","details":"Too large"}}"#, [];
    "openai", "Together", 429, JSON,
        r#"{"id":"o1","error":{"message":"Slow down","type":"dynamic_request_limited","param":null,"code":null}}"#, [];
    "openai", "sglang-router", 503, JSON,
        r#"{"error":{"type":"Service Unavailable","code":"no_available_workers","message":"None is healthy"}}"#, [];
    "problem", "NVIDIA NIM", 404, JSON,
        r#"{"status":404,"title":"Not Found","detail":"No such function for this account"}"#, [];
    "problem", "Replicate", 429, JSON,
        r#"{"title":"Throttled","detail":"Slow down","status":429,"retry_after":5}"#, [];
    "problem", "a server that declares it, without a status", 403, PROBLEM,
        r#"{"type":"https://example.com/errors/region","title":"Not here","detail":"Not in this region"}"#, ["fastapi"];
    "openai-flat", "vLLM to 0.9, SGLang", 400, JSON,
        r#"{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}"#, [];
    "openai-flat" as "dynamo", "Dynamo", 529, JSON,
        r#"{"message":"All workers are busy","type":"Overloaded","code":529}"#, [];
    "openai-flat", "TEI, as OpenAI", 429, JSON,
        r#"{"message":"Overloaded","code":429,"type":"overloaded"}"#, [];
    "openai-flat" as "bedrock", "Bedrock", 429, THROTTLED,
        r#"{"message":"Too many tokens"}"#, [];
    "openai-flat" as "cohere", "Cohere", 400, JSON,
        r#"{"id":"c","message":"invalid request: no messages"}"#, [];
    "openai-flat" as "mistral", "Mistral, details in the message", 422, JSON,
        r#"{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"too large"}]},"type":"invalid_request_error","param":null,"code":null}"#, [];
    "openai-flat" as "databricks", "Databricks", 404, JSON,
        r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No such endpoint","details":[]}"#, [];
    "openai-flat" as "lmdeploy", "LMDeploy's proxy", 200, JSON,
        r#"{"error_code":10402,"text":"Too late"}"#, [];
    "openai-flat" as "dashscope", "DashScope", 400, JSON,
        r#"{"code":"InvalidParameter","message":"Too long","request_id":"r"}"#, [];
    "openai-flat" as "qianfan", "Qianfan", 200, JSON,
        r#"{"error_code":17,"error_msg":"That is all for today"}"#, [];
    "openai-flat", "Apigee", 429, JSON,
        r#"{"fault":{"faultstring":"Too fast","detail":{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}"#, [];
    "openai-flat", "NVIDIA's functions", 400, JSON,
        r#"{"requestStatus":{"statusCode":"INVALID_REQUEST","statusDescription":"Wrong token"}}"#, [];
    "openai-flat", "Stability AI", 403, JSON,
        r#"{"id":"0","name":"content_moderation","errors":["Flagged"]}"#, [];
    "openai-flat" as "portkey", "Portkey", 400, JSON,
        r#"{"status":"failure","message":"No provider is given"}"#, [];
    "openai-flat", "Spring and its like", 404, JSON,
        r#"{"timestamp":"2026-11-20T00:00:00Z","status":404,"error":"Not Found","message":"No handler","path":"/v1"}"#, ["error-text"];
    "error-text", "Ollama", 404, JSON,
        r#"{"error":"model 'x' not found"}"#, [];
    "error-text" as "tgi", "TGI", 429, JSON,
        r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, [];
    "error-text" as "huggingface", "Hugging Face", 503, JSON,
        r#"{"error":"Model x is loading","estimated_time":20.0}"#, [];
    "error-text" as "xai", "xAI", 400, JSON,
        r#"{"code":"Client specified an invalid argument","error":"Wrong key"}"#, [];
    "error-text", "Triton, KServe", 404, JSON,
        r#"{"error":"Model x is unknown"}"#, [];
    "fastapi", "FastAPI", 401, JSON,
        r#"{"detail":"Unauthorized"}"#, [];
    "fastapi", "FastAPI, a list", 422, JSON,
        r#"{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]}"#, [];
    "fastapi", "NeMo Gym", 429, JSON,
        r#"{"detail":{"error":{"category":"rate_limit","status_code":429,"message":"Slow down"}}}"#, [];
    "fastapi", "a status that is a word", 404, JSON,
        r#"{"status":"error","detail":"No such model"}"#, [];
    "html", "nginx", 502, PAGE,
        "<html>\r\n<head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>", [];
    "html", "HAProxy, with a wrong label", 503, JSON,
        "<html><body><h1>503 Service Unavailable</h1>\nNo server is there.\n</body></html>", [];
    "text" as "envoy", "Envoy", 503, TEXT, "no healthy upstream", [];
    "text", "NeMo Gym, a body in a string", 500, JSON,
        r#""Hit an exception in x calling an inner server: b'{\"detail\":\"no\"}'""#, [];
    "text", "members that nobody knows", 500, JSON, r#"{"reason_given":"none"}"#, [];
    "unknown", "Caddy", 502, NONE, "", [];
    "unknown", "a healthy member", 500, JSON, r#"{"error":null}"#, [];
};

/// Claim whatever they are asked.
const CATCH_ALL: [&str; 3] = ["text", "unknown", "nemo-gym"];

/// The providers that are asked unless another is chosen, in their order; after them come those that
/// are chosen by name.
fn shapes() -> impl Iterator<Item = &'static str> {
    Providers::names().take_while(|name| *name != "nemo-gym")
}

fn claimant(providers: &Providers, shape: &Shape) -> String {
    let headers: HeaderMap = shape
        .headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let body = shape.body.as_bytes();
    let failure = match StatusCode::from_u16(shape.status) {
        Ok(status) => Failure::of_answer(status, &headers, body),
        Err(_) => Failure::of_event(body),
    };
    providers.read(&failure).provider().unwrap().to_owned()
}

#[test]
fn no_shape_is_claimed_by_a_stranger() {
    for shape in SHAPES {
        assert_eq!(
            claimant(&Providers::auto(), shape),
            shape.shown,
            "{}: {}",
            shape.sender,
            shape.body
        );
    }
}

#[test]
fn whoever_else_would_claim_a_shape_is_asked_later() {
    let names: Vec<_> = shapes().collect();
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap();
    for shape in SHAPES {
        let claims = |name: &&&str| claimant(&Providers::named(name).unwrap(), shape) == **name;
        let strangers =
            names.iter().filter(|name| **name != shape.provider && !CATCH_ALL.contains(name));
        let also: Vec<_> = strangers.filter(claims).copied().collect();
        assert!(claims(&&shape.provider), "{}", shape.sender);
        assert_eq!(also, shape.also, "{}: {}", shape.sender, shape.body);
        assert!(also.iter().all(|name| place(name) > place(shape.provider)), "{}", shape.sender);
    }
}

#[test]
fn every_provider_has_a_shape() {
    for name in shapes() {
        assert!(SHAPES.iter().any(|shape| shape.provider == name), "{name} has no shape");
    }
}

#[test]
fn one_that_claims_every_shape_is_asked_only_by_name() {
    let chosen = Providers::named("nemo-gym").unwrap();
    for shape in SHAPES {
        assert_eq!(claimant(&chosen, shape), "nemo-gym", "{}", shape.sender);
    }
}

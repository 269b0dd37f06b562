//! Who wrote an answer, where it says so: many servers share a shape, few sign it.
//!
//! A provider of this crate reads a *shape*; whose it is does not change what it means, but it is
//! what an operator looks for first. Rules:
//!
//! 1. A header or member counts only if nobody else sends it. Headers that a proxy adds to what it
//!    passes on (`cf-ray`, `x-kong-*`, `helicone-*`) say who forwarded an answer, not who wrote it.
//! 2. What is not signed keeps the name of its shape: `openai`, `error-text`.
//! 3. Pages and plain text are signed by the `server` that writes them itself, or in their text.

use super::{Failure, minimax};
use crate::framing::json::Json;

/// Those who write in shapes that are read already: names that can be chosen.
pub(super) const NAMES: &[&str] = &[
    "ai21",
    "aphrodite",
    "aws",
    "aws-alb",
    "aws-api-gateway",
    "azure",
    "bedrock",
    "bentoml",
    "caddy",
    "cerebras",
    "cloudflare-ai-gateway",
    "cohere",
    "dashscope",
    "databricks",
    "deepinfra",
    "deepseek",
    "dynamo",
    "envoy",
    "envoy-ai-gateway",
    "fireworks",
    "github-models",
    "gpustack",
    "groq",
    "haproxy",
    "helicone",
    "huggingface",
    "infinity",
    "kong",
    "kserve",
    "kubernetes",
    "litellm",
    "llama.cpp",
    "llm-d",
    "lmdeploy",
    "lmstudio",
    "localai",
    "mistral",
    "mistral.rs",
    "mlx-lm",
    "moonshot",
    "nebius",
    "new-api",
    "nginx",
    "novita",
    "nvidia-nim",
    "ollama",
    "one-api",
    "openresty",
    "openrouter",
    "perplexity",
    "portkey",
    "production-stack",
    "qianfan",
    "ray-serve",
    "replicate",
    "sambanova",
    "sglang",
    "sglang-router",
    "siliconflow",
    "tei",
    "tensorflow-serving",
    "tensorrt-llm",
    "tenstorrent",
    "tgi",
    "together",
    "torchserve",
    "traefik",
    "triton",
    "varnish",
    "vertex",
    "vllm",
    "voyage",
    "workers-ai",
    "xai",
    "xinference",
    "zhipu",
];

/// The shapes that others share; what the rest reads is theirs alone.
const SHARED: &[&str] = &[
    "anthropic",
    "openai",
    "problem",
    "openai-flat",
    "error-text",
    "fastapi",
    "html",
    "text",
    "unknown",
];

/// Headers, or how they begin, of those who write what they send.
const HEADERS: &[(&str, &str)] = &[
    ("x-litellm-", "litellm"),
    ("x-portkey-", "portkey"),
    ("x-amz-apigw-", "aws-api-gateway"),
    ("x-amzn-bedrock-", "bedrock"),
    ("x-ms-region", "azure"),
    ("apim-request-id", "azure"),
    ("x-groq-", "groq"),
    ("x-generation-id", "openrouter"),
    ("x-smg-", "sglang-router"),
    ("x-llm-d-", "llm-d"),
    ("nvcf-", "nvidia-nim"),
];

/// What servers call themselves when they answer, not when they forward.
const SERVERS: &[(&str, &str)] = &[
    ("llama.cpp", "llama.cpp"),
    ("awselb/", "aws-alb"),
    ("kong/", "kong"),
    ("caddy", "caddy"),
    ("envoy", "envoy"),
    ("istio-envoy", "envoy"),
    ("varnish", "varnish"),
];

/// How pages and texts are signed.
const SIGNED: &[(&str, &str)] = &[
    ("<center>nginx", "nginx"),
    ("<center>openresty", "openresty"),
    ("<center>cloudflare", "cloudflare"),
    ("cf-error-details", "cloudflare"),
    ("varnish cache server", "varnish"),
    ("upstream connect error or disconnect/reset before headers", "envoy"),
    ("no healthy upstream", "envoy"),
];

/// The errors that Bedrock's API reference lists for its models; other services of AWS say others.
const BEDROCK: &[&str] = &[
    "AccessDeniedException",
    "ConflictException",
    "InternalServerException",
    "ModelErrorException",
    "ModelNotReadyException",
    "ModelStreamErrorException",
    "ModelTimeoutException",
    "ResourceNotFoundException",
    "ServiceQuotaExceededException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "ValidationException",
];

/// Whoever signed a failure that was read as a shape of this name.
pub(super) fn name(failure: &Failure<'_>, shape: &str) -> Option<&'static str> {
    if !SHARED.contains(&shape) {
        return None;
    }
    let bare = matches!(shape, "html" | "text" | "unknown");
    let signed = || if bare { of_text(failure) } else { of_body(failure.json()) };
    if failure.header_names().next().is_none() {
        return signed();
    }
    of_aws(failure)
        .or_else(|| of_headers(failure))
        .or_else(signed)
        .or_else(|| of_server(failure, bare))
}

fn of_aws(failure: &Failure<'_>) -> Option<&'static str> {
    if failure.header("x-amz-apigw-id").is_some() {
        return Some("aws-api-gateway");
    }
    let name = failure.header("x-amzn-errortype")?.split(':').next()?;
    Some(if BEDROCK.contains(&name) { "bedrock" } else { "aws" })
}

fn of_headers(failure: &Failure<'_>) -> Option<&'static str> {
    let sent = |begin: &str| failure.header_names().any(|name| name.starts_with(begin));
    HEADERS.iter().find(|(begin, _)| sent(begin)).map(|(_, name)| *name)
}

/// A bare answer is the server's own; of others only a server that serves models itself is.
fn of_server(failure: &Failure<'_>, bare: bool) -> Option<&'static str> {
    let server = failure.header("server")?.to_ascii_lowercase();
    let known = SERVERS.iter().find(|(begin, _)| server.starts_with(begin));
    let (_, name) = known.filter(|(_, name)| bare || matches!(*name, "llama.cpp" | "kong"))?;
    Some(name)
}

fn of_text(failure: &Failure<'_>) -> Option<&'static str> {
    let body = failure.body();
    let start = String::from_utf8_lossy(&body[..body.len().min(16 * 1024)]).to_ascii_lowercase();
    SIGNED.iter().find(|(words, _)| start.contains(words)).map(|(_, name)| *name)
}

fn of_body(body: Json<'_>) -> Option<&'static str> {
    let has = |key: &str| !body.get(key).is_missing();
    let word = |key: &str| body.get(key).string();
    let error = body.get("error");
    if minimax::failure_code(body.get("base_resp")).is_some() {
        return Some("minimax");
    }
    if error.is_object() {
        return of_error(body, error);
    }
    if error.string().is_some() {
        return match word("error_type") {
            Some(kind) if kind.starts_with(|c: char| c.is_ascii_uppercase()) => Some("tei"),
            Some(_) => Some("tgi"),
            None if has("estimated_time") => Some("huggingface"),
            None if has("signin_url") => Some("ollama"),
            None if word("code").is_some() && is(body, &["code", "error"]) => Some("xai"),
            None => None,
        };
    }
    let kind = word("type");
    let kind = kind.as_deref().unwrap_or_default();
    let message = word("message");
    let said = |begin: &str| message.as_deref().is_some_and(|message| message.starts_with(begin));
    let typed = body.get("code").number().is_some() && is(body, &["message", "type", "code"]);
    match () {
        () if has("html-message") => Some("portkey"),
        () if message.is_some() && word("status").as_deref() == Some("failure") => Some("portkey"),
        () if word("kind").as_deref() == Some("Status") && has("apiVersion") => Some("kubernetes"),
        () if has("raw_status_code") || body.get("message").get("detail").is_array() => {
            Some("mistral")
        }
        () if has("partial_response") => Some("mistral.rs"),
        () if has("__type") => Some("aws"),
        () if word("error_code").is_some() && message.is_some() => Some("databricks"),
        () if has("error_code") && has("error_msg") && word("error_code").is_none() => {
            Some("qianfan")
        }
        () if has("error_code") && has("text") => Some("lmdeploy"),
        () if has("statusCode") && is(body, &["statusCode", "message"]) => Some("azure"),
        () if word("code").is_some() && is(body, &["code", "message", "request_id"]) => {
            Some("dashscope")
        }
        () if is(body, &["code", "reason", "message", "metadata"]) => Some("novita"),
        () if word("id").is_some() && is(body, &["id", "message"]) => Some("cohere"),
        () if said("too many tokens:") || said("invalid request:") => Some("cohere"),
        () if typed && kind.ends_with("Exception") => Some("torchserve"),
        () if typed && (kind == "Overloaded" || kind.contains(' ')) => Some("dynamo"),
        () if word("detail").is_some_and(|detail| detail.starts_with("[address=")) => {
            Some("xinference")
        }
        () if has("invalid_fields") => Some("replicate"),
        () => None,
    }
}

fn of_error(body: Json<'_>, error: Json<'_>) -> Option<&'static str> {
    let has = |key: &str| !error.get(key).is_missing();
    let word = |key: &str| error.get(key).string();
    let code = word("code");
    let code = code.as_deref().unwrap_or_default();
    let numbered =
        code.len() == 4 && code.starts_with('1') && code.bytes().all(|b| b.is_ascii_digit());
    let kind = word("type");
    let finish = body.get("finish_reason").string();
    let upper = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_ascii_lowercase());
    match kind.as_deref().unwrap_or_default() {
        _ if begins(error.get("message"), "litellm.") => Some("litellm"),
        _ if !error.get("metadata").get("provider_name").is_missing() => Some("openrouter"),
        _ if has("innererror") || code == "DeploymentNotFound" => Some("azure"),
        _ if has("failed_generation") => Some("groq"),
        _ if body.get("loading").is_object() => Some("localai"),
        _ if body.get("provider").string().is_some() => Some("portkey"),
        _ if finish.is_some_and(|finish| upper(&finish)) => Some("cohere"),
        "one_api_error" => Some("one-api"),
        "new_api_error" => Some("new-api"),
        "exceed_context_size_error" => Some("llama.cpp"),
        "" if numbered && !has("param") => Some("zhipu"),
        _ if numbered
            && word("message").is_some_and(|said| said.starts_with(&format!("[{code}]"))) =>
        {
            Some("zhipu")
        }
        _ => None,
    }
}

/// Whether a string begins so, which is plain words.
fn begins(string: Json<'_>, words: &str) -> bool {
    let Some(text) = string.raw().strip_prefix(b"\"") else { return false };
    let start = &text[..text.len().min(words.len())];
    if start.contains(&b'\\') {
        return string.string().is_some_and(|text| text.starts_with(words));
    }
    start == words.as_bytes()
}

/// Whether an object has these members and no others.
fn is(object: Json<'_>, keys: &[&str]) -> bool {
    object.members().count() == keys.len() && keys.iter().all(|key| !object.get(key).is_missing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Providers, answer};

    type Row = (u16, &'static [(&'static str, &'static str)], &'static str, &'static str);

    #[test]
    fn whoever_signs_is_named() {
        const AWS: &str = "x-amzn-errortype";
        let table: &[Row] = &[
            (429, &[(AWS, "ThrottlingException:http://x")], r#"{"message":"m"}"#, "bedrock"),
            (403, &[(AWS, "UnrecognizedClientException")], r#"{"message":"m"}"#, "aws"),
            (
                403,
                &[(AWS, "ForbiddenException"), ("x-amz-apigw-id", "i")],
                r#"{"message":"m"}"#,
                "aws-api-gateway",
            ),
            (429, &[("x-litellm-version", "1")], r#"{"error":{"message":"m"}}"#, "litellm"),
            (429, &[], r#"{"error":{"message":"litellm.RateLimitError: m"}}"#, "litellm"),
            (
                429,
                &[("x-litellm-call-id", "1")],
                r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#,
                "litellm",
            ),
            (500, &[], r#"{"html-message":"<html></html>"}"#, "portkey"),
            (400, &[], r#"{"status":"failure","message":"m"}"#, "portkey"),
            (
                502,
                &[],
                r#"{"error":{"code":502,"message":"m","metadata":{"provider_name":"x"}}}"#,
                "openrouter",
            ),
            (
                400,
                &[],
                r#"{"error":{"code":"content_filter","message":"m","innererror":{"code":"x"}}}"#,
                "azure",
            ),
            (
                429,
                &[("apim-request-id", "i")],
                r#"{"error":{"code":"429","message":"m"}}"#,
                "azure",
            ),
            (
                400,
                &[],
                r#"{"error":{"message":"m","type":"t","code":"tool_use_failed","failed_generation":"x"}}"#,
                "groq",
            ),
            (429, &[], r#"{"error":{"code":"1302","message":"m"}}"#, "zhipu"),
            (
                429,
                &[],
                r#"{"type":"error","error":{"type":"rate_limit_error","code":"1113","message":"[1113][m][i]"}}"#,
                "zhipu",
            ),
            (429, &[], r#"{"error":{"code":"429","message":"m"}}"#, "openai"),
            (
                429,
                &[],
                r#"{"object":"error","message":"m","type":"t","code":"1300","raw_status_code":429}"#,
                "mistral",
            ),
            (
                422,
                &[],
                r#"{"object":"error","message":{"detail":[{"msg":"m"}]},"type":"t"}"#,
                "mistral",
            ),
            (
                400,
                &[],
                r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#,
                "openai-flat",
            ),
            (400, &[], r#"{"id":"i","message":"m"}"#, "cohere"),
            (400, &[], r#"{"message":"invalid request: m"}"#, "cohere"),
            (500, &[], r#"{"message":"m"}"#, "openai-flat"),
            (
                400,
                &[],
                r#"{"code":"InvalidParameter","message":"m","request_id":"i"}"#,
                "dashscope",
            ),
            (404, &[], r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"m"}"#, "databricks"),
            (200, &[], r#"{"error_code":17,"error_msg":"m"}"#, "qianfan"),
            (429, &[], r#"{"error":"m","error_type":"overloaded"}"#, "tgi"),
            (429, &[], r#"{"error":"m","error_type":"Overloaded"}"#, "tei"),
            (503, &[], r#"{"error":"m","estimated_time":3}"#, "huggingface"),
            (401, &[], r#"{"error":"unauthorized","signin_url":"u"}"#, "ollama"),
            (404, &[], r#"{"error":"model 'x' not found"}"#, "error-text"),
            (400, &[], r#"{"code":"c","error":"m"}"#, "xai"),
            (529, &[], r#"{"message":"m","type":"Overloaded","code":529}"#, "dynamo"),
            (
                503,
                &[],
                r#"{"code":503,"type":"ServiceUnavailableException","message":"m"}"#,
                "torchserve",
            ),
            (
                503,
                &[("server", "llama.cpp")],
                r#"{"error":{"code":503,"message":"m","type":"t"}}"#,
                "llama.cpp",
            ),
            (503, &[("server", "envoy")], r#"{"error":{"message":"m"}}"#, "openai"),
            (503, &[("server", "envoy")], "no healthy upstream", "envoy"),
            (502, &[], "<html><h1>502</h1><hr><center>nginx/1.2</center></html>", "nginx"),
            (502, &[("server", "awselb/2.0")], "<html><h1>502</h1></html>", "aws-alb"),
            (
                502,
                &[("cf-ray", "r"), ("server", "cloudflare")],
                r#"{"error":{"message":"m"}}"#,
                "openai",
            ),
            (502, &[("server", "Caddy")], "", "caddy"),
            (
                403,
                &[],
                r#"{"kind":"Status","apiVersion":"v1","message":"m","code":403}"#,
                "kubernetes",
            ),
            (429, &[], r#"{"status":429,"title":"m"}"#, "problem"),
        ];
        for (status, headers, body, expected) in table {
            assert_eq!(answer(*status, headers, body).provider(), Some(*expected), "{body}");
        }
    }

    #[test]
    fn a_name_that_is_chosen_is_shown_for_every_answer_of_an_api() {
        let headers = http::HeaderMap::new();
        let read = |name: &str, body: &str| {
            let failure =
                Failure::of_answer(http::StatusCode::BAD_GATEWAY, &headers, body.as_bytes());
            Providers::named(name).unwrap().read(&failure).provider().map(str::to_owned)
        };
        for name in NAMES {
            for body in [
                r#"{"error":"m"}"#,
                r#"{"message":"m"}"#,
                r#"{"error":{"message":"m"}}"#,
                r#"{"detail":"m"}"#,
            ] {
                assert_eq!(read(name, body).as_deref(), Some(*name), "{body}");
            }
        }
        assert_eq!(read("cohere", "<html><h1>502</h1></html>").as_deref(), Some("html"));
        assert_eq!(
            read("openai", r#"{"error":{"message":"litellm.x"}}"#).as_deref(),
            Some("openai")
        );
    }

    #[test]
    fn names_are_in_order_and_belong_to_no_shape() {
        assert!(NAMES.is_sorted());
        let shapes = ["google", "cloudflare", "mofa", "minimax", "nemo-gym"];
        assert!(NAMES.iter().all(|name| !SHARED.contains(name) && !shapes.contains(name)));
        let named = HEADERS.iter().chain(SERVERS).chain(SIGNED).map(|(_, name)| name);
        assert!(named.into_iter().all(|name| NAMES.contains(name) || shapes.contains(name)));
    }
}

//! Words in messages: the last resort, where no structured field says enough.
//!
//! A row holds words that must all be there (without case), the statuses it is valid for, and whose
//! words they are. Rows that are more specific stand first. A failure without a status, such as an
//! event of a stream, is open to every row.

use crate::error::Category;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

struct Row(&'static [&'static str], &'static [u16], Category);

const BAD: &[u16] = &[400, 422];
/// Where servers report a prompt that is too long.
const LONG: &[u16] = &[400, 413, 422, 500];
const NO_MODEL: &[u16] = &[400, 403, 404, 410, 422];
const NOT_READY: &[u16] = &[400, 405, 424, 429, 500, 502, 503];
const BUSY: &[u16] = &[429, 498, 500, 503, 529];
const MONEY: &[u16] = &[400, 401, 402, 403, 412, 429, 500];
/// Where credentials are refused.
const REFUSED: &[u16] = &[400, 401, 403];

const ROWS: &[Row] = &[
    // Allowance and money.
    Row(&["concurrent requests quota exceeded"], &[429], Category::RateLimited), // Vertex AI
    Row(&["exceeded your current quota"], &[403, 429], Category::QuotaExhausted), // OpenAI
    Row(&["exceeded current quota"], &[403, 429], Category::QuotaExhausted),     // Moonshot
    Row(&["quota exceeded", "per day"], &[429], Category::QuotaExhausted),       // Google
    Row(&["insufficient balance"], MONEY, Category::QuotaExhausted), // DeepSeek, MiniMax, Zhipu
    Row(&["insufficient credits"], MONEY, Category::QuotaExhausted), // OpenRouter
    Row(&["credit balance is too low"], MONEY, Category::QuotaExhausted), // Anthropic
    Row(&["credits or licenses"], MONEY, Category::QuotaExhausted),  // xAI
    Row(&["used all available credits"], MONEY, Category::QuotaExhausted), // xAI
    Row(&["spend limit"], MONEY, Category::QuotaExhausted),          // Anthropic
    Row(&["spending limit"], MONEY, Category::QuotaExhausted),       // xAI
    Row(&["extra usage is required"], &[429], Category::QuotaExhausted), // Anthropic
    Row(&["budget has been exceeded"], MONEY, Category::QuotaExhausted), // LiteLLM
    Row(&["quota is not enough"], &[403, 429], Category::QuotaExhausted), // one-api
    Row(&["not enough balance"], MONEY, Category::QuotaExhausted),   // Novita
    Row(&["your specified api usage limits"], MONEY, Category::QuotaExhausted), // Anthropic
    Row(&["quota exceeded"], &[403], Category::QuotaExhausted),
    Row(&["out of call volume quota"], &[403], Category::QuotaExhausted), // Azure API Management
    Row(&["free allocated quota exceeded"], &[403, 429], Category::QuotaExhausted), // DashScope
    Row(&["quota has been used up"], &[401, 403, 429], Category::QuotaExhausted), // Huawei
    Row(&["daily request limit reached"], &[429], Category::QuotaExhausted), // Qianfan
    Row(&["credits are depleted"], MONEY, Category::QuotaExhausted),      // Google AI Studio
    Row(&["free tier", "has been exhausted"], MONEY, Category::QuotaExhausted), // DashScope
    Row(&["额度已用尽"], &[401, 403, 429], Category::QuotaExhausted), // new-api: a token's allowance
    Row(&["reached your", "usage limit"], &[429], Category::RateLimited), // Ollama
    Row(&["reached your", "usage limit"], &[403], Category::QuotaExhausted), // Moonshot
    Row(&["free-models-per-day"], &[429], Category::QuotaExhausted),  // OpenRouter
    Row(&["key limit exceeded"], &[403], Category::QuotaExhausted),   // OpenRouter
    Row(&["api calls / month"], &[429], Category::QuotaExhausted),    // Cohere
    Row(&["balance is insufficient"], MONEY, Category::QuotaExhausted), // SiliconFlow
    Row(&["exhausted balance"], MONEY, Category::QuotaExhausted),     // fal
    Row(&["top up your"], MONEY, Category::QuotaExhausted),           // fal, Moonshot
    Row(&["run out of credits"], MONEY, Category::QuotaExhausted),    // xAI
    Row(&["exceeds your quota"], MONEY, Category::QuotaExhausted),    // ElevenLabs
    Row(&["no payment method"], MONEY, Category::QuotaExhausted),     // OpenCode
    Row(&["budget", "reached its limit"], MONEY, Category::QuotaExhausted), // Databricks
    Row(&["quota insufficient"], MONEY, Category::QuotaExhausted),    // new-api
    Row(&["预扣费额度失败"], MONEY, Category::QuotaExhausted), // new-api: too little to begin with
    Row(&["额度不足"], MONEY, Category::QuotaExhausted), // new-api: the allowance does not suffice
    Row(&["额度已用完"], MONEY, Category::QuotaExhausted), // sub2api: the allowance is used up
    Row(&["no quota left"], MONEY, Category::QuotaExhausted), // Higress
    Row(&["余额不足"], MONEY, Category::QuotaExhausted), // most in China: too little money
    Row(&["token quota is exceeded"], &[403], Category::QuotaExhausted), // Azure API Management
    // The prompt is too long.
    Row(&["context length"], LONG, Category::ContextLengthExceeded), // OpenAI, vLLM, SGLang
    Row(&["context_length_exceeded"], LONG, Category::ContextLengthExceeded),
    Row(&["context window"], LONG, Category::ContextLengthExceeded), // OpenAI Responses
    Row(&["exceed context limit"], LONG, Category::ContextLengthExceeded), // Anthropic
    Row(&["prompt is too long"], LONG, Category::ContextLengthExceeded), // Anthropic
    Row(&["input is too long for requested model"], LONG, Category::ContextLengthExceeded), // AWS
    Row(&["reduce the length of the messages"], LONG, Category::ContextLengthExceeded), // Groq
    Row(&["range of input length"], LONG, Category::ContextLengthExceeded), // DashScope
    Row(&["number of tokens in the prompt"], LONG, Category::ContextLengthExceeded), // Cohere
    Row(&["exceeded model token limit"], LONG, Category::ContextLengthExceeded), // Moonshot
    Row(&["exceeds max model length"], LONG, Category::ContextLengthExceeded), // Tenstorrent
    Row(&["must have less than", "tokens"], LONG, Category::ContextLengthExceeded), // TGI, TEI
    Row(&["`inputs` tokens + `max_new_tokens`"], LONG, Category::ContextLengthExceeded), // TGI
    Row(&["too large to process", "batch size"], LONG, Category::ContextLengthExceeded), // llama.cpp
    Row(&["available context size"], LONG, Category::ContextLengthExceeded), // llama.cpp
    Row(&["context shift is disabled"], LONG, Category::ContextLengthExceeded), // llama.cpp
    Row(
        &["input token count", "exceeds the maximum number of tokens"],
        LONG,
        Category::ContextLengthExceeded,
    ), // Gemini
    Row(&["longer than the maximum model length"], LONG, Category::ContextLengthExceeded), // vLLM
    Row(
        &["longer than the specified maximum sequence length"],
        LONG,
        Category::ContextLengthExceeded,
    ), // watsonx
    Row(&["should not exceed max_num_tokens"], LONG, Category::ContextLengthExceeded), // TensorRT-LLM
    Row(&["input length", "exceeds the maximum"], LONG, Category::ContextLengthExceeded), // Volcengine, Baseten
    Row(&["exceeds context size"], LONG, Category::ContextLengthExceeded), // llama.cpp and its like
    Row(&["context size has been exceeded"], LONG, Category::ContextLengthExceeded), // llama.cpp
    Row(&["maximum prompt length is"], LONG, Category::ContextLengthExceeded), // xAI
    Row(&["input token length too long"], LONG, Category::ContextLengthExceeded), // Moonshot
    Row(&["prompt length", "maximum input length"], LONG, Category::ContextLengthExceeded), // Huawei
    Row(&["exceed max message tokens"], LONG, Category::ContextLengthExceeded), // Volcengine
    Row(&["exceed n_ctx"], LONG, Category::ContextLengthExceeded),              // llama-box
    Row(&["maximum supported sequence length"], LONG, Category::ContextLengthExceeded), // SambaNova
    Row(&["max context reached"], LONG, Category::ContextLengthExceeded),       // Workers AI
    Row(&["[input_too_large]"], LONG, Category::ContextLengthExceeded),         // xAI
    Row(&["token count of", "exceeds the limit"], LONG, Category::ContextLengthExceeded), // GitHub
    Row(&["context tokens", "max_kv_size"], LONG, Category::ContextLengthExceeded), // mlx-vlm
    // What the prompt leaves for the answer is negative: vLLM.
    Row(&["max_tokens must be at least 1, got -"], BAD, Category::ContextLengthExceeded),
    // A safety system.
    Row(&["content management policy"], &[400, 403], Category::ContentFilter), // Azure
    Row(&["responsibleaipolicyviolation"], &[400, 403], Category::ContentFilter), // Azure
    Row(&["content filtering policy"], &[400, 403], Category::ContentFilter),  // Anthropic
    Row(&["our safety system"], &[400, 403], Category::ContentFilter),         // OpenAI
    Row(&["content exists risk"], &[400], Category::ContentFilter),            // DeepSeek
    Row(&["inappropriate content"], &[400, 403], Category::ContentFilter),     // DashScope
    Row(&["violating our usage policy"], &[400, 403], Category::ContentFilter), // OpenAI
    Row(&["failed check: safety_check"], &[400, 403], Category::ContentFilter), // xAI
    Row(&["sensitive information"], &[400, 403], Category::ContentFilter),     // Volcengine
    Row(&["sensitive content"], &[400, 403], Category::ContentFilter),         // Volcengine
    Row(&["content moderation failed"], &[400, 403], Category::ContentFilter), // Huawei
    Row(&["contain senstive"], &[400, 403], Category::ContentFilter), // Huawei, who spell it so
    Row(&["responsible ai practices"], &[400], Category::ContentFilter), // Vertex AI
    Row(&["flagged by our content moderation"], &[400, 403], Category::ContentFilter), // Stability AI
    Row(&["violated guardrail policy"], &[400, 403], Category::ContentFilter),         // LiteLLM
    Row(&["content blocked"], &[400, 403], Category::ContentFilter),                   // LiteLLM
    // Not yet, whatever the status says.
    Row(&["is not ready"], NOT_READY, Category::ModelNotReady), // Dynamo, KServe, Tenstorrent
    Row(&["model not ready"], NOT_READY, Category::ModelNotReady), // Tenstorrent
    Row(&["warming up"], NOT_READY, Category::ModelNotReady),   // Tenstorrent
    Row(&["currently loading"], NOT_READY, Category::ModelNotReady), // Hugging Face
    Row(&["loading model"], &[503], Category::ModelNotReady),   // llama.cpp
    Row(&["llm server loading model"], NOT_READY, Category::ModelNotReady), // Ollama
    Row(&["no models loaded"], NOT_READY, Category::ModelNotReady), // LM Studio
    Row(&["no models are currently loaded"], NOT_READY, Category::ModelNotReady), // mistral.rs
    Row(&["no models available"], &[503], Category::ModelNotReady), // SGLang router
    Row(&["has no available versions"], NOT_READY, Category::ModelNotReady), // Triton
    Row(&["not at ready state"], NOT_READY, Category::ModelNotReady), // Triton
    Row(&["no attached inference engine"], NOT_READY, Category::ModelNotReady), // Triton
    Row(&["scaling up from zero"], &[503], Category::ModelNotReady),
    Row(&["no running instances"], NOT_READY, Category::ModelNotReady), // GPUStack
    Row(&["load is in cooldown"], NOT_READY, Category::ModelNotReady),  // LocalAI
    Row(&["no workers available"], NOT_READY, Category::ModelNotReady), // Tenstorrent
    Row(&["no prefill endpoints"], &[503], Category::ModelNotReady),    // vLLM production stack
    Row(&["no decode endpoints"], &[503], Category::ModelNotReady),     // vLLM production stack
    Row(&["model", "is temporarily unavailable"], &[503], Category::ModelNotReady), // the same
    Row(&["no instances found for endpoint"], NOT_READY, Category::ModelNotReady), // Dynamo
    Row(&["no instances available"], NOT_READY, Category::ModelNotReady), // Chutes
    Row(&["model is loading"], NOT_READY, Category::ModelNotReady),     // most
    Row(&["no model loaded"], NOT_READY, Category::ModelNotReady),      // most
    Row(&["model reloaded"], NOT_READY, Category::ModelNotReady),       // LM Studio
    Row(&["endpoint is paused"], &[400, 409, 503], Category::ModelNotReady), // Hugging Face, RunPod
    // No such model; a route is none.
    Row(&["unexpected endpoint or method"], &[404], Category::NotFound), // LM Studio, with a 200
    Row(&["unsupported openapi method"], &[404], Category::NotFound),    // Qianfan, with a 200
    Row(&["requested url"], &[404], Category::NotFound),                 // Apache, Flask, Sanic
    Row(&["guardrail restrictions"], &[404], Category::Permission),      // OpenRouter
    Row(&["model=none"], &[400], Category::InvalidRequest),              // LiteLLM
    Row(&["invalid model name"], NO_MODEL, Category::ModelNotFound),     // LiteLLM
    Row(&["unknown model"], NO_MODEL, Category::ModelNotFound),          // Triton
    Row(&["model not exist"], NO_MODEL, Category::ModelNotFound),        // DeepSeek
    Row(&["invalid model:"], NO_MODEL, Category::ModelNotFound),         // Infinity
    Row(&["invalid model."], &[400, 404], Category::ModelNotFound),      // Huawei, Kiro
    Row(&["is not a valid model id"], NO_MODEL, Category::ModelNotFound), // OpenRouter
    Row(&["model version", "end of its life"], NO_MODEL, Category::ModelNotFound), // AWS
    Row(&["model", "was removed on"], &[404], Category::ModelNotFound),  // Cohere
    Row(&["could not find real modelid"], &[404], Category::ModelNotFound), // llama-swap
    Row(&["no adapter found"], &[404], Category::ModelNotFound),         // vLLM: a LoRA
    Row(&["could not find base model"], NO_MODEL, Category::ModelNotFound), // Ray Serve LLM
    Row(&["lora adapter", "cannot be found"], &[404], Category::ModelNotFound), // vLLM
    Row(&["servable not found"], &[404], Category::ModelNotFound),       // TensorFlow Serving
    Row(&["incorrect model id"], &[400, 404, 503], Category::ModelNotFound), // AiHubMix
    Row(&["model", "no longer available"], NO_MODEL, Category::ModelNotFound), // NIM, SambaNova
    Row(&["no such model"], NO_MODEL, Category::ModelNotFound),          // Workers AI
    Row(&["model has been deprecated"], NO_MODEL, Category::ModelNotFound), // Workers AI
    Row(&["model disabled"], NO_MODEL, Category::ModelNotFound),         // SiliconFlow
    Row(&["no instance found for model"], &[404], Category::ModelNotFound), // exo
    Row(&["no keys found that support model"], &[400], Category::ModelNotFound), // Bifrost
    Row(&["could not find suitable inference handler"], NO_MODEL, Category::ModelNotFound), // llama-swap
    Row(&["model '", "' is not recogni"], NO_MODEL, Category::ModelNotFound),               // most
    Row(&["model", "not found"], NO_MODEL, Category::ModelNotFound),                        // most
    Row(&["model", "does not exist"], NO_MODEL, Category::ModelNotFound), // OpenAI, vLLM
    Row(&["requested model", "is not available"], NO_MODEL, Category::ModelNotFound), // mistral.rs
    Row(&["model not supported by"], &[400], Category::ModelNotFound),    // Hugging Face
    Row(&["model", "is not supported by any provider"], &[400], Category::ModelNotFound), // the same
    Row(&["non-serverless model"], &[400], Category::ModelNotFound), // Together
    Row(&["no endpoints found for"], &[404], Category::ModelNotFound), // OpenRouter
    Row(&["not found for account"], &[404], Category::ModelNotFound), // NVIDIA NIM
    Row(&["repository not found"], &[404], Category::ModelNotFound), // mlx-lm
    Row(&["model specified", "is not configured"], &[404], Category::ModelNotFound), // Envoy AI
    Row(&["pull model manifest"], &[404, 500], Category::ModelNotFound), // Ollama
    Row(&["均无可用渠道"], &[503], Category::Overloaded), // new-api: no channel in any group
    Row(&["无可用渠道"], &[503], Category::ModelNotFound), // one-api: no channel for the model
    Row(&["model identifier is invalid"], &[400], Category::ModelNotFound), // AWS
    Row(&["model is marked by provider as legacy"], &[404], Category::ModelNotFound), // AWS
    // No capacity.
    Row(&["负载已饱和"], BUSY, Category::Overloaded), // new-api: the channels are saturated
    Row(&["experiencing high demand"], BUSY, Category::Overloaded), // Azure
    Row(&["service temporarily unavailable"], &[503], Category::Overloaded), // Qianfan, with a 200
    Row(&["queue is full"], BUSY, Category::Overloaded), // SGLang, Tenstorrent
    Row(&["unable to queue request"], BUSY, Category::Overloaded), // Tenstorrent
    Row(&["overloaded"], &[429, 498, 529], Category::Overloaded), // OpenAI, TEI, TGI
    Row(&["capacity exceeded"], BUSY, Category::Overloaded), // Groq, Mistral
    Row(&["model busy"], BUSY, Category::Overloaded), // DeepInfra
    Row(&["too many requests at the moment"], BUSY, Category::Overloaded), // Moonshot
    Row(&["degraded function"], BAD, Category::Overloaded), // NVIDIA NIM
    Row(&["rejected by flow control"], &[429], Category::Overloaded), // llm-d
    Row(&["at maximum capacity"], BUSY, Category::Overloaded), // Chutes
    Row(&["currently over capacity"], BUSY, Category::Overloaded), // Groq
    Row(&["model is at capacity"], BUSY, Category::Overloaded), // xAI
    Row(&["model too busy"], BUSY, Category::Overloaded), // Hugging Face
    Row(&["service overloaded"], BUSY, Category::Overloaded), // SiliconFlow
    Row(&["experiencing heavy traffic"], BUSY, Category::Overloaded), // ElevenLabs
    Row(&["worker local total request limit"], &[429, 502, 503], Category::Overloaded), // NVIDIA NIM
    // A 503 that is no lack of capacity, and other statuses that say the wrong thing.
    Row(&["client disconnected"], &[400, 500, 503], Category::Cancelled), // llm-d, LMDeploy
    Row(&["timed out"], &[500, 502, 503], Category::Timeout),             // llm-d, urllib3, Ollama
    Row(&["request timeout expired"], &[503], Category::Timeout),         // Triton
    Row(&["timeout awaiting response headers"], &[500, 502], Category::Timeout), // Go
    Row(&["context deadline exceeded"], &[500, 502, 503], Category::Timeout), // Go
    Row(&["error reading from remote server"], &[502], Category::Timeout), // Apache
    Row(&["upstream request timeout"], &[500, 502, 503], Category::Timeout), // Envoy
    Row(&["timeout on reading data"], &[500, 502, 503], Category::Timeout), // aiohttp
    Row(&["upstream connect error", "reset reason: overflow"], &[503], Category::Overloaded), // Envoy
    Row(&["upstream connect error"], &[403, 503], Category::UpstreamError), // Envoy
    Row(&["upstream call failed"], &[503], Category::UpstreamError),        // agentgateway
    Row(&["name resolution failed"], &[503], Category::UpstreamError),      // Kong
    Row(&["backend fetch failed"], &[503], Category::UpstreamError),        // Varnish
    Row(&["first byte timeout"], &[503], Category::Timeout),                // Fastly
    Row(&["apiconnectionerror"], &[503], Category::UpstreamError),          // LiteLLM
    Row(&["error trying to reach service"], &[503], Category::UpstreamError), // Kubernetes
    Row(&["prediction failed"], &[503], Category::UpstreamError),           // TorchServe
    Row(&["[errno "], &[400, 404], Category::UpstreamError),                // mlx-lm
    Row(&[" at row ", "column"], &[500], Category::InvalidRequest),         // llama.cpp: a template
    Row(&["failed to load image"], &[400, 500], Category::InvalidRequest),  // Dynamo
    Row(&["no user query found"], &[500], Category::InvalidRequest),        // Ollama: a template
    // Credentials that come with another status.
    Row(&["incorrect api key"], &[400, 403], Category::Authentication), // xAI
    Row(&["api key", "leaked"], &[403], Category::Authentication),      // Google
    Row(&["invalid api key"], &[400, 403], Category::Authentication),   // most
    Row(&["access token invalid"], &[401], Category::Authentication),   // Qianfan, with a 200
    Row(&["security token included in the request"], &[400, 403], Category::Authentication), // AWS
    Row(&["unregistered callers"], &[403], Category::Authentication),   // Google
    Row(&["iam certification failed"], &[401], Category::Authentication), // Qianfan, with a 200
    Row(&["failed to get the authorization header"], &[400], Category::Authentication), // Huawei
    Row(&["not authenticated"], REFUSED, Category::Authentication),     // FastAPI, with a 403
    Row(&["token has expired"], REFUSED, Category::Authentication),     // AWS, with a 403
    Row(&["token could not be validated"], REFUSED, Category::Authentication), // xAI
    Row(&["token is invalid"], REFUSED, Category::Authentication),      // NVIDIA NIM
    // A permission that is missing, and a status that does not say so.
    Row(&["no permission to"], &[400, 403], Category::Permission), // UCloud, Qianfan
    Row(&["organization must be verified"], &[400, 404], Category::Permission), // OpenAI
    Row(&["not authorized to invoke this api operation"], &[400], Category::Permission), // AWS
    Row(&["use case details have not been submitted"], &[404], Category::Permission), // AWS
    Row(&["is not allowed to use publisher model"], &[400], Category::Permission), // Vertex AI
    Row(&["access to bedrock models is not allowed"], &[400], Category::Permission), // AWS
    Row(&["insufficient permissions for this operation"], &[401], Category::Permission), // OpenAI
    Row(&["access to this api has been disallowed"], &[400], Category::Permission), // Tyk
    Row(&["rejected by api key"], &[401], Category::Permission),   // Huawei
    Row(&["organization has been disabled"], REFUSED, Category::Permission), // Anthropic
    Row(&["missing the permission"], &[401], Category::Permission), // ElevenLabs
    Row(&["appidnoautherror"], &[500], Category::Permission),      // iFlytek Spark
    Row(&["workspace", "is disabled"], &[404], Category::Permission), // Modal
    // A region, a size.
    Row(&["location is not supported"], &[400], Category::Permission), // Google
    Row(&["payload size exceeds"], &[400], Category::RequestTooLarge), // Google
    Row(&["request too large for"], &[429], Category::RequestTooLarge), // OpenAI: more than a minute allows
    Row(&["too many tokens in batch"], &[400], Category::RequestTooLarge), // Mistral
    // Features.
    Row(&["endpoints found that support"], &[404], Category::Unsupported), // OpenRouter
    Row(&["end point doesn't support"], BAD, Category::Unsupported),       // Triton
    Row(&["model doesn't support"], BAD, Category::Unsupported),           // AWS
    Row(&["model does not support", " api"], BAD, Category::Unsupported),  // vLLM
    Row(&["not appear to be an embedding model"], BAD, Category::Unsupported), // SGLang
    Row(&["requires --jinja"], &[500], Category::Unsupported),             // llama.cpp
    Row(&["please use /completions api"], &[404], Category::Unsupported),  // Fireworks
    Row(&["unsupported param"], &[500], Category::Unsupported),            // llama.cpp
    Row(&["input is not supported"], &[500], Category::Unsupported),       // llama.cpp
    Row(&["does not support http call"], &[400], Category::Unsupported),   // DashScope
    Row(&["model", "does not support feature"], BAD, Category::Unsupported), // Novita
    Row(&["model", "does not support endpoint"], BAD, Category::Unsupported), // Novita
    Row(&["model features", "not support"], BAD, Category::Unsupported),   // Novita
    Row(&["doesn't support the model"], BAD, Category::Unsupported),       // AWS
    Row(&["model type", "not supported"], BAD, Category::Unsupported),     // mlx-vlm
    Row(&["chat completions are disabled"], BAD, Category::Unsupported),   // TabbyAPI
    Row(&["endpoint not supported"], &[400, 404], Category::Unsupported),  // 0G
    Row(&["background loop has errored"], BAD, Category::UpstreamError),   // vLLM
    Row(&["shard died"], BAD, Category::UpstreamError),                    // TGI
    Row(&["cuda error"], BAD, Category::UpstreamError),                    // PyTorch, in Triton
    Row(&["rate limited by provider"], &[503], Category::RateLimited),     // AiHubMix
    // A rate, where the status does not say so: wrapped in a 500, or in a 200 of Ollama.
    Row(&["too many requests"], &[429, 500], Category::RateLimited), // Ollama
    Row(&["rate limit exceeded"], &[403, 429, 500], Category::RateLimited), // most
    Row(&["rate limit reached"], &[429, 500], Category::RateLimited), // OpenAI
    Row(&["exceeded your", "rate limit"], &[429, 500], Category::RateLimited), // Azure
    Row(&["request limit reached"], &[429], Category::RateLimited),  // Qianfan
];

/// Searches for the first words of all rows at once.
static FIRST_WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = ROWS.iter().map(|Row(words, ..)| words[0]);
    let searcher = AhoCorasick::builder().ascii_case_insensitive(true).build(words);
    searcher.expect("a few hundred words of a few bytes each are no more than it takes")
});

/// What the words of a message mean in an answer of this status (0: none).
pub(super) fn category(message: &str, status: u16) -> Option<Category> {
    let mut lower = None;
    let mut found = ROWS.len();
    let mut asked = [false; ROWS.len()];
    for first in FIRST_WORDS.find_overlapping_iter(message) {
        let row = first.pattern().as_usize();
        let Row(words, statuses, _) = &ROWS[row];
        // The first row counts, and what stands beside its first words is searched once.
        if row < found && !asked[row] && (status == 0 || statuses.contains(&status)) {
            asked[row] = true;
            let lower = lower.get_or_insert_with(|| message.to_ascii_lowercase());
            if words[1..].iter().all(|word| lower.contains(word)) {
                found = row;
            }
        }
    }
    ROWS.get(found).map(|Row(_, _, category)| *category)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_only_with_their_status() {
        let table = [
            ("Model is not ready", 405, Some(Category::ModelNotReady)),
            ("Model is not ready", 401, None),
            ("the model `x` does not exist", 404, Some(Category::ModelNotFound)),
            ("the model `x` does not exist", 500, None),
            ("maximum context length is 8192 tokens", 400, Some(Category::ContextLengthExceeded)),
            ("maximum context length is 8192 tokens", 429, None),
            ("maximum context length is 8192 tokens", 0, Some(Category::ContextLengthExceeded)),
        ];
        for (message, status, expected) in table {
            assert_eq!(category(message, status), expected, "{message} {status}");
        }
    }

    #[test]
    fn neither_authors_nor_digits_decide() {
        for message in ["the author wrote 401 pages", "error 429 of 503", "authority", "404", ""] {
            for status in [0, 400, 404, 418, 429, 500, 503] {
                assert_eq!(category(message, status), None, "{message} {status}");
            }
        }
    }

    #[test]
    fn words_are_found_at_every_place_and_in_every_case() {
        for (row, Row(words, statuses, _)) in ROWS.iter().enumerate() {
            let text = words.join(" ");
            for text in [text.to_ascii_uppercase(), format!("é {text} é"), text] {
                for blanks in 0..4 {
                    let text = format!("{}{text}", " ".repeat(blanks));
                    let found = category(&text, statuses[0]);
                    let all = ROWS.iter().find(|Row(words, open, _)| {
                        open.contains(&statuses[0])
                            && words.iter().all(|word| text.to_lowercase().contains(word))
                    });
                    assert_eq!(found, all.map(|Row(_, _, category)| *category), "{row} {text}");
                }
            }
        }
    }

    #[test]
    fn every_row_is_reached_by_its_own_words() {
        for (at, Row(words, statuses, _)) in ROWS.iter().enumerate() {
            let text = words.join(" ");
            let shadowed = ROWS[..at].iter().any(|Row(earlier, others, _)| {
                earlier.iter().all(|word| text.contains(word))
                    && statuses.iter().all(|status| others.contains(status))
            });
            assert!(!shadowed, "{text}");
            assert_eq!(text, text.to_lowercase());
        }
    }
}

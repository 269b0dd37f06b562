//! OpenAI Chat Completions: chunks without names, then `[DONE]`.

use super::api::{CREATED, Events, TOKENS_IN, TOKENS_OUT, WORDS};
use serde_json::{Value, json};

pub(super) fn whole(model: &str) -> Value {
    json!({
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": WORDS.concat(), "refusal": null},
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": usage(),
        "system_fingerprint": "fp_simulated",
    })
}

pub(super) fn events(model: &str, include_usage: bool) -> Events {
    let choice = |delta: Value, finish_reason: Option<&str>| {
        let choice = json!({
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        });
        chunk(model, &[choice], &Value::Null)
    };
    let mut closing = vec![choice(json!({}), Some("stop"))];
    if include_usage {
        closing.push(chunk(model, &[], &usage()));
    }
    closing.push("data: [DONE]\n\n".to_owned());
    Events {
        opening: vec![choice(json!({"role": "assistant", "content": ""}), None)],
        words: WORDS.iter().map(|word| choice(json!({"content": word}), None)).collect(),
        closing,
    }
}

fn chunk(model: &str, choices: &[Value], usage: &Value) -> String {
    let chunk = json!({
        "id": "chatcmpl-simulated",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_simulated",
        "choices": choices,
        "usage": usage,
    });
    format!("data: {chunk}\n\n")
}

fn usage() -> Value {
    json!({
        "prompt_tokens": TOKENS_IN,
        "completion_tokens": TOKENS_OUT,
        "total_tokens": TOKENS_IN + TOKENS_OUT,
    })
}

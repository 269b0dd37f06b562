//! Anthropic Messages: events named after their `type`, then `message_stop`.

use super::api::{Events, TOKENS_IN, TOKENS_OUT, WORDS, event};
use serde_json::{Value, json};

pub(super) fn whole(model: &str) -> Value {
    let content = json!({"type": "text", "text": WORDS.concat()});
    message(model, &[content], Some("end_turn"), TOKENS_OUT)
}

pub(super) fn events(model: &str) -> Events {
    let delta = |word| {
        let delta = json!({"type": "text_delta", "text": word});
        event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    Events {
        opening: vec![
            event(&json!({
                "type": "message_start", "message": message(model, &[], None, 1),
            })),
            event(&json!({
                "type": "content_block_start", "index": 0,
                "content_block": {"type": "text", "text": ""},
            })),
            event(&json!({"type": "ping"})),
        ],
        words: WORDS.iter().map(delta).collect(),
        closing: vec![
            event(&json!({"type": "content_block_stop", "index": 0})),
            event(&json!({
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": TOKENS_OUT},
            })),
            event(&json!({"type": "message_stop"})),
        ],
    }
}

fn message(model: &str, content: &[Value], stop_reason: Option<&str>, tokens_out: usize) -> Value {
    json!({
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {"input_tokens": TOKENS_IN, "output_tokens": tokens_out},
    })
}

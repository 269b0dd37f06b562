//! OpenAI Responses: numbered events named after their `type`, then `response.completed`.

use super::{
    api::{CREATED, Events, TOKENS_IN, TOKENS_OUT, WORDS, event},
    failure::Failure,
};
use serde_json::{Value, json};

const ITEM: &str = "msg_simulated";

pub(super) fn whole(model: &str) -> Value {
    response(model, "completed", &[item("completed", &[part(&WORDS.concat())])])
}

pub(super) fn events(model: &str) -> Events {
    let mut sequence = 0..;
    let mut numbered = |mut data: Value| {
        data["sequence_number"] = json!(sequence.next());
        event(&data)
    };
    let text = WORDS.concat();
    let started = response(model, "in_progress", &[]);
    Events {
        opening: vec![
            numbered(json!({"type": "response.created", "response": started})),
            numbered(json!({"type": "response.in_progress", "response": started})),
            numbered(json!({
                "type": "response.output_item.added", "output_index": 0,
                "item": item("in_progress", &[]),
            })),
            numbered(in_part("response.content_part.added", json!({"part": part("")}))),
        ],
        words: WORDS
            .iter()
            .map(|word| {
                let delta = json!({"delta": word, "logprobs": []});
                numbered(in_part("response.output_text.delta", delta))
            })
            .collect(),
        closing: vec![
            numbered(in_part("response.output_text.done", json!({"text": text, "logprobs": []}))),
            numbered(in_part("response.content_part.done", json!({"part": part(&text)}))),
            numbered(json!({
                "type": "response.output_item.done", "output_index": 0,
                "item": item("completed", &[part(&text)]),
            })),
            numbered(json!({"type": "response.completed", "response": whole(model)})),
        ],
    }
}

pub(super) fn error_event(sequence: usize) -> String {
    let (_, body) = Failure::Server.openai("");
    event(&json!({
        "type": "error",
        "code": "server_error",
        "message": body["error"]["message"],
        "param": null,
        "sequence_number": sequence,
    }))
}

/// An event about the first part of the first item.
fn in_part(name: &str, members: Value) -> Value {
    let mut data = json!({"type": name, "item_id": ITEM, "output_index": 0, "content_index": 0});
    if let (Value::Object(data), Value::Object(members)) = (&mut data, members) {
        data.extend(members);
    }
    data
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn item(status: &str, content: &[Value]) -> Value {
    json!({"id": ITEM, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn response(model: &str, status: &str, output: &[Value]) -> Value {
    let usage = (status == "completed").then(|| {
        json!({
            "input_tokens": TOKENS_IN,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": TOKENS_OUT,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": TOKENS_IN + TOKENS_OUT,
        })
    });
    json!({
        "id": "resp_simulated",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    })
}

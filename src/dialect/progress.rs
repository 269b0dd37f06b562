//! How far a healthy stream has come: nothing meaningful yet, under way, complete.
//!
//! A stream without its terminal marker is a failure that no client notices, and an error before the
//! first meaningful event can still become a real status. Both are known only per operation.
//!
//! | operation | preamble | complete after |
//! |---|---|---|
//! | chat, completions | no `choices`; only a `role`, empty content or text | a `finish_reason` for every choice seen, or `[DONE]` after an event |
//! | responses | `response.created`, `.queued`, `.in_progress` | `response.completed`, `response.incomplete` |
//! | messages | `message_start`, `ping`, `content_block_start` | `message_stop` |
//! | images | | `image_generation.completed`, `image_edit.completed` |
//! | speech | | `speech.audio.done` |
//! | transcription | | `transcript.text.done` |
//! | Gemini stream | chunks without parts | `finishReason`, or a blocked prompt |
//! | Ollama | | a line with `"done": true` |
//! | Cohere chat | `message-start`, `content-start` | `message-end` |
//! | TGI generate | | `generated_text` |
//! | `KServe` | | any event: there is no marker |
//!
//! Sources: openai-python 3.52 and anthropic 2.11, their event types.

use super::{Operation, Seen};
use crate::framing::json::Json;

/// How far a stream has come. A function of its events, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    operation: Operation,
    events: u64,
    meaningful: bool,
    complete: bool,
    /// Choices seen and choices finished, a bit each by index; beyond 64 they share the last one.
    choices: u64,
    finished: u64,
    next_sequence: u64,
    response: Option<Box<[u8]>>,
}

impl Progress {
    pub(crate) const fn new(operation: Operation) -> Self {
        Self {
            operation,
            events: 0,
            meaningful: false,
            complete: false,
            choices: 0,
            finished: 0,
            next_sequence: 0,
            response: None,
        }
    }

    /// Takes note of the data of a healthy event.
    pub(crate) fn see(&mut self, data: &[u8]) {
        self.events += 1;
        if data.starts_with(b"[DONE]") {
            self.complete |= self.events > 1 && self.operation.ends_with_done();
            return;
        }
        let event = Json::of(data);
        match self.operation {
            Operation::Chat | Operation::Completions => self.see_choices(event),
            Operation::Responses => self.see_response(event),
            Operation::Messages => match event_type(event) {
                b"message_start" | b"ping" | b"content_block_start" => {}
                kind => {
                    self.meaningful = true;
                    self.complete |= kind == b"message_stop";
                }
            },
            Operation::GeminiStream => self.see_candidates(event),
            Operation::OllamaChat => {
                self.meaningful = true;
                self.complete |= event.get("done").boolean() == Some(true);
            }
            Operation::CohereChat => match event_type(event) {
                b"message-start" | b"content-start" => {}
                kind => {
                    self.meaningful = true;
                    self.complete |= kind == b"message-end";
                }
            },
            Operation::Generate => {
                self.meaningful = true;
                self.complete |= event.get("generated_text").string().is_some();
            }
            Operation::Infer => (self.meaningful, self.complete) = (true, true),
            _ => {
                self.meaningful = true;
                self.complete |= matches!(
                    event_type(event),
                    b"image_generation.completed"
                        | b"image_edit.completed"
                        | b"speech.audio.done"
                        | b"transcript.text.done"
                );
            }
        }
    }

    /// Takes note of so many events like the last one, but for their text and their numbers, of which
    /// this is the last.
    #[inline]
    pub(crate) fn see_alike(&mut self, events: u64, sequence: Option<u64>) {
        self.events += events;
        if let Some(number) = sequence {
            self.next_sequence = number.saturating_add(1);
        }
    }

    fn see_choices(&mut self, event: Json<'_>) {
        for choice in event.get("choices").items() {
            let bit = 1 << choice.get("index").number().unwrap_or(0).min(63);
            self.choices |= bit;
            if choice.get("finish_reason").is_truthy() {
                self.finished |= bit;
                self.meaningful = true;
            }
            let delta = choice.get("delta");
            self.meaningful |= choice.get("text").is_truthy()
                || delta.members().any(|(name, value)| name != "role" && value.is_truthy());
        }
        self.complete |= self.choices != 0 && self.choices == self.finished;
    }

    fn see_candidates(&mut self, event: Json<'_>) {
        for candidate in event.get("candidates").items() {
            let finished = candidate.get("finishReason").is_truthy();
            self.complete |= finished;
            self.meaningful |= finished || candidate.get("content").get("parts").is_truthy();
        }
        let blocked = event.get("promptFeedback").get("blockReason").is_truthy();
        self.complete |= blocked;
        self.meaningful |= blocked;
    }

    fn see_response(&mut self, event: Json<'_>) {
        if let Some(number) = event.get("sequence_number").number() {
            self.next_sequence = number.saturating_add(1);
        }
        match event_type(event) {
            b"response.created" => {
                self.response.get_or_insert_with(|| event.get("response").raw().into());
                return;
            }
            b"response.queued" | b"response.in_progress" => return,
            b"response.completed" | b"response.incomplete" => self.complete = true,
            _ => {}
        }
        self.meaningful = true;
    }

    /// The number of events so far; comments are none.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Whether something came that a client would use.
    pub(crate) fn is_meaningful(&self) -> bool {
        self.meaningful
    }

    /// Whether the stream may end now and be a success.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What the dialect's last word may need.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen { next_sequence: self.next_sequence, response: self.response.as_deref() }
    }
}

impl Operation {
    fn ends_with_done(self) -> bool {
        self.dialect().name() == "openai" || self == Self::Responses
    }
}

/// The raw text of an event's `type`, without quotes.
fn event_type(event: Json<'_>) -> &[u8] {
    let raw = event.get("type").raw();
    raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (meaningful, complete) after these events.
    fn after(operation: Operation, events: &[&str]) -> (bool, bool) {
        let mut progress = Progress::new(operation);
        for data in events {
            progress.see(data.as_bytes());
        }
        (progress.is_meaningful(), progress.is_complete())
    }

    const ROLE: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    const FILTER: &str = r#"{"choices":[],"prompt_filter_results":[{}]}"#;

    #[test]
    fn chat_begins_with_text_and_ends_with_a_reason_or_done() {
        let chat = |events: &[&str]| after(Operation::Chat, events);
        assert_eq!(chat(&[FILTER, ROLE]), (false, false));
        assert_eq!(chat(&[ROLE, TEXT]), (true, false));
        assert_eq!(chat(&[ROLE, TEXT, STOP]), (true, true));
        assert_eq!(chat(&[TEXT, "[DONE]"]), (true, true));
        assert_eq!(chat(&["[DONE]"]), (false, false));
        let tool = r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#;
        assert_eq!(chat(&[tool]), (true, false));
        let reasoning = r#"{"choices":[{"delta":{"role":"assistant","reasoning_content":"hm"}}]}"#;
        assert_eq!(chat(&[reasoning]), (true, false));
    }

    #[test]
    fn every_choice_must_have_ended() {
        let second = r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#;
        let second_stop = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#;
        assert_eq!(after(Operation::Chat, &[TEXT, second, STOP]), (true, false));
        assert_eq!(after(Operation::Chat, &[TEXT, second, STOP, second_stop]), (true, true));
    }

    #[test]
    fn completions_begin_with_text() {
        let empty = r#"{"choices":[{"index":0,"text":"","finish_reason":null}]}"#;
        let text = r#"{"choices":[{"index":0,"text":"a","finish_reason":null}]}"#;
        assert_eq!(after(Operation::Completions, &[empty]), (false, false));
        assert_eq!(after(Operation::Completions, &[empty, text]), (true, false));
    }

    #[test]
    fn responses_are_numbered_and_remembered() {
        let mut progress = Progress::new(Operation::Responses);
        progress
            .see(br#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}"#);
        progress
            .see(br#"{"type":"response.in_progress","sequence_number":1,"response":{"id":"x"}}"#);
        assert!(!progress.is_meaningful());
        progress.see(br#"{"type":"response.output_text.delta","sequence_number":6,"delta":"a"}"#);
        assert!(progress.is_meaningful() && !progress.is_complete());
        assert_eq!(progress.seen().next_sequence, 7);
        assert_eq!(progress.seen().response, Some(&br#"{"id":"resp_1"}"#[..]));
        progress.see(br#"{"type":"response.completed","sequence_number":7}"#);
        assert!(progress.is_complete());
    }

    #[test]
    fn messages_end_with_message_stop_and_nothing_else() {
        let messages = |events: &[&str]| after(Operation::Messages, events);
        let start = r#"{"type":"message_start","message":{}}"#;
        let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text"}}"#;
        let delta = r#"{"type":"content_block_delta","index":0,"delta":{"text":"a"}}"#;
        let stop = r#"{"type":"message_stop"}"#;
        assert_eq!(messages(&[start, r#"{"type":"ping"}"#, block]), (false, false));
        assert_eq!(messages(&[start, block, delta, "[DONE]"]), (true, false));
        assert_eq!(messages(&[start, block, delta, stop]), (true, true));
    }

    #[test]
    fn the_other_apis_end_with_markers_of_their_own() {
        let gemini = |events: &[&str]| after(Operation::GeminiStream, events);
        let text = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}"#;
        assert_eq!(gemini(&[r#"{"usageMetadata":{}}"#]), (false, false));
        assert_eq!(gemini(&[text]), (true, false));
        assert_eq!(gemini(&[text, "[DONE]"]), (true, false));
        assert_eq!(gemini(&[text, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#]), (true, true));
        assert_eq!(gemini(&[r#"{"promptFeedback":{"blockReason":"OTHER"}}"#]), (true, true));

        let ollama = |events: &[&str]| after(Operation::OllamaChat, events);
        assert_eq!(ollama(&[r#"{"response":"a","done":false}"#]), (true, false));
        assert_eq!(ollama(&[r#"{"response":"","done":true}"#]), (true, true));

        let cohere = |events: &[&str]| after(Operation::CohereChat, events);
        assert_eq!(
            cohere(&[r#"{"type":"message-start"}"#, r#"{"type":"content-start"}"#]),
            (false, false)
        );
        assert_eq!(cohere(&[r#"{"type":"tool-plan-delta"}"#]), (true, false));
        assert_eq!(
            cohere(&[r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#]),
            (true, true)
        );

        let tgi = |events: &[&str]| after(Operation::Generate, events);
        assert_eq!(tgi(&[r#"{"token":{"text":"a"},"generated_text":null}"#]), (true, false));
        assert_eq!(tgi(&[r#"{"token":{"text":"a"},"generated_text":"a"}"#]), (true, true));
        assert_eq!(after(Operation::Infer, &[r#"{"text_output":"a"}"#]), (true, true));
    }

    #[test]
    fn images_and_audio_end_with_their_own_events() {
        let partial = r#"{"type":"image_generation.partial_image","b64_json":"aa"}"#;
        let whole = r#"{"type":"image_generation.completed","b64_json":"aa"}"#;
        assert_eq!(after(Operation::Images, &[partial]), (true, false));
        assert_eq!(after(Operation::Images, &[partial, whole]), (true, true));
        let done = r#"{"type":"transcript.text.done","text":"a"}"#;
        assert_eq!(after(Operation::Transcription, &[done]), (true, true));
    }
}

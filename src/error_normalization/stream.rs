//! One stream's frames in, whole events out. Pure: no clock, no I/O.
//!
//! Maintainers: this is where it is decided that a client never sees half an event. Once half an
//! event is out, no later byte can tell a client anything (measured on six SDKs), so an unfinished
//! tail is held back until its empty line arrives. What leaves is what came: a frame of whole events
//! is handed on as the same `Bytes`, and only an event that is split over frames is copied.
//!
//! The life of a frame: [`push`](Stream::push) it, then take [`next`](Stream::next) until it is
//! `None`. When the upstream ends, [`end`](Stream::end) says what the tail meant.

use super::template::Template;
use crate::{
    dialect::{Framing, Operation, Progress},
    framing::{
        ndjson::Lines,
        sse::{Blocks, Event},
    },
    provider,
};
use bytes::{Buf, Bytes};
use std::{borrow::Cow, mem};

/// Room for the first half of an event, in bytes.
const MIN_ROOM: usize = 512;

/// A stream under watch.
#[derive(Debug)]
pub(super) struct Stream {
    cutter: Cutter,
    progress: Progress,
    template: Template,
    /// The frame that is being taken apart.
    frame: Bytes,
    /// An error event of this frame, behind events that leave first.
    error: Option<Bytes>,
    /// The unfinished event. Never more than `max_event`, its capacity included.
    tail: Vec<u8>,
    max_event: usize,
    /// The event that is under way is larger than `max_event`, and passes as it comes.
    oversized: bool,
    /// The frame has been taken apart, and only waits behind what was held of the same event.
    behind: bool,
}

/// Finds the ends of events.
#[derive(Debug)]
enum Cutter {
    Sse(Blocks),
    Ndjson(Lines),
}

impl Cutter {
    fn next_end(&mut self, chunk: &[u8]) -> Option<usize> {
        match self {
            Self::Sse(blocks) => blocks.next_end(chunk),
            Self::Ndjson(lines) => lines.next_end(chunk),
        }
    }

    /// Whether the next byte begins an event.
    fn is_between(&self) -> bool {
        match self {
            Self::Sse(blocks) => blocks.is_between(),
            Self::Ndjson(lines) => !lines.in_line(),
        }
    }

    fn in_event(&self) -> bool {
        match self {
            Self::Sse(blocks) => blocks.in_block(),
            Self::Ndjson(lines) => lines.in_line(),
        }
    }

    /// The data of an event, and what it says if it is an error.
    fn read<'a>(&self, event: &'a [u8]) -> (Cow<'a, [u8]>, Option<Bytes>) {
        let copied = |error: Option<Cow<'_, [u8]>>| error.map(|it| Bytes::copy_from_slice(&it));
        match self {
            Self::Sse(_) => {
                let event = Event::of(event);
                let data = event.data();
                let error = copied(provider::error_event(event, &data));
                (data, error)
            }
            Self::Ndjson(_) => {
                let line = event.trim_ascii();
                (Cow::Borrowed(line), copied(provider::error_in(line)))
            }
        }
    }

    /// What completes an event that is whole but for its end.
    fn terminator(&self) -> &'static [u8] {
        match self {
            Self::Sse(_) => b"\n\n",
            Self::Ndjson(_) => b"\n",
        }
    }

    /// Whether an unterminated event ends in its data: a name that is cut off is another name.
    fn ends_in_data(&self, event: &[u8]) -> bool {
        let mut lines = event.rsplit(|byte| matches!(byte, b'\n' | b'\r'));
        let last = lines.next().unwrap_or_default();
        matches!(self, Self::Ndjson(_)) || last.is_empty() || last.starts_with(b"data:")
    }

    /// Whether an event without data is no event of such a stream at all.
    fn is_strange(&self, event: &[u8], data: &[u8]) -> bool {
        match self {
            Self::Sse(_) => {
                data.is_empty() && !Event::of(event).fields().all(|(name, _)| is_field(name))
            }
            Self::Ndjson(_) => !data.starts_with(b"{"),
        }
    }
}

/// What a stream yields.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Item {
    /// Whole events, as they came.
    Forward(Bytes),
    /// The data of an error event. Nothing after it counts.
    Error(Bytes),
}

/// What a clean end of the upstream means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The stream is complete, after these last bytes.
    Complete(Bytes),
    /// The tail was an error event.
    Error(Bytes),
    /// The stream ended too early, after these last bytes.
    Truncated(Bytes),
}

impl Stream {
    pub(super) fn new(operation: Operation, max_event: usize) -> Self {
        Self {
            cutter: match operation.framing() {
                Some(Framing::Ndjson) => Cutter::Ndjson(Lines::new()),
                _ => Cutter::Sse(Blocks::new()),
            },
            progress: Progress::new(operation),
            template: Template::default(),
            frame: Bytes::new(),
            error: None,
            tail: Vec::new(),
            max_event,
            oversized: false,
            behind: false,
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether half an event is out already, so that nothing may follow it.
    pub(super) fn is_mid_event(&self) -> bool {
        self.oversized
    }

    /// Takes the next frame; the one before must have been taken apart.
    #[inline]
    pub(super) fn push(&mut self, frame: Bytes) {
        debug_assert!(self.frame.is_empty(), "next() returned None before the next push()");
        self.frame = frame;
    }

    /// The next thing that may leave. `None`: push the next frame.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Item> {
        let is_idle = self.frame.is_empty() && self.error.is_none();
        if is_idle { None } else { self.advance() }
    }

    fn advance(&mut self) -> Option<Item> {
        if let Some(error) = self.error.take() {
            return Some(Item::Error(error));
        }
        if mem::take(&mut self.behind) {
            return Some(Item::Forward(mem::take(&mut self.frame)));
        }
        if self.oversized || !self.tail.is_empty() {
            if let Some(item) = self.finish_tail() {
                return Some(item);
            }
        }
        if self.frame.is_empty() {
            return None;
        }
        let mut whole = 0;
        while whole < self.frame.len() {
            let rest = &self.frame[whole..];
            if self.cutter.is_between() {
                if let Some(alike) = self.template.find(rest) {
                    self.progress.see_alike(alike.sequence);
                    whole += alike.length;
                    continue;
                }
            }
            let Some(length) = self.cutter.next_end(rest) else { break };
            let event = &rest[..length];
            if let Some(error) = judge(&self.cutter, &mut self.progress, &mut self.template, event)
            {
                self.error = Some(error);
                let events = self.frame.split_to(whole);
                self.frame.clear();
                return if events.is_empty() { self.next() } else { Some(Item::Forward(events)) };
            }
            whole += length;
        }
        if !self.cutter.in_event() {
            // Empty lines between events, or the LF of a CRLF, belong to nobody.
            return Some(Item::Forward(mem::take(&mut self.frame)));
        }
        if self.frame.len() - whole > self.max_event {
            self.oversized = true;
            whole = self.frame.len();
        }
        let events = self.frame.split_to(whole);
        let rest = mem::take(&mut self.frame);
        self.hold(&rest);
        (!events.is_empty()).then_some(Item::Forward(events))
    }

    /// Completes the event that began in an earlier frame. `None` if this frame does not end it, or
    /// has been used up.
    fn finish_tail(&mut self) -> Option<Item> {
        let length = self.cutter.next_end(&self.frame);
        let piece = self.frame.split_to(length.unwrap_or(self.frame.len()));
        if self.oversized {
            self.oversized = length.is_none();
            return (!piece.is_empty()).then_some(Item::Forward(piece));
        }
        if length.is_none() {
            self.oversized = self.tail.len() + piece.len() > self.max_event;
            if !self.oversized {
                self.hold(&piece);
                return None;
            }
            self.frame = piece;
            self.behind = true;
            return Some(Item::Forward(self.take_tail()));
        }
        self.hold(&piece);
        let block = self.take_tail();
        if let Some(alike) = self.template.find(&block).filter(|it| it.length == block.len()) {
            self.progress.see_alike(alike.sequence);
            return Some(Item::Forward(block));
        }
        Some(match judge(&self.cutter, &mut self.progress, &mut self.template, &block) {
            Some(error) => {
                self.frame.clear();
                Item::Error(error)
            }
            None => Item::Forward(block),
        })
    }

    /// Holds back what is no whole event yet. There is room for an event as long as the last one; beyond
    /// that it is doubled, as a `Vec` does it, but made for no more than an event may have.
    fn hold(&mut self, rest: &[u8]) {
        let length = self.tail.len() + rest.len();
        if length > self.tail.capacity() {
            let likely = self.template.length();
            let room = if likely >= length { likely } else { (2 * length).max(MIN_ROOM) };
            let room = room.min(self.max_event).max(length);
            self.tail.reserve_exact(room - self.tail.len());
        }
        self.tail.extend_from_slice(rest);
    }

    fn take_tail(&mut self) -> Bytes {
        mem::take(&mut self.tail).into()
    }

    /// The upstream ended cleanly: the tail is read as an event first. It is completed with its
    /// empty line if it is whole, and dropped if it is not.
    pub(super) fn end(&mut self) -> End {
        let mut last = Bytes::new();
        if !self.oversized && !self.tail.is_empty() {
            let block = self.take_tail();
            let (data, error) = self.cutter.read(&block);
            if let Some(error) = error {
                return End::Error(error);
            }
            if is_whole(&data) && self.cutter.ends_in_data(&block) {
                self.progress.see(&data);
                last = join(block.trim_ascii_end(), self.cutter.terminator());
            }
        }
        if self.progress.is_complete() && !self.oversized {
            End::Complete(last)
        } else {
            End::Truncated(last)
        }
    }
}

/// The error of an event, if it is one; takes note of it if not.
fn judge(
    cutter: &Cutter,
    progress: &mut Progress,
    template: &mut Template,
    event: &[u8],
) -> Option<Bytes> {
    let (data, error) = cutter.read(event);
    if error.is_some() {
        return error;
    }
    if cutter.is_strange(event, &data) {
        // A proxy's page or sentence inside of a stream, where nothing was said before. Empty lines
        // around it are its own or not, as the frames were cut.
        return (progress.events() == 0).then(|| Bytes::copy_from_slice(event.trim_ascii()));
    }
    if data.is_empty() {
        return None;
    }
    progress.see(&data);
    // Before that, whether a text is empty counts too.
    if let (Cow::Borrowed(data), true) = (data, progress.is_meaningful()) {
        template.learn(event, data.as_ptr() as usize - event.as_ptr() as usize);
    }
    None
}

/// Whether this is the name of a field that streams have, or a comment.
fn is_field(name: &[u8]) -> bool {
    name.is_empty()
        || (name.len() <= 32 && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'))
}

/// Whether the data of an unterminated event is all there.
fn is_whole(data: &[u8]) -> bool {
    data == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

fn join(first: &[u8], second: &[u8]) -> Bytes {
    first.chain(second).copy_to_bytes(first.len() + second.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const ERROR: &str = "data: {\"error\":{\"message\":\"boom\"}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    /// What may stand in an event: a text, or a number, so that one differs from the next in it alone.
    const VALUES: [&[&str]; 2] = [
        &[
            r#""a""#,
            r#""b""#,
            r#""""#,
            r#""a\"b""#,
            r#""error""#,
            r#""stop""#,
            r#""ERROR""#,
            r#""message-end""#,
            r#""message_stop""#,
            r#""response.completed""#,
        ],
        &["0", "1", "17", "1004", "-1.5e3"],
    ];

    /// Events of one operation, alike but for two values.
    const SHAPES: &[(Operation, &[&str])] = &[
        (
            Operation::Chat,
            &[
                r#"{"id":$A,"choices":[{"index":0,"delta":{"content":$B},"finish_reason":null}]}"#,
                r#"{"choices":[{"index":$A,"delta":{"content":$B},"finish_reason":null}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"object"	: $A,"choices":[{"index":0,"delta":{"content":$B}}]}"#,
                r#"{"choices":[{"index":$A,"delta":{"content":"x"},"finish_reason":$B}]}"#,
                r#"{"object":$A,"\u0065rror":$B,"message":"m","choices":[{"delta":{"content":"y"}}]}"#,
            ],
        ),
        (
            Operation::Responses,
            &[
                r#"{"type":"response.output_text.delta","sequence_number":$A,"delta":$B}"#,
                r#"{"sequence_number":3,"type":$A,"delta":"x","obfuscation":$B}"#,
            ],
        ),
        (
            Operation::GeminiStream,
            &[
                r#"{"candidates":[{"content":{"parts":[{"text":$A}]},"finishReason":$B}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"promptFeedback":{"blockReason":$A}}"#,
            ],
        ),
        (
            Operation::OllamaChat,
            &[
                r#"{"created_at":$A,"message":{"content":$B},"done":false}"#,
                r#"{"message":{"content":"x"},"error":$A,"done":$B}"#,
            ],
        ),
        (
            Operation::CohereChat,
            &[
                r#"{"type":"content-delta","delta":{"message":$A,"finish_reason":$B}}"#,
                r#"{"type":"message-end","delta":{"error":$A,"finish_reason":$B}}"#,
            ],
        ),
        (
            Operation::Messages,
            &[
                r#"{"type":"content_block_delta","index":$A,"delta":{"text":$B}}"#,
                r#"{"type":$A,"code":$B,"message":"m"}"#,
                r#"{"code":$A,"message":$B}"#,
                r#"{"base_resp":{"status_code":$A,"status_msg":$B}}"#,
            ],
        ),
    ];

    fn stream() -> Stream {
        Stream::new(Operation::Chat, 1 << 20)
    }

    #[test]
    fn an_event_like_the_last_one_is_not_read_again() {
        let event = |text: &str, n: u32| {
            format!(
                "data: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{n},\"delta\":\"{text}\"}}\n\n"
            )
        };
        let mut stream = Stream::new(Operation::Responses, 1 << 20);
        for (n, text) in ["a", "b", "c \\\" d", "e"].into_iter().enumerate() {
            let event = event(text, u32::try_from(n).unwrap());
            let known = stream.template.find(event.as_bytes()).is_some();
            assert_eq!(known, n > 1, "what differs is known from the second one");
            stream.push(event.clone().into());
            assert_eq!(stream.next(), Some(Item::Forward(event.into())));
            assert_eq!(stream.progress().seen().next_sequence, n as u64 + 1);
        }
        assert_eq!(stream.progress().events(), 4);
    }

    /// What comes out for these frames, the forwarded bytes joined, and how it ended.
    fn run(frames: &[&[u8]]) -> (Vec<u8>, Option<Bytes>, Option<End>) {
        let (mut stream, mut out) = (stream(), Vec::new());
        for frame in frames {
            stream.push(Bytes::copy_from_slice(frame));
            while let Some(item) = stream.next() {
                match item {
                    Item::Forward(bytes) => out.extend_from_slice(&bytes),
                    Item::Error(data) => return (out, Some(data), None),
                }
            }
        }
        (out, None, Some(stream.end()))
    }

    #[test]
    fn a_frame_of_whole_events_is_the_same_frame() {
        let frame = Bytes::from([TEXT, TEXT].concat());
        let mut stream = stream();
        stream.push(frame.clone());
        let Some(Item::Forward(out)) = stream.next() else { panic!("events are forwarded") };
        assert_eq!((out.as_ptr(), out.len()), (frame.as_ptr(), frame.len()));
        assert_eq!(stream.next(), None);
    }

    #[test]
    fn half_an_event_is_held_back_until_it_is_whole() {
        let mut stream = stream();
        stream.push(Bytes::from_static(b"data: 1\n\ndata:"));
        assert_eq!(stream.next(), Some(Item::Forward(Bytes::from_static(b"data: 1\n\n"))));
        assert_eq!(stream.next(), None);
        stream.push(Bytes::from_static(b" 2\n"));
        assert_eq!(stream.next(), None);
        stream.push(Bytes::from_static(b"\ndata: 3\n\n"));
        assert_eq!(stream.next(), Some(Item::Forward(Bytes::from_static(b"data: 2\n\n"))));
        assert_eq!(stream.next(), Some(Item::Forward(Bytes::from_static(b"data: 3\n\n"))));
        assert_eq!(stream.next(), None);
    }

    #[test]
    fn events_before_an_error_leave_first_and_nothing_after_it() {
        let frame = [TEXT, ERROR, TEXT, DONE].concat();
        let (out, error, _) = run(&[frame.as_bytes()]);
        assert_eq!(out, TEXT.as_bytes());
        assert_eq!(error.as_deref(), Some(&b"{\"error\":{\"message\":\"boom\"}}"[..]));
    }

    // H12
    #[test]
    fn every_split_gives_the_same() {
        for events in [[TEXT, STOP, DONE], [TEXT, ERROR, DONE]] {
            let bytes = events.concat();
            let whole = run(&[bytes.as_bytes()]);
            for at in 0..bytes.len() {
                let (a, b) = bytes.as_bytes().split_at(at);
                assert_eq!(run(&[a, b]), whole, "split at {at}");
            }
            let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
            assert_eq!(run(&single), whole, "byte by byte");
        }
    }

    #[test]
    fn an_end_is_judged_by_its_marker() {
        let end = |events: &[&str]| run(&[events.concat().as_bytes()]).2.unwrap();
        assert_eq!(end(&[TEXT, STOP]), End::Complete(Bytes::new()));
        assert_eq!(end(&[TEXT, DONE]), End::Complete(Bytes::new()));
        assert_eq!(end(&[TEXT]), End::Truncated(Bytes::new()));
        assert_eq!(end(&[DONE]), End::Truncated(Bytes::new()));
        assert_eq!(end(&[]), End::Truncated(Bytes::new()));
    }

    // S14
    #[test]
    fn an_unterminated_tail_counts_only_if_it_is_whole() {
        let end = |tail: &str| run(&[TEXT.as_bytes(), tail.as_bytes()]).2.unwrap();
        let completed = |text: &str| End::Complete(Bytes::from(text.to_owned()));
        assert_eq!(end("data: [DONE]"), completed(DONE));
        assert_eq!(end("data: [DONE]\n"), completed(DONE));
        assert_eq!(end(STOP.trim_end()), completed(STOP));
        assert_eq!(end(TEXT.trim_end()), End::Truncated(Bytes::from_static(TEXT.as_bytes())));
        assert_eq!(end("data: {\"choices\":[{\"fin"), End::Truncated(Bytes::new()));
        assert!(matches!(end(ERROR.trim_end()), End::Error(_)));
        let stop = STOP.trim_end();
        assert_eq!(end(&format!("{stop}\nevent: mess")), End::Truncated(Bytes::new()));
        let named = format!("{stop}\nevent: message\n\n");
        assert_eq!(end(named.trim_end_matches('\n')), End::Truncated(Bytes::new()));
        assert_eq!(end(named.strip_suffix('\n').unwrap()), completed(&named));
    }

    // S8
    #[test]
    fn an_event_beyond_the_limit_passes_as_it_comes() {
        let mut stream = Stream::new(Operation::Chat, 16);
        let long = [b"data: ".as_slice(), &[b'x'; 64], b"\n\n", TEXT.as_bytes()].concat();
        let mut out = Vec::new();
        for piece in long.chunks(10) {
            stream.push(Bytes::copy_from_slice(piece));
            while let Some(item) = stream.next() {
                let Item::Forward(bytes) = item else { panic!("no error here") };
                out.extend_from_slice(&bytes);
            }
            assert!(stream.tail.len() <= 16);
        }
        // `TEXT` is larger than the limit too.
        assert_eq!(out, long);
        assert!(!stream.is_mid_event());
    }

    // S14
    #[test]
    fn lines_of_json_are_watched_as_events_are() {
        let text = "{\"response\":\"He\",\"done\":false}\n";
        let done = "{\"response\":\"\",\"done\":true}\r\n";
        let error = "{\"error\":\"it broke\"}\n";
        let run = |stream: &str, step: usize| {
            let mut lines = Stream::new(Operation::OllamaChat, 1 << 20);
            let mut out = Vec::new();
            for piece in stream.as_bytes().chunks(step) {
                lines.push(Bytes::copy_from_slice(piece));
                while let Some(item) = lines.next() {
                    match item {
                        Item::Forward(bytes) => out.extend_from_slice(&bytes),
                        Item::Error(data) => return (out, Some(data), None),
                    }
                }
            }
            (out, None, Some(lines.end()))
        };
        for step in [1, 7, 4096] {
            let healthy = [text, done].concat();
            assert_eq!(
                run(&healthy, step),
                (healthy.into(), None, Some(End::Complete(Bytes::new())))
            );
            let (out, data, _) = run(&[text, error].concat(), step);
            assert_eq!((out, data), (text.into(), Some(Bytes::from(error.trim_end()))));
            let cut = Some(End::Truncated(Bytes::new()));
            assert_eq!(run(&format!("{text}{{\"resp"), step), (text.into(), None, cut));
            let open = Some(End::Complete(Bytes::from(done.replace('\r', ""))));
            assert_eq!(run(&[text, done.trim_end()].concat(), step), (text.into(), None, open));
        }
        assert!(run("<html>\n", 99).1.is_some());
    }

    #[test]
    fn a_page_inside_of_an_event_stream_is_an_error() {
        let page = "<html>\n<title>502 Bad Gateway</title>\n\n";
        assert!(run(&[page.as_bytes()]).1.is_some());
        let (whole, cut) = (run(&[b"\na page\r\n\r\n"]), run(&[b"\n", b"a page\r\n\r", b"\n"]));
        assert_eq!(
            (whole.1.as_deref(), cut.1.as_deref()),
            (Some(&b"a page"[..]), Some(&b"a page"[..]))
        );
        let later = [TEXT, page].concat();
        assert_eq!(run(&[later.as_bytes()]).1, None);
    }

    proptest! {
        // H12 S12
        #[test]
        fn healthy_bytes_come_out_as_they_went_in(
            texts in prop::collection::vec(".{0,12}", 1..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                let data = serde_json::json!({"choices":[{"delta":{"content":text}}]});
                bytes.extend_from_slice(format!(": note\n\ndata: {data}\r\n\r\n").as_bytes());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let frames: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let (out, error, _) = run(&frames);
            prop_assert_eq!(error, None);
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn templates_change_nothing(
            (operation, shapes) in prop::sample::select(SHAPES),
            shape in 0..6_usize,
            (a, b) in (0..2_usize, 0..2_usize),
            events in prop::collection::vec((0..8_u8, 0..10_usize, 0..10_usize), 1..16),
            cut in 1..400_usize,
        ) {
            let value = |kind: usize, n: usize| VALUES[kind][n % VALUES[kind].len()];
            let bytes: String = events.iter().map(|(odd, n, m)| {
                let shape = shapes[(shape + usize::from(*odd == 0)) % shapes.len()];
                let json = shape.replace("$A", value(a, *n)).replace("$B", value(b, *m));
                let end = if *odd == 1 { "\r\n\r\n" } else { "\n\n" };
                if operation == Operation::OllamaChat { json + "\n" } else { format!("data: {json}{end}") }
            }).collect();
            let (mut one, mut two) = (Stream::new(operation, 1 << 20), Stream::new(operation, 1 << 20));
            for frame in bytes.as_bytes().chunks(cut) {
                one.push(Bytes::copy_from_slice(frame));
                two.push(Bytes::copy_from_slice(frame));
                loop {
                    two.template = Template::default();
                    let (a, b) = (one.next(), two.next());
                    prop_assert_eq!(&a, &b, "{}", bytes);
                    let (a_seen, b_seen) = (one.progress(), two.progress());
                    prop_assert_eq!(a_seen.events(), b_seen.events());
                    prop_assert_eq!(a_seen.is_complete(), b_seen.is_complete(), "{}", bytes);
                    prop_assert_eq!(a_seen.seen().next_sequence, b_seen.seen().next_sequence);
                    match a {
                        Some(Item::Forward(_)) => {}
                        Some(Item::Error(_)) => return Ok(()),
                        None => break,
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let _ = run(&frames);
        }
    }
}

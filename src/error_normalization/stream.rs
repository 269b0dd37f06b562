//! One stream's frames in, whole events out. Pure: no clock, no I/O.
//!
//! Maintainers: this is where it is decided that a client never sees half an event. Once half an
//! event is out, no later byte can tell a client anything (measured on six SDKs), so an unfinished
//! tail is held back until its empty line arrives. What leaves is what came: a frame of whole events
//! is handed on as the same `Bytes`, and only an event that is split over frames is copied.
//!
//! The life of a frame: [`push`](Stream::push) it, which yields most of them whole, then take
//! [`next`](Stream::next) until it is `None`. When the upstream ends, [`end`](Stream::end) says what the tail meant.

use super::{cutter::Cutter, template::Template};
use crate::dialect::{Operation, Progress};
use bytes::{Buf, Bytes};
use std::{borrow::Cow, mem};

/// Room for the first half of an event, in bytes.
const MIN_ROOM: usize = 512;

/// How many bytes more than the last event the next one likely has at the most.
const MORE: usize = 64;

/// The room that is kept for the next event that is split, in bytes.
const MAX_KEPT: usize = 8 << 10;

/// A stream under watch.
#[derive(Debug)]
pub(super) struct Stream {
    cutter: Cutter,
    progress: Progress,
    template: Template,
    /// The unfinished event. Never more than `max_event`, its capacity included.
    tail: Vec<u8>,
    /// What leaves behind the item that `push` returned.
    later: Option<Box<Later>>,
    max_event: usize,
    /// The event that is under way is larger than `max_event`, and passes as it comes.
    oversized: bool,
}

/// Few frames yield more than one item.
#[derive(Debug)]
struct Later {
    item: Item,
    behind: Option<Box<Self>>,
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
            cutter: Cutter::of(operation),
            progress: Progress::new(operation),
            template: Template::new(),
            tail: Vec::new(),
            later: None,
            max_event,
            oversized: false,
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether half an event is out already, so that nothing may follow it.
    pub(super) fn is_mid_event(&self) -> bool {
        self.oversized
    }

    /// Takes the next frame, and yields the first item that may leave.
    #[inline(always)]
    pub(super) fn push(&mut self, frame: Bytes) -> Option<Item> {
        debug_assert!(self.later.is_none(), "next() returned None before the next push()");
        let alike = if self.cutter.is_between() { self.alike(&frame) } else { 0 };
        if alike == frame.len() && alike > 0 {
            return Some(Item::Forward(frame));
        }
        if alike == 0 && self.holds(&frame) { None } else { self.go_on(frame, alike) }
    }

    /// The next item of the same frame. `None`: push the next one.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Item> {
        let later = *self.later.take()?;
        self.later = later.behind;
        Some(later.item)
    }

    /// An item that leaves before those which are left.
    fn later(&mut self, item: Item) {
        let behind = self.later.take();
        self.later = Some(Box::new(Later { item, behind }));
    }

    /// The length of all events like the template that this text begins with; takes note of them.
    #[inline]
    fn alike(&mut self, text: &[u8]) -> usize {
        if !self.template.fits(text.len()) {
            return 0;
        }
        let alike = self.template.find(text);
        self.progress.see_alike(alike.events, alike.sequence);
        alike.length
    }

    /// Holds back a text that ends no line, and so no event, if there is room for it; false, and
    /// nothing is done, otherwise.
    #[inline(never)]
    fn holds(&mut self, text: &[u8]) -> bool {
        let length = self.tail.len() + text.len();
        let held = length <= self.tail.capacity()
            && !self.oversized
            && !self.template.fits(length)
            && self.cutter.go_on(text);
        if held {
            self.tail.extend_from_slice(text);
        }
        held
    }

    /// Judges the events of a frame that no event is under way in; so much of it has been judged.
    fn take_apart(&mut self, mut frame: Bytes, mut whole: usize) -> Option<Item> {
        while let Some(length) = self.cutter.next_end(&frame[whole..]) {
            if let Some(error) = self.judge(&frame[whole..whole + length]) {
                if whole == 0 {
                    return Some(Item::Error(error));
                }
                self.later(Item::Error(error));
                frame.truncate(whole);
                return Some(Item::Forward(frame));
            }
            whole += length;
            if self.cutter.is_between() {
                whole += self.alike(&frame[whole..]);
            }
        }
        // Empty lines between events, or the LF of a CRLF, belong to nobody.
        if self.cutter.in_event() {
            self.oversized = frame.len() - whole > self.max_event;
            if !self.oversized {
                self.hold(&frame[whole..]);
                frame.truncate(whole);
            }
        }
        (!frame.is_empty()).then_some(Item::Forward(frame))
    }

    /// Goes on with a frame, of which so much has been judged.
    #[inline(never)]
    fn go_on(&mut self, mut frame: Bytes, whole: usize) -> Option<Item> {
        if frame.is_empty() {
            return None;
        }
        if self.tail.is_empty() && !self.oversized {
            return self.take_apart(frame, whole);
        }
        if let Some(event) = self.alike_over_frames(&mut frame) {
            self.push_rest(frame);
            return Some(Item::Forward(event));
        }
        let length = self.cutter.next_end(&frame);
        if self.oversized {
            self.oversized = length.is_none();
            let piece = frame.split_to(length.unwrap_or(frame.len()));
            self.push_rest(frame);
            return Some(Item::Forward(piece));
        }
        let Some(length) = length else {
            self.oversized = self.tail.len() + frame.len() > self.max_event;
            if !self.oversized {
                self.hold(&frame);
                return None;
            }
            self.later(Item::Forward(frame));
            return Some(Item::Forward(self.take_tail()));
        };
        self.hold(&frame[..length]);
        frame.advance(length);
        let event = self.take_tail();
        let alike = self.template.find(&event);
        if alike.length == event.len() {
            self.progress.see_alike(alike.events, alike.sequence);
        } else if let Some(error) = self.judge(&event) {
            return Some(Item::Error(error));
        }
        self.push_rest(frame);
        Some(Item::Forward(event))
    }

    /// The event that is under way, if it ends in this frame and is like the template: known without
    /// looking for its end.
    fn alike_over_frames(&mut self, frame: &mut Bytes) -> Option<Bytes> {
        let held = self.tail.len();
        if held == 0 || !self.template.fits(held + frame.len()) {
            return None;
        }
        let room = self.tail.capacity() - held;
        self.tail.extend_from_slice(&frame[..frame.len().min(room)]);
        let alike = self.template.find(&self.tail);
        if alike.length <= held {
            self.tail.truncate(held);
            return None;
        }
        self.progress.see_alike(alike.events, alike.sequence);
        self.cutter.begin();
        frame.advance(alike.length - held);
        self.tail.truncate(alike.length);
        if self.tail.capacity() > MAX_KEPT {
            return Some(self.take_tail());
        }
        let event = Bytes::copy_from_slice(&self.tail);
        self.tail.clear();
        Some(event)
    }

    /// What the rest of a frame yields leaves later.
    fn push_rest(&mut self, rest: Bytes) {
        if let Some(item) = self.push(rest) {
            self.later(item);
        }
    }

    /// The error of an event, if it is one; takes note of it if not.
    fn judge(&mut self, event: &[u8]) -> Option<Bytes> {
        let (data, error) = self.cutter.read(event);
        if error.is_some() {
            return error;
        }
        if self.cutter.is_strange(event, &data) {
            // A proxy's page or sentence inside of a stream, where nothing was said before. Empty lines
            // around it are its own or not, as the frames were cut.
            let page = event.trim_ascii();
            return (self.progress.events() == 0).then(|| Bytes::copy_from_slice(page));
        }
        if data.is_empty() {
            return None;
        }
        self.progress.see(&data);
        // Before that, whether a text is empty counts too.
        if let (Cow::Borrowed(data), true) = (data, self.progress.is_meaningful()) {
            self.template.learn(event, data.as_ptr() as usize - event.as_ptr() as usize);
        }
        None
    }

    /// Holds back what is no whole event yet. There is room for an event as long as the last one; beyond
    /// that it is doubled, as a `Vec` does it, but made for no more than an event may have.
    fn hold(&mut self, rest: &[u8]) {
        let length = self.tail.len() + rest.len();
        if length > self.tail.capacity() {
            let likely = self.template.length() + MORE;
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
            let known = stream.template.find(event.as_bytes()).events == 1;
            assert_eq!(known, n > 1, "what differs is known from the second one");
            assert_eq!(items(&mut stream, &event), [forward(&event)]);
            assert_eq!(stream.progress().seen().next_sequence, n as u64 + 1);
        }
        assert_eq!(stream.progress().events(), 4);
    }

    fn forward(events: &str) -> Item {
        Item::Forward(Bytes::from(events.to_owned()))
    }

    /// All that one frame yields.
    fn items(stream: &mut Stream, frame: impl AsRef<[u8]>) -> Vec<Item> {
        let first = stream.push(Bytes::copy_from_slice(frame.as_ref()));
        std::iter::successors(first, |_| stream.next()).collect()
    }

    /// The bytes that are forwarded before the first error, and the error.
    fn joined(items: impl IntoIterator<Item = Item>) -> (Vec<u8>, Option<Bytes>) {
        let mut out = Vec::new();
        for item in items {
            match item {
                Item::Forward(events) => out.extend_from_slice(&events),
                Item::Error(data) => return (out, Some(data)),
            }
        }
        (out, None)
    }

    /// The same of all these frames, and the end if there is no error.
    fn run_on(mut stream: Stream, frames: &[&[u8]]) -> (Vec<u8>, Option<Bytes>, Option<End>) {
        let (out, error) = joined(frames.iter().flat_map(|frame| items(&mut stream, frame)));
        let end = error.is_none().then(|| stream.end());
        (out, error, end)
    }

    fn run(frames: &[&[u8]]) -> (Vec<u8>, Option<Bytes>, Option<End>) {
        run_on(stream(), frames)
    }

    #[test]
    fn a_frame_of_whole_events_is_the_same_frame() {
        let frame = Bytes::from([TEXT, TEXT].concat());
        let mut stream = stream();
        let Some(Item::Forward(out)) = stream.push(frame.clone()) else {
            panic!("events are forwarded")
        };
        assert_eq!((out.as_ptr(), out.len()), (frame.as_ptr(), frame.len()));
        assert_eq!(stream.next(), None);
    }

    #[test]
    fn half_an_event_is_held_back_until_it_is_whole() {
        let mut stream = stream();
        assert_eq!(items(&mut stream, "data: 1\n\ndata:"), [forward("data: 1\n\n")]);
        assert_eq!(items(&mut stream, " 2\n"), []);
        let both = [forward("data: 2\n\n"), forward("data: 3\n\n")];
        assert_eq!(items(&mut stream, "\ndata: 3\n\n"), both);
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
        let error_behind_comment = &[": a\n", ERROR].concat();
        for events in [[TEXT, STOP, DONE], [TEXT, ERROR, DONE], [TEXT, error_behind_comment, DONE]]
        {
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
            for item in items(&mut stream, piece) {
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
            let lines = Stream::new(Operation::OllamaChat, 1 << 20);
            run_on(lines, &stream.as_bytes().chunks(step).collect::<Vec<_>>())
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
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for frame in bytes.as_bytes().chunks(cut) {
                a.extend(items(&mut one, frame));
                // Of single bytes, none ends an event like one that was learnt since.
                for byte in frame.chunks(1) {
                    two.template = Template::new();
                    b.extend(items(&mut two, byte));
                }
                if a.iter().any(|item| matches!(item, Item::Error(_))) {
                    break;
                }
                prop_assert_eq!(one.progress().events(), two.progress().events());
                prop_assert_eq!(one.progress().is_complete(), two.progress().is_complete(), "{}", bytes);
                let (a_seen, b_seen) = (one.progress().seen(), two.progress().seen());
                prop_assert_eq!(a_seen.next_sequence, b_seen.next_sequence);
            }
            let ((a, a_error), (b, b_error)) = (joined(a), joined(b));
            prop_assert_eq!(a_error, b_error, "{}", bytes);
            // An LF that a frame has cut off from its CR passes with the next event.
            prop_assert_eq!(a.trim_ascii_end(), b.trim_ascii_end(), "{}", bytes);
        }

        #[test]
        fn no_bytes_make_it_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let _ = run(&frames);
        }
    }
}

//! An event that says the same as the one before it, but for values that nobody judges. Pure.
//!
//! A stream is a few thousand events of one shape: between two of them the piece of text differs, a
//! counter, a random id. Once one is known to be healthy, whatever differs from it only there is
//! healthy too, and is told by comparing bytes, without reading its JSON or looking for its end.
//!
//! Rules:
//!
//! 1. Only scalars may differ: a string that is not empty from another, a number from another. Everything
//!    else (keys, their order, blanks, `null`, the line ends) is the same to the byte.
//! 2. A value that is [`JUDGED`] may not differ.
//! 3. Only values that have differed are looked for; the others are compared like the rest.
//!
//! That rules 1 and 2 suffice is a property tested on the stream as a whole: with templates and without
//! them it yields the same.

/// Keys whose values may differ between healthy events and still decide what the next one is, here and
/// in `provider::in_band` and `dialect::progress`. Of all other keys only the presence counts, and of what
/// kind the value is.
const JUDGED: [&[u8]; 5] = [b"finish_reason", b"index", b"object", b"status_code", b"type"];

/// The number of an event, which is wanted though it is not judged.
const SEQUENCE: &[u8] = b"sequence_number";

/// The longest event that is kept, in bytes.
const LONGEST: usize = 4096;

/// The most values of an event that may differ, a bit each.
const MOST: usize = 32;

/// A healthy event, and which of its values have differed from those of the events before.
#[derive(Debug)]
pub(super) struct Template {
    /// Empty if there is none.
    event: Box<[u8]>,
    /// Where its JSON begins.
    json: u16,
    /// The values that differ, in the order of the text.
    slots: Box<[Slot]>,
    /// Which of all its values these are.
    used: u32,
    /// The fewest bytes that an event like it may have; more than any has if there is none.
    shortest: usize,
}

/// Where a value stands: what is between the quotes of a string, or the digits of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Slot {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    String,
    Number,
    Sequence,
}

/// Events like the template.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Alike {
    /// How many there are.
    pub(super) events: u64,
    /// Bytes of them, their ends included.
    pub(super) length: usize,
    /// The number of the last one, where events have one that differs.
    pub(super) sequence: Option<u64>,
}

impl Template {
    /// None.
    pub(super) fn new() -> Self {
        Self { event: Box::new([]), json: 0, slots: Box::new([]), used: 0, shortest: usize::MAX }
    }

    /// Bytes of the template's event, 0 if there is none.
    pub(super) fn length(&self) -> usize {
        self.event.len()
    }

    /// Whether a text is long enough for an event like the template.
    #[inline]
    pub(super) fn fits(&self, length: usize) -> bool {
        length >= self.shortest
    }

    /// All events like the template that this text begins with.
    pub(super) fn find(&self, text: &[u8]) -> Alike {
        let mut alike = Alike::default();
        let mut rest = text;
        while self.fits(rest.len()) {
            let Some((behind, sequence)) = self.next(rest) else { break };
            alike.events += 1;
            alike.sequence = sequence;
            rest = behind;
        }
        alike.length = text.len() - rest.len();
        alike
    }

    /// What is behind the first event of this text, if it is like the template, and its number.
    #[inline(always)]
    fn next<'a>(&self, mut rest: &'a [u8]) -> Option<(&'a [u8], Option<u64>)> {
        let (mut from, mut sequence) = (0, None);
        for slot in &*self.slots {
            rest = rest.strip_prefix(&self.event[from..slot.start])?;
            let (value, behind) = rest.split_at(slot.kind.end(rest, 0)?);
            if slot.kind == Kind::Sequence {
                sequence = Some(digits(value)?);
            }
            (rest, from) = (behind, slot.end);
        }
        Some((rest.strip_prefix(&self.event[from..])?, sequence))
    }

    /// Takes a healthy event for the next template; its JSON begins at `json`.
    pub(super) fn learn(&mut self, event: &[u8], json: usize) {
        let fits = event.len() <= LONGEST
            && event.last() == Some(&b'\n')
            && event.get(json) == Some(&b'{')
            && !event.contains(&b'\r');
        let Some(begin) = u16::try_from(json).ok().filter(|_| fits) else {
            *self = Self::new();
            return;
        };
        let used = self.differing(event, json).map_or(0, |differing| self.used | differing);
        let values = Values::of(event, json).enumerate().filter(|(n, _)| used >> n & 1 == 1);
        let slots: Box<[Slot]> = values.map(|(_, slot)| slot).collect();
        let differing: usize = slots.iter().map(|slot| slot.end - slot.start - 1).sum();
        let shortest = event.len() - differing;
        *self = Self { event: event.into(), json: begin, slots, used, shortest };
    }

    /// Which values differ from those of this event, if its rest is the same.
    fn differing(&self, event: &[u8], json: usize) -> Option<u32> {
        let (mut old, mut new) =
            (Values::of(&self.event, self.json.into()), Values::of(event, json));
        let (mut differing, mut from, mut n) = (0, (0, 0), 0);
        loop {
            match (old.next(), new.next()) {
                (Some(a), Some(b)) => {
                    if a.kind != b.kind || self.event[from.0..a.start] != event[from.1..b.start] {
                        return None;
                    }
                    let same = self.event[a.start..a.end] == event[b.start..b.end];
                    differing |= u32::from(!same) << n;
                    from = (a.end, b.end);
                    n += 1;
                }
                (None, None) => {
                    return (self.event[from.0..] == event[from.1..]).then_some(differing);
                }
                _ => return None,
            }
        }
    }
}

impl Kind {
    /// Where the value ends that stands at `at`; `None` if none does, or the line ends first.
    #[inline]
    fn end(self, text: &[u8], at: usize) -> Option<usize> {
        let mut end = at;
        if self == Self::String {
            loop {
                match text.get(end)? {
                    b'"' => break,
                    b'\n' | b'\r' => return None,
                    b'\\' if matches!(text.get(end + 1), Some(b'\n' | b'\r')) => return None,
                    b'\\' => end += 2,
                    _ => end += 1,
                }
            }
        } else {
            end += text.get(at..)?.iter().take_while(|byte| is_numeric(**byte)).count();
        }
        (end > at).then_some(end)
    }
}

fn is_numeric(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The first values of an event's JSON that may differ, in the order of the text.
struct Values<'a> {
    event: &'a [u8],
    at: usize,
    /// Whether the key of the values that come is one that is judged.
    judged: bool,
    sequence: bool,
    left: usize,
}

impl<'a> Values<'a> {
    fn of(event: &'a [u8], json: usize) -> Self {
        Self { event, at: json, judged: false, sequence: false, left: MOST }
    }

    /// The string or number that begins at `start`, in front of which `at` stands.
    fn take(&mut self, mut kind: Kind, start: usize) -> Option<Slot> {
        let end = kind.end(self.event, start).unwrap_or(start);
        self.at = if kind == Kind::String { end + 1 } else { end.max(start + 1) };
        if kind == Kind::String {
            let blanks = self
                .event
                .iter()
                .skip(self.at)
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            if self.event.get(self.at + blanks) == Some(&b':') {
                let key = &self.event[start..end];
                // What is written with escapes is not compared.
                self.judged = JUDGED.contains(&key) || key.contains(&b'\\');
                self.sequence = key == SEQUENCE;
                return None;
            }
        } else if self.sequence {
            kind = Kind::Sequence;
        }
        (end > start && !self.judged).then_some(Slot { start, end, kind })
    }
}

impl Iterator for Values<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let found = match self.event.get(self.at)? {
                b'\n' => return None,
                b'"' => self.take(Kind::String, self.at + 1),
                b'-' | b'0'..=b'9' => self.take(Kind::Number, self.at),
                _ => {
                    self.at += 1;
                    None
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

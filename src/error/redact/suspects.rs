//! Where a secret may begin: most words of most texts are told from one by a look at each byte.

use super::{account::OWNERS, ends_with_escape, is_path, is_word, key, run};

/// What a byte can do.
type Kinds = u8;

/// Begins something by itself.
const OPENS: Kinds = 1;
/// Makes something of the word before it.
const BINDS: Kinds = 2;
const DIGIT: Kinds = 4;
const DOT: Kinds = 8;
/// What else a word has.
const LETTER: Kinds = 16;
const WORD: Kinds = DIGIT | DOT | LETTER;

const KINDS: [Kinds; 256] = {
    let mut kinds = [0; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'.' => DOT,
            _ if is_word(byte) => LETTER,
            b'\\' | b'%' | b'#' => OPENS,
            b'=' | b'"' | b'\'' => BINDS,
            b':' => OPENS | BINDS,
            _ if is_path(byte) => OPENS | BINDS,
            _ => 0,
        };
        byte -= 1;
    }
    kinds
};

/// Words that something may follow after a blank; [`OWNERS`] are more of them.
const LEADS: &[&str] = &["-----BEGIN", "Traceback", "at", "basic", "bearer", "goroutine", "stack"];

/// For each place in a word, and each byte there: a bit for each lead that has it, in either case.
type LeadsByByte = [[u16; 256]; 3];

const LEADS_BY_BYTE: LeadsByByte =
    with_leads(with_leads([[0; 256]; 3], LEADS, 0), OWNERS, LEADS.len());

const fn with_leads(mut table: LeadsByByte, leads: &[&str], first_bit: usize) -> LeadsByByte {
    let mut n = 0;
    while n < leads.len() {
        let lead = leads[n].as_bytes();
        let mut place = 0;
        while place < table.len() {
            let mut byte = u8::MAX;
            while byte > 0 {
                let same = if place < lead.len() {
                    lead[place].eq_ignore_ascii_case(&byte)
                } else {
                    KINDS[byte as usize] & WORD == 0
                };
                if same {
                    table[place][byte as usize] |= 1 << (first_bit + n);
                }
                byte -= 1;
            }
            place += 1;
        }
        n += 1;
    }
    table
}

/// Finds the places of a text where something may begin. Nothing does at those it leaves out.
pub(super) struct Suspects<'a> {
    text: &'a str,
    /// Up to here no path begins with a character beyond ASCII.
    no_path: usize,
}

impl<'a> Suspects<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, no_path: 0 }
    }

    /// The first place from `at` on, which is the start of a word or no part of one.
    pub(super) fn next(&mut self, mut at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            let kinds = KINDS[usize::from(byte)];
            if kinds & WORD != 0 {
                match word_len(&bytes[at..]) {
                    Some(len) => at += len,
                    None => return Some(at),
                }
            } else if kinds & OPENS != 0 && (byte < 0x80 || self.may_open_path(at)) {
                return Some(at);
            } else {
                at += 1;
            }
        }
        None
    }

    /// Whether a path may begin with this character beyond ASCII. It does with the first one that can,
    /// or with none: paths are told by their ends.
    fn may_open_path(&mut self, at: usize) -> bool {
        if at < self.no_path || !self.text.is_char_boundary(at) || !opens(self.text, at) {
            return false;
        }
        self.no_path = at + run(&self.text[at..], is_path);
        true
    }
}

/// Whether nothing before this place runs on into it.
pub(super) fn opens(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[..at];
    let inside = |byte: &u8| byte.is_ascii() && is_path(*byte);
    !before.last().is_some_and(inside) || ends_with_escape(before)
}

/// The length of the word at the start of a text if it is plain: if nothing after it makes something of
/// it, and if it has no dot inside, as hosts have, and is too short for a key, which is longer or has a
/// digit.
#[inline]
fn word_len(text: &[u8]) -> Option<usize> {
    let mut kinds = 0;
    let len = text.iter().position(|byte| {
        let next = KINDS[usize::from(*byte)];
        kinds |= next;
        next & WORD == 0
    });
    // What ends it binds, opens, or is a blank or the like.
    let len = len.unwrap_or(text.len());
    let longest = if kinds & DIGIT == 0 { key::LONGEST_WORD } else { key::SHORTEST - 1 };
    let is_plain = kinds & (BINDS | DOT) == 0 && len <= longest
        || kinds & BINDS == 0 && is_plain_with_dots(&text[..len], longest);
    (is_plain && !leads(text)).then_some(len)
}

/// The same for a word that nothing is bound to: if its dots are all at its end, which does not count.
fn is_plain_with_dots(mut word: &[u8], longest: usize) -> bool {
    while let [rest @ .., b'.'] = word {
        word = rest;
    }
    word.len() <= longest && !word.contains(&b'.')
}

/// Whether a text begins with a lead, in any case: few words begin with the same three letters.
#[inline]
fn leads(text: &[u8]) -> bool {
    let leads = match text {
        [a, b, c, ..] => {
            let by_byte = |place: usize, byte: u8| LEADS_BY_BYTE[place][usize::from(byte)];
            by_byte(0, *a) & by_byte(1, *b) & by_byte(2, *c)
        }
        _ => 0,
    };
    leads != 0 && is_lead(text, leads)
}

/// Whether it begins with one of these.
#[cold]
fn is_lead(text: &[u8], mut leads: u16) -> bool {
    while leads != 0 {
        let n = leads.trailing_zeros() as usize;
        let lead = if n < LEADS.len() { LEADS[n] } else { OWNERS[n - LEADS.len()] };
        let start = text.get(..lead.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(lead.as_bytes())) {
            return true;
        }
        leads &= leads - 1;
    }
    false
}

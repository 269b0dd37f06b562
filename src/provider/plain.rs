//! A name as it is compared: without case, punctuation and the endings that say nothing.

/// How many characters of a text are looked at; and how many of a name, which is more than any has.
const LOOKED_AT: usize = 80;
const LONGEST: usize = 64;

/// For each byte that is a letter or a digit the same in lower case, else 0.
const LETTERS: [u8; 256] = {
    let (mut letters, mut byte) = ([0; 256], u8::MAX);
    while byte > 0 {
        if byte.is_ascii_alphanumeric() {
            letters[byte as usize] = byte.to_ascii_lowercase();
        }
        byte -= 1;
    }
    letters
};

/// A name in lower case, letters and digits only, without the endings that say nothing.
pub(super) struct Plain {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Plain {
    /// Empty if the text is too long for a name.
    pub(super) fn of(name: &str) -> Self {
        let mut plain = Self { bytes: [0; LONGEST], length: 0 };
        let end = match name.len() {
            0..=LOOKED_AT => name.len(),
            length => name.char_indices().nth(LOOKED_AT).map_or(length, |(at, _)| at),
        };
        for byte in name[..end].bytes() {
            let letter = LETTERS[usize::from(byte)];
            if letter > 0 {
                let Some(next) = plain.bytes.get_mut(plain.length) else {
                    plain.length = 0;
                    return plain;
                };
                *next = letter;
                plain.length += 1;
            }
        }
        for ending in [b"exception".as_slice(), b"error"] {
            if let Some(rest) = plain.as_bytes().strip_suffix(ending) {
                plain.length = rest.len();
            }
        }
        plain
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

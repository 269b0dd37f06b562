//! Keys and tokens: by their prefixes, by how random they are, by the names before them.

use super::run;

/// Prefixes of keys and tokens, and how many letters, digits, `-` and `_` must follow.
const PREFIXES: &[(&str, usize)] = &[
    ("ABSK", 40),
    ("AC", 32),
    ("AGE-SECRET-KEY-", 40),
    ("AIza", 30),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ATATT3", 20),
    ("GOCSPX-", 20),
    ("NRAK-", 20),
    ("PMAK-", 20),
    ("SG.", 16),
    ("SK", 32),
    ("ak-", 16),
    ("api_org_", 20),
    ("csk-", 20),
    ("dapi", 32),
    ("dckr_pat_", 20),
    ("dop_v1_", 32),
    ("fc-", 32),
    ("figd_", 20),
    ("fw_", 20),
    ("gho_", 20),
    ("ghp_", 20),
    ("ghr_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("glsa_", 20),
    ("gsk_", 20),
    ("hf_", 20),
    ("hvs.", 20),
    ("jina_", 20),
    ("key-", 32),
    ("lin_api_", 20),
    ("lsv2_", 20),
    ("npm_", 20),
    ("ntn_", 20),
    ("nvapi-", 20),
    ("org-", 12),
    ("org_", 12),
    ("pa-", 32),
    ("pcsk_", 20),
    ("pplx-", 20),
    ("proj_", 12),
    ("pypi-", 32),
    ("r8_", 20),
    ("rk_", 16),
    ("sbp_", 20),
    ("sess-", 20),
    ("shpat_", 20),
    ("sk-", 16),
    ("sk_", 16),
    ("tgp_v1_", 20),
    ("tvly-", 16),
    ("whsec_", 20),
    ("xai-", 20),
    ("xapp-", 10),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("ya29.", 20),
];

/// The length of the shortest key.
pub(super) const SHORTEST: usize = {
    let mut shortest = usize::MAX;
    let mut n = 0;
    while n < PREFIXES.len() {
        let (prefix, least) = PREFIXES[n];
        if prefix.len() + least < shortest {
            shortest = prefix.len() + least;
        }
        n += 1;
    }
    shortest
};

/// The longest word without digits that is no key.
pub(super) const LONGEST_WORD: usize = 31;

/// The longest name of a secret.
const LONGEST_NAME: usize = 60;

/// Ends of names whose values are secrets, without case and punctuation.
const SECRET_NAMES: &[&str] = &[
    "accesskey",
    "accesstoken",
    "accountkey",
    "apikey",
    "apitoken",
    "authtoken",
    "clientsecret",
    "idtoken",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "refreshtoken",
    "secretaccesskey",
    "secretkey",
    "securitytoken",
    "sessiontoken",
    "sharedaccesskey",
    "subscriptionkey",
    "xamzcredential",
    "xamzsignature",
    "xgoogcredential",
    "xgoogsignature",
];

/// Names that mean a secret only when nothing stands before them.
const SHORT_NAMES: &[&str] = &["credential", "key", "secret", "sig", "signature", "token"];

/// A word that is a key, without what ends the sentence after it.
pub(super) fn key_len(word: &str, after: &str) -> Option<usize> {
    let word = word.trim_end_matches('.');
    if word.starts_with("eyJ") && word.len() >= 30 && word.contains('.') {
        return Some(word.len()); // a JSON web token
    }
    // The bot tokens of Telegram: a number, a colon, 35 characters.
    let digits = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_digit());
    let bot = after.strip_prefix(":AA").filter(|_| digits).map(|rest| run(rest, is_key));
    if let Some(tail) = bot.filter(|tail| *tail >= 30) {
        return Some(word.len() + 3 + tail);
    }
    if word.len() < SHORTEST {
        return None;
    }
    if is_nameless(word) {
        return Some(word.len());
    }
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| word.starts_with(prefix))?;
    let tail = &word[prefix.len()..];
    let enough = run(tail, is_key) >= *least;
    let random = tail.len() > LONGEST_WORD || tail.bytes().any(|b| b.is_ascii_digit());
    // Base64 has three more characters.
    let more = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let more = if *prefix == "ABSK" { run(after, more) } else { 0 };
    (enough && random).then_some(word.len() + more)
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// A key without a prefix, as Mistral's and Cohere's: long, of all kinds of letters, and digits.
/// Digests and ids of requests are hexadecimal, or shorter.
fn is_nameless(word: &str) -> bool {
    let count = |kind: fn(&u8) -> bool| word.bytes().filter(kind).count();
    word.len() > LONGEST_WORD
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && count(u8::is_ascii_digit) >= 2
        && count(u8::is_ascii_uppercase) >= 2
        && count(u8::is_ascii_lowercase) >= 2
}

/// `key=value` and `"password": "value"`: what to skip after the name, and the length of the value.
pub(super) fn named_secret(word: &str, after: &str) -> Option<(usize, usize)> {
    let names = matches!(after.as_bytes(), [b'=' | b':' | b'"' | b'\'', ..]);
    if word.len() > LONGEST_NAME || !names {
        return None;
    }
    let mut name = [0; LONGEST_NAME];
    let letters = word.bytes().filter(u8::is_ascii_alphanumeric);
    let len = letters.zip(&mut name).map(|(b, place)| *place = b.to_ascii_lowercase()).count();
    let name = &name[..len];
    let ends_with = |ending: &&str| {
        // Most names are told apart by their last letter.
        name.last() == ending.as_bytes().last() && name.ends_with(ending.as_bytes())
    };
    let is_short = |short: &&str| name == short.as_bytes();
    if !SECRET_NAMES.iter().any(ends_with) && !SHORT_NAMES.iter().any(is_short) {
        return None;
    }
    let skipped = run(after, |b| matches!(b, b'"' | b'\'' | b':' | b' ' | b'=')).min(5);
    let value = Some(value(&after[skipped..])).filter(|value| !value.contains("**"))?;
    // A password may be any word, but not after a colon: "password: must be longer".
    let password = ["password", "passwd", "pwd"].iter().any(ends_with);
    let secret = if password && after.starts_with('=') {
        value.len() >= 6
    } else {
        value.len() >= 8 && is_random(value)
    };
    (secret && after[..skipped].contains([':', '='])).then_some((skipped, value.len()))
}

/// `Bearer value` and `Basic value`.
pub(super) fn scheme_secret(word: &str, after: &str) -> Option<(usize, usize)> {
    if !(word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")) {
        return None;
    }
    let skipped = run(after, |b| b == b' ').min(3);
    let value = value(&after[skipped..]);
    (skipped > 0 && value.len() >= 8 && is_random(value)).then_some((skipped, value.len()))
}

/// A value, up to whatever cannot be part of it.
pub(super) fn value(text: &str) -> &str {
    let ends = |b: u8| b.is_ascii_whitespace() || b"&\"'`,;()<>[]{}\\".contains(&b);
    text[..run(text, |b| !ends(b))].trim_end_matches(['.', ':', '!', '?'])
}

/// Whether a value is no word of a language: digits, or capitals after small letters.
pub(super) fn is_random(value: &str) -> bool {
    let capital = value.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let small = value.bytes().any(|b| b.is_ascii_lowercase());
    value.bytes().any(|b| b.is_ascii_digit()) || (capital && small) || value.len() >= 32
}

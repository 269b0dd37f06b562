//! Ids of organisations, projects and accounts.

use super::run;

/// What an id may follow in a sentence.
pub(super) const OWNERS: &[&str] =
    &["account", "organization", "project", "subscription", "tenant", "workspace"];

/// What a name of a resource may follow in a path.
const COLLECTIONS: &[&str] = &["organizations", "projects", "resourceGroups", "subscriptions"];

/// The longest resource name that is taken out whole, in bytes.
const LONGEST_ARN: usize = 512;

/// An id at or after a word: what to skip, and the length of the id.
pub(super) fn account(word: &str, after: &str) -> Option<(usize, usize)> {
    if word == "arn" && after.starts_with(":aws") {
        return arn_len(after).map(|len| (0, word.len() + len));
    }
    if COLLECTIONS.contains(&word) {
        let name = after.strip_prefix('/')?;
        let len = run(name, |b| b.is_ascii_alphanumeric() || b == b'-');
        return (len >= 4).then_some((word.len() + 1, len));
    }
    let owned = |owner: &&str| {
        word.get(..owner.len()).is_some_and(|start| start.eq_ignore_ascii_case(owner))
    };
    if !OWNERS.iter().any(owned) {
        return None;
    }
    let owner = word.to_ascii_lowercase();
    let owner = owner.trim_end_matches("_number").trim_end_matches("_id");
    if !OWNERS.contains(&owner) {
        return None;
    }
    let skipped = run(after, |b| b" :=#'\"`(".contains(&b)).min(4);
    let id = &after[skipped..];
    let id = &id[..run(id, |b| b.is_ascii_alphanumeric() || b == b'-')];
    let number = id.len() >= 10 && id.bytes().all(|b| b.is_ascii_digit());
    (skipped > 0 && (number || is_uuid(id))).then_some((word.len() + skipped, id.len()))
}

/// The rest of an Amazon resource name, if it names an account: models of Amazon's own do not.
fn arn_len(after: &str) -> Option<usize> {
    let part = |b: &u8| b.is_ascii_alphanumeric() || b":/-_.*+=@".contains(b);
    let len = after.bytes().take(LONGEST_ARN).take_while(part).count();
    let name = after[..len].trim_end_matches(['.', ':']);
    let account = name.split(':').nth(4)?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then_some(name.len())
}

fn is_uuid(text: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    text.len() == 36
        && text.split('-').all(hex)
        && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

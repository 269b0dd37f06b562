//! Tables of what is known, by hash, made when this is compiled: there is nothing to be built when the
//! first error is read.

/// The numbers below `N` by their hashes, which are below `HASHES`.
pub(super) struct Chains<const HASHES: usize, const N: usize> {
    /// The first number of each hash, or [`NONE`].
    first: [u16; HASHES],
    /// The number behind each that has the same hash.
    next: [u16; N],
}

const NONE: u16 = u16::MAX;

impl<const HASHES: usize, const N: usize> Chains<HASHES, N> {
    pub(super) const fn of(hashes: &[usize; N]) -> Self {
        assert!(N < NONE as usize, "all numbers have room");
        let (mut first, mut next) = ([NONE; HASHES], [NONE; N]);
        let mut at = N;
        while at > 0 {
            at -= 1;
            next[at] = first[hashes[at]];
            #[allow(clippy::cast_possible_truncation, reason = "it is below `NONE`")]
            let number = at as u16;
            first[hashes[at]] = number;
        }
        Self { first, next }
    }

    /// The numbers with this hash, in their order.
    #[inline]
    pub(super) fn with(&self, hash: usize) -> Numbers<'_> {
        Numbers { at: self.first[hash], next: &self.next }
    }
}

pub(super) struct Numbers<'a> {
    at: u16,
    next: &'a [u16],
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.at == NONE {
            return None;
        }
        let number = usize::from(self.at);
        self.at = self.next[number];
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_hash_is_found_in_order() {
        let chains = Chains::<4, 5>::of(&[1, 3, 1, 0, 1]);
        let with = |hash| chains.with(hash).collect::<Vec<_>>();
        assert_eq!([0, 1, 2, 3].map(with), [vec![3], vec![0, 2, 4], vec![], vec![1]]);
    }
}

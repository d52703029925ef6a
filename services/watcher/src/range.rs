/// How many blocks one query for logs may span, as the provider lets us find out: there is no way to ask.
///
/// An objection halves it, down to a single block; after enough queries that went well it doubles again, up to the
/// configured most. A provider with a fixed limit thus costs one refused query in [`Range::PROBE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    most: u64,
    blocks: u64,
    went_well: u32,
}

impl Range {
    /// How many queries must go well before a wider one is tried.
    pub const PROBE: u32 = 16;

    /// Begins with the widest range.
    pub fn new(most: u64) -> Range {
        let most = most.max(1);
        Range { most, blocks: most, went_well: 0 }
    }

    /// How many blocks to ask for.
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The last block of a query that begins with `from` and need not go beyond `end`.
    pub fn last(&self, from: u64, end: u64) -> u64 {
        from.saturating_add(self.blocks - 1).min(end)
    }

    /// A query for `asked` blocks was answered.
    pub fn grow(&mut self, asked: u64) {
        // A query shorter than the range proves nothing about it.
        if asked < self.blocks || self.blocks == self.most {
            return;
        }
        self.went_well += 1;
        if self.went_well >= Range::PROBE {
            self.went_well = 0;
            self.blocks = self.blocks.saturating_mul(2).min(self.most);
        }
    }

    /// The provider objected to a query for `asked` blocks. False when it cannot be any smaller.
    pub fn shrink(&mut self, asked: u64) -> bool {
        self.went_well = 0;
        if asked <= 1 {
            return false;
        }
        self.blocks = asked / 2;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_until_the_provider_is_content() {
        let mut range = Range::new(10_000);
        let limit = 100;
        let mut refused = 0;
        while range.blocks() > limit {
            assert!(range.shrink(range.blocks()));
            refused += 1;
        }
        assert_eq!((range.blocks(), refused), (78, 7));
    }

    #[test]
    fn stops_at_one_block() {
        let mut range = Range::new(2);
        assert!(range.shrink(2));
        assert_eq!(range.blocks(), 1);
        assert!(!range.shrink(1));
        assert_eq!(range.blocks(), 1);
    }

    #[test]
    fn grows_back_after_enough_answers_and_never_beyond_the_most() {
        let mut range = Range::new(100);
        range.shrink(100);
        for _ in 0..Range::PROBE {
            assert_eq!(range.blocks(), 50);
            range.grow(50);
        }
        assert_eq!(range.blocks(), 100);
        for _ in 0..Range::PROBE {
            range.grow(100);
        }
        assert_eq!(range.blocks(), 100);
    }

    #[test]
    fn short_queries_prove_nothing() {
        let mut range = Range::new(100);
        range.shrink(100);
        for _ in 0..10 * Range::PROBE {
            range.grow(49);
        }
        assert_eq!(range.blocks(), 50);
    }

    #[test]
    fn covers_what_is_asked_without_a_gap() {
        let mut range = Range::new(7);
        let (mut from, end, mut covered) = (3, 40, 0);
        while from <= end {
            let last = range.last(from, end);
            covered += last - from + 1;
            from = last + 1;
            if from == 17 {
                range.shrink(7);
            }
        }
        assert_eq!(covered, 38);
    }
}

//! Who gets the next request: exact in every block, at random places within it.
//!
//! A block is 100 requests at a whole-percent weight and 1,000 at a finer one. Exactly the weight's share of each goes to the
//! canary, at shuffled places, so that a client with a period sees no pattern. Rejected: a coin for each request, which at 1 %
//! of 100 requests gives the canary none in 37 of 100 blocks.

use super::random::Random;
use crate::event::Weight;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Canary,
    Stable,
}

/// The split of an environment's requests under one weight.
#[derive(Debug)]
pub(super) struct Split {
    weight: Weight,
    block: Vec<Side>,
    next: usize,
    random: Random,
    served: (u64, u64),
}

impl Split {
    pub(super) fn new(weight: Weight) -> Self {
        let mut split = Self { weight, block: Vec::new(), next: 0, random: Random::new(), served: (0, 0) };
        split.set(weight);
        split
    }

    /// Begins a new block under `weight`, and counts from 0.
    pub(super) fn set(&mut self, weight: Weight) {
        self.weight = weight;
        let thousandths = usize::from(weight.thousandths());
        let (length, canary) = if thousandths.is_multiple_of(10) { (100, thousandths / 10) } else { (1000, thousandths) };
        self.block = (0..length).map(|place| if place < canary { Side::Canary } else { Side::Stable }).collect();
        self.served = (0, 0);
        self.shuffle();
    }

    /// Whose the next request is; it counts as served.
    pub(super) fn take(&mut self) -> Side {
        if self.next >= self.block.len() {
            self.shuffle();
        }
        let side = self.block.get(self.next).copied().unwrap_or(Side::Stable);
        self.next += 1;
        match side {
            Side::Canary => self.served.0 += 1,
            Side::Stable => self.served.1 += 1,
        }
        side
    }

    /// How many went to the canary and to stable since the weight was set.
    pub(super) fn served(&self) -> (u64, u64) {
        self.served
    }

    /// Fisher and Yates, as in Knuth, The Art of Computer Programming, 3.4.2, algorithm P.
    fn shuffle(&mut self) {
        self.next = 0;
        for place in (1..self.block.len()).rev() {
            let other = self.random.below(place + 1);
            self.block.swap(place, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_every_weight_is_exact() {
        for thousandths in 0..=1000u16 {
            let mut split = Split::new(Weight::from_thousandths(thousandths).unwrap());
            let block: u64 = if thousandths % 10 == 0 { 100 } else { 1000 };
            for blocks in 1..=3u64 {
                for _ in 0..block {
                    split.take();
                }
                assert_eq!(split.served().0 * 1000, blocks * block * u64::from(thousandths));
            }
        }
    }

    #[test]
    fn the_places_are_not_the_same_in_every_block() {
        let mut split = Split::new(Weight::from_thousandths(10).unwrap());
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let block: Vec<Side> = (0..100).map(|_| split.take()).collect();
            places.insert(block.iter().position(|side| *side == Side::Canary).unwrap());
        }
        assert!(places.len() > 10, "{places:?}");
    }

    #[test]
    fn a_new_weight_begins_a_new_block_and_counts_anew() {
        let mut split = Split::new(Weight::FULL);
        split.take();
        split.set(Weight::ZERO);
        assert_eq!((0..100).filter(|_| split.take() == Side::Canary).count(), 0);
        assert_eq!(split.served(), (0, 100));
    }
}

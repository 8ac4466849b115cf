//! Room to work in that states of step lists share: what is in it is over with each call, and what it has taken stays.
//!
//! A thousand rules of a stream that see some rows each would otherwise have a thousand such rooms, each of a few dozen
//! pieces of memory, which nobody has seen lately.

use std::sync::Arc;

use super::compile::StepLists;
use super::enumerate::Enumeration;
use super::few_rows::KeptRow;
use super::key_lists::KeyLists;
use super::lists::Action;
use super::push::At;
use crate::lists::written::Written;
use crate::symbols::BySymbol;

/// Bytes of each part that there always is room for.
const ROOM_KEPT: usize = 1 << 16;

/// Up to so many predicates what rows do is worked out of all symbols at once.
const SHARED_PREDICATES_MAX: usize = 3;

/// See the module. Whoever takes it finds nothing in it that another has left.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Words of predicates.
    pub(super) words: Vec<u64>,
    /// Rows of the key at hand, and those of them that are to be kept as they are.
    pub(super) rows: Vec<At>,
    pub(super) fresh: Vec<KeptRow>,
    pub(super) written: Written,
    enumeration: Option<Enumeration>,
    /// Lists of a key with few rows, made of these while it is at hand.
    at_hand: Option<Box<KeyLists>>,
}

impl Scratch {
    /// Lists for keys with few rows, with something in them perhaps.
    pub(super) fn take_lists(&mut self, steps: &StepLists) -> Box<KeyLists> {
        let known = self.at_hand.take().filter(|lists| lists.lists.are_of(steps));
        known.unwrap_or_else(|| Box::new(KeyLists::new(steps)))
    }

    /// Puts such lists back, for others to take.
    pub(super) fn put_lists(&mut self, lists: Box<KeyLists>) {
        self.at_hand = Some(lists).filter(|lists| lists.bytes() <= ROOM_KEPT);
    }

    /// An enumeration, and room to write matches down.
    pub(super) fn writing(&mut self, steps: &StepLists) -> (&mut Enumeration, &mut Written) {
        let known = self.enumeration.take().filter(|enumeration| enumeration.is_of(steps));
        let enumeration = self.enumeration.insert(known.unwrap_or_else(|| Enumeration::new(steps)));
        (enumeration, &mut self.written)
    }

    /// Lets go of room that only a large answer needs, or many rows.
    pub(super) fn give_back_room(&mut self, steps: &StepLists) {
        if let Some(enumeration) = &mut self.enumeration {
            enumeration.give_back_room(steps);
        }
        if self.written.bytes() > ROOM_KEPT {
            self.written = Written::default();
        }
        if self.rows.capacity() * size_of::<At>() > ROOM_KEPT {
            self.rows = vec![];
        }
        if self.fresh.capacity() * size_of::<KeptRow>() > ROOM_KEPT {
            self.fresh = vec![];
        }
    }
}

/// What rows do, by the predicates that they satisfy: for few of these worked out once for all states of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Actions {
    All(Arc<[Action]>),
    Met(BySymbol<Action>),
}

impl Actions {
    /// The number of what a row does that satisfies the predicates set in `symbol`.
    #[inline]
    pub(super) fn number(&mut self, steps: &StepLists, symbol: u64) -> u32 {
        match self {
            Self::All(_) => symbol as u32,
            Self::Met(met) => met.number(symbol, || steps.action(symbol)),
        }
    }

    /// What has been made, by number.
    #[inline]
    pub(super) fn made(&self) -> &[Action] {
        match self {
            Self::All(all) => all,
            Self::Met(met) => met.made(),
        }
    }
}

impl StepLists {
    /// What rows do.
    pub(super) fn actions(&self) -> Actions {
        let predicates = self.conditions.predicates.len();
        if predicates > SHARED_PREDICATES_MAX {
            return Actions::Met(BySymbol::new(predicates));
        }
        let all = || (0..1 << predicates).map(|symbol| self.action(symbol)).collect();
        Actions::All(Arc::clone(self.all_actions.get_or_init(all)))
    }
}

//! The clock of a stream: up to what time its input is complete.

/// How time runs in a stream. All spans are in nanoseconds of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimePolicy {
    /// How far behind the greatest time seen of its source a row may come; `None`: only
    /// [`advance_to`](crate::ReorderBuffer::advance_to) moves the clock.
    pub lateness: Option<u64>,
    /// A source that is further behind than this does not hold the clock back; `None`: every source does, for ever.
    pub idle: Option<u64>,
    /// A row whose time is further ahead of now than this moves no clock; `None`: every row does.
    pub future: Option<u64>,
}

/// What is known of one source's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceClock {
    /// Whether the source counts; one that was removed does not.
    pub active: bool,
    /// The greatest time seen of it, rows ahead of the guard left out.
    pub greatest: Option<i64>,
    /// For a source that has sent nothing: since when, in event time, it has been waited for. The first time seen of
    /// any source, or, for one that was added later, the greatest time seen by then.
    pub awaited_since: Option<i64>,
}

impl SourceClock {
    /// How far the source is known to be: what it is idle by.
    fn reached(&self) -> Option<i64> {
        self.greatest.or(self.awaited_since)
    }
}

/// The clock of a stream: the watermark of each source, and the one over all.
///
/// A source's watermark is the greatest time seen of it, less the lateness; the stream's is the least over the sources
/// that are not idle, and never goes back. [`crate::late`] moves it row by row.
///
/// - Time: O(sources) for whatever asks all of them.
/// - Space: 40 bytes a source.
/// - Source: low-watermarks as in Akidau et al., *The Dataflow Model*, PVLDB 8(12), 2015; idleness by event time is
///   ours, so that a clock never depends on when a row was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    pub(crate) policy: TimePolicy,
    pub(crate) sources: Vec<SourceClock>,
    /// Rows up to and including this time have been released; rows before it are late.
    pub(crate) watermark: Option<i64>,
    /// Rows at this time are late too: the clock was moved here by hand or by a flush. Never beyond the watermark.
    pub(crate) closed: Option<i64>,
    /// Where sources that are gone let the watermark be, if that is further: the next call moves it there.
    pub(crate) due: Option<i64>,
}

impl Clock {
    /// A clock that has seen nothing.
    pub fn new(policy: TimePolicy) -> Self {
        Self { policy, sources: vec![], watermark: None, closed: None, due: None }
    }

    /// The stream's watermark: rows up to and including it have been released.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    /// The time up to and including which rows are late because the clock was moved there by hand or by a flush.
    pub fn closed(&self) -> Option<i64> {
        self.closed
    }

    /// Where the next call moves the watermark before anything else, as sources that held it back are gone.
    pub fn due(&self) -> Option<i64> {
        self.due
    }

    /// The time before which no row is accepted any more.
    pub fn complete_before(&self) -> Option<i64> {
        self.watermark.max(self.closed.map(|closed| closed.saturating_add(1)))
    }

    /// The greatest time seen of any source that counts.
    pub fn greatest(&self) -> Option<i64> {
        self.active().filter_map(|source| source.greatest).max()
    }

    /// A source's own watermark.
    pub fn source_watermark(&self, source: usize) -> Option<i64> {
        let lateness = self.policy.lateness?;
        self.sources[source].greatest.map(|greatest| greatest.saturating_sub_unsigned(lateness))
    }

    /// Whether a source is idle: further behind the greatest time seen than the policy lets a source be.
    pub fn is_idle(&self, source: usize) -> bool {
        let source = &self.sources[source];
        let reached = source.reached().filter(|_| source.active);
        reached.zip(self.greatest()).is_some_and(|(reached, greatest)| self.policy.is_idle(reached, greatest))
    }

    /// Counts a source in; one that was removed begins anew. Sources are numbered in order, without gaps.
    pub(crate) fn add_source(&mut self, source: usize) {
        let awaited_since = self.greatest();
        if source == self.sources.len() {
            self.sources.push(SourceClock::default());
        }
        if !self.sources[source].active {
            self.sources[source] = SourceClock { active: true, greatest: None, awaited_since };
        }
    }

    /// Counts a source out. It may have held the clock back: the watermark is [due](Self::due) where the others let it be.
    pub(crate) fn remove_source(&mut self, source: usize) {
        self.sources[source].active = false;
        self.due = self.due.max(self.bound()).filter(|due| self.watermark.is_none_or(|own| own < *due));
    }

    /// Moves the watermark to where it is due.
    pub(crate) fn catch_up(&mut self) {
        self.watermark = self.watermark.max(self.due.take());
    }

    /// Moves the clock by hand. Going backwards does nothing.
    pub(crate) fn advance_to(&mut self, time: i64) {
        if self.watermark.is_none_or(|watermark| watermark <= time) {
            self.watermark = Some(time);
            self.closed = Some(time);
        }
    }

    /// What the sources let the watermark be.
    fn bound(&self) -> Option<i64> {
        let lateness = self.policy.lateness?;
        let greatest = self.greatest()?;
        let mut least = None;
        for source in self.active() {
            match source.reached() {
                Some(reached) if self.policy.is_idle(reached, greatest) => {}
                _ => {
                    let own = source.greatest?;
                    least = Some(least.map_or(own, |least: i64| least.min(own)));
                }
            }
        }
        least.map(|least: i64| least.saturating_sub_unsigned(lateness))
    }

    fn active(&self) -> impl Iterator<Item = &SourceClock> {
        self.sources.iter().filter(|source| source.active)
    }
}

impl TimePolicy {
    /// Whether a source that is known to be at `reached` is idle when the greatest time seen is `greatest`.
    pub(crate) fn is_idle(&self, reached: i64, greatest: i64) -> bool {
        self.idle.is_some_and(|idle| greatest > reached && greatest.abs_diff(reached) > idle)
    }

    /// The last time that the guard against rows ahead of their time lets move a clock.
    pub(crate) fn future_limit(&self, now: Option<i64>) -> i64 {
        match (now, self.future) {
            (Some(now), Some(future)) => now.saturating_add_unsigned(future),
            _ => i64::MAX,
        }
    }
}

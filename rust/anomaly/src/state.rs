//! What an anomaly rule keeps between rows.

use arrow_array::Float64Array;
use cepheid_event::threads::{cut, on_each, stretches_of_keys};
use cepheid_ir::AnomalyMethod;

use crate::compile::DetectorPlan;
use crate::methods::cusum::Cusum;
use crate::methods::ewma::Ewma;
use crate::methods::mad::Mad;
use crate::methods::quantile_band::QuantileBand;
use crate::methods::rate_of_change::RateOfChange;
use crate::methods::seasonal::Seasonal;
use crate::methods::{Method, Verdict, is_judged};

/// See the module. To be used with one plan.
#[derive(Clone, Debug)]
pub struct DetectorState {
    machines: Machines,
}

/// Rows on their way to be judged, all as long as each other.
pub struct Chunk<'a> {
    /// Numbers of their keys.
    pub keys: &'a [u32],
    /// How many keys there are by now.
    pub num_keys: usize,
    /// Event times in nanoseconds, ascending, none before that of a row that has come.
    pub times: &'a [i64],
    /// What is judged.
    pub values: &'a Float64Array,
    /// How many threads share the keys; nothing else changes.
    pub threads: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Machines {
    Ewma(Keyed<Ewma>),
    Mad(Keyed<Mad>),
    Cusum(Keyed<Cusum>),
    QuantileBand(Keyed<QuantileBand>),
    RateOfChange(Keyed<RateOfChange>),
    Seasonal(Keyed<Seasonal>),
}

/// A method and what it keeps of each key.
#[derive(Clone, Debug)]
pub(crate) struct Keyed<M: Method> {
    pub(crate) method: M,
    /// By the numbers of keys; those behind are of no rows.
    pub(crate) states: Vec<M::State>,
}

/// The same of the machines of whichever method.
macro_rules! of_each {
    ($machines:expr, $keyed:ident => $answer:expr) => {
        match $machines {
            Machines::Ewma($keyed) => $answer,
            Machines::Mad($keyed) => $answer,
            Machines::Cusum($keyed) => $answer,
            Machines::QuantileBand($keyed) => $answer,
            Machines::RateOfChange($keyed) => $answer,
            Machines::Seasonal($keyed) => $answer,
        }
    };
}

impl DetectorState {
    /// Of no rows.
    pub fn new(plan: &DetectorPlan) -> Self {
        let machines = match plan.method() {
            AnomalyMethod::Ewma { alpha, threshold, warm_up, learn_anomalies } => {
                Machines::Ewma(Keyed::new(Ewma { alpha, threshold, warm_up, learn_anomalies }))
            }
            AnomalyMethod::Mad { recent, threshold, warm_up, learn_anomalies } => {
                Machines::Mad(Keyed::new(Mad { recent, threshold, warm_up, learn_anomalies }))
            }
            AnomalyMethod::Cusum { drift, threshold, warm_up } => {
                Machines::Cusum(Keyed::new(Cusum { drift, threshold, warm_up }))
            }
            AnomalyMethod::QuantileBand { low, high, recent, margin, warm_up, learn_anomalies } => {
                let method = QuantileBand { low, high, recent, margin, warm_up, learn_anomalies };
                Machines::QuantileBand(Keyed::new(method))
            }
            AnomalyMethod::RateOfChange { limit, per_ns } => {
                Machines::RateOfChange(Keyed::new(RateOfChange { limit, per_ns }))
            }
            AnomalyMethod::Seasonal {
                period_ns,
                every_ns,
                offset_ns,
                alpha,
                threshold,
                warm_up,
                learn_anomalies,
            } => Machines::Seasonal(Keyed::new(Seasonal {
                period_ns,
                every_ns,
                offset_ns,
                alpha,
                threshold,
                warm_up,
                learn_anomalies,
            })),
        };
        Self { machines }
    }

    /// Judges rows, one after the other, each by those of its key before it. `None`: the row is passed over, as its value is NULL or
    /// NaN.
    pub fn push(&mut self, chunk: &Chunk<'_>) -> Vec<Option<Verdict>> {
        of_each!(&mut self.machines, keyed => keyed.push(chunk))
    }

    /// Which keys something is kept of, by number. `before`: no row before this time comes any more.
    pub fn keys_kept(&self, keys: usize, before: Option<i64>) -> Vec<bool> {
        let mut kept = of_each!(&self.machines, keyed => keyed.kept(before));
        kept.resize(keys, false);
        kept
    }

    /// Forgets keys. Those that stay are numbered in the order of their old numbers.
    pub fn retain_keys(&mut self, kept: &[bool]) {
        of_each!(&mut self.machines, keyed => keyed.retain(kept));
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        of_each!(&self.machines, keyed => keyed.bytes())
    }

    pub(crate) fn machines(&self) -> &Machines {
        &self.machines
    }

    pub(crate) fn machines_mut(&mut self) -> &mut Machines {
        &mut self.machines
    }
}

impl<M: Method> Keyed<M> {
    fn new(method: M) -> Self {
        Self { method, states: vec![] }
    }

    fn push(&mut self, chunk: &Chunk<'_>) -> Vec<Option<Verdict>> {
        debug_assert!(chunk.keys.len() == chunk.values.len() && chunk.keys.len() == chunk.times.len());
        if self.states.len() < chunk.num_keys {
            self.states.resize(chunk.num_keys, M::State::default());
        }
        let Self { method, states } = self;
        let threads = if M::IS_CHEAP { 1 } else { chunk.threads };
        let begins = stretches_of_keys(chunk.keys, chunk.num_keys, threads);
        let mut judged = on_each(cut(states, &begins), |stretch, states| {
            let rows = chunk.keys.iter().zip(chunk.times).zip(chunk.values);
            let mut judged = Vec::with_capacity(chunk.keys.len().div_ceil(begins.len()));
            for ((key, time), value) in rows {
                let Some(state) = states.get_mut(key.wrapping_sub(begins[stretch]) as usize) else {
                    continue;
                };
                judged.push(value.filter(|value| !value.is_nan()).map(|value| {
                    if is_judged(value) {
                        method.judge(state, *time, value)
                    } else {
                        Verdict::infinite(method.expected(state, *time))
                    }
                }));
            }
            judged
        });
        if let [all] = judged.as_mut_slice() {
            return std::mem::take(all);
        }
        // One behind the other in each stretch, as the rows of its keys are.
        let mut judged: Vec<_> = judged.into_iter().map(Vec::into_iter).collect();
        let stretch_of = |key: &u32| begins.partition_point(|begin| begin <= key) - 1;
        let verdict = |key: &u32| judged[stretch_of(key)].next().expect("each row is of one stretch");
        chunk.keys.iter().map(verdict).collect()
    }

    fn kept(&self, before: Option<i64>) -> Vec<bool> {
        self.states.iter().map(|state| !self.method.is_empty(state, before)).collect()
    }

    fn retain(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.states.retain(|_| kept.next().is_some_and(|kept| *kept));
    }

    fn bytes(&self) -> usize {
        let held: usize = self.states.iter().map(M::bytes).sum();
        held + self.states.capacity() * size_of::<M::State>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use cepheid_ir::{Anomaly, Expr, RecentRows, ReportedRows};

    use super::*;

    fn methods() -> Vec<AnomalyMethod> {
        let (threshold, warm_up, learn_anomalies) = (2.0, 3, true);
        let mad = |recent| AnomalyMethod::Mad { recent, threshold, warm_up, learn_anomalies };
        vec![
            AnomalyMethod::Ewma { alpha: 0.2, threshold, warm_up, learn_anomalies },
            mad(RecentRows::Rows(150)),
            mad(RecentRows::SpanNs(50)),
            AnomalyMethod::Cusum { drift: 0.5, threshold, warm_up },
            AnomalyMethod::QuantileBand {
                low: 0.05,
                high: 0.9,
                recent: RecentRows::Rows(20),
                margin: 0.1,
                warm_up,
                learn_anomalies: false,
            },
            AnomalyMethod::RateOfChange { limit: 2.0, per_ns: 1 },
            AnomalyMethod::Seasonal {
                period_ns: 24,
                every_ns: 4,
                offset_ns: 5,
                alpha: 0.2,
                threshold,
                warm_up,
                learn_anomalies,
            },
        ]
    }

    fn plan(method: AnomalyMethod) -> DetectorPlan {
        let fields = [("ts", DataType::Int64), ("v", DataType::Float64)];
        let schema = Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec());
        let rule = Anomaly {
            name: None,
            topic: None,
            partition_by: vec![],
            condition: None,
            value: Expr::column("v"),
            method,
            rows: ReportedRows::All,
            emit: None,
            event_time: None,
        };
        DetectorPlan::compile(&rule, &Arc::new(schema), 0).expect("a rule that can be")
    }

    /// Keys, times and values of rows.
    type Rows = (Vec<u32>, Vec<i64>, Vec<f64>);

    fn rows(count: u32) -> Rows {
        let keys = (0..count).map(|row| row * 7 % 3).collect();
        let times = (0..count).map(|row| i64::from(row / 2)).collect();
        let value = |row: u32| match row % 50 {
            20 => f64::INFINITY,
            33 => f64::NAN,
            other => f64::from(row.wrapping_mul(2_654_435_761) % 17) + if other == 5 { 90.0 } else { 0.0 },
        };
        (keys, times, (0..count).map(value).collect())
    }

    fn push(
        state: &mut DetectorState,
        (keys, times, values): &Rows,
        own: std::ops::Range<usize>,
    ) -> Vec<Option<Verdict>> {
        let values = Float64Array::from(values[own.clone()].to_vec());
        let (keys, times) = (&keys[own.clone()], &times[own]);
        state.push(&Chunk { keys, num_keys: 3, times, values: &values, threads: 2 })
    }

    #[test]
    fn a_state_that_is_saved_goes_on_where_it_was() {
        let (rows, mut anomalies) = (rows(600), 0);
        for method in methods() {
            let plan = plan(method);
            let mut whole = DetectorState::new(&plan);
            let expected = push(&mut whole, &rows, 0..600);
            for cut in [0, 1, 299, 600] {
                let mut first = DetectorState::new(&plan);
                let mut found = push(&mut first, &rows, 0..cut);
                let saved = first.save();
                let mut second = DetectorState::load(&plan, saved.clone(), 3).expect("what was saved");
                assert_eq!(second.save(), saved, "{method:?}");
                found.extend(push(&mut second, &rows, cut..600));
                assert_eq!(found, expected, "{method:?}, cut at {cut}");
                assert_eq!(second.save(), whole.save(), "{method:?}");
            }
            anomalies += expected.iter().flatten().filter(|verdict| verdict.is_anomaly).count();
            assert!(DetectorState::load(&plan, whole.save(), 2).is_err(), "{method:?}: a key too many");
        }
        assert!(anomalies > 100, "only {anomalies} anomalies");
    }

    #[test]
    fn a_state_of_another_method_is_refused() {
        for (saved, from) in methods().into_iter().enumerate() {
            let plan = plan(from);
            let mut state = DetectorState::new(&plan);
            push(&mut state, &rows(100), 0..100);
            for (other, method) in methods().into_iter().enumerate() {
                let loaded = DetectorState::load(&self::plan(method), state.save(), 3);
                assert_eq!(loaded.is_ok(), saved == other, "{from:?} as {method:?}");
            }
        }
    }

    #[test]
    fn keys_are_forgotten_and_numbered_anew() {
        let rows = rows(300);
        for method in methods() {
            let plan = plan(method);
            let mut state = DetectorState::new(&plan);
            assert_eq!(state.keys_kept(2, None), [false, false]);
            push(&mut state, &rows, 0..300);
            assert_eq!(state.keys_kept(4, None), [true, true, true, false], "{method:?}");
            let by_time = matches!(method, AnomalyMethod::Mad { recent: RecentRows::SpanNs(_), .. });
            assert_eq!(state.keys_kept(3, Some(1_000)).contains(&true), !by_time, "{method:?}");
            let held = state.bytes();
            let alone = |key: u32| {
                let own: Vec<usize> = (0..300).filter(|row| rows.0[*row] == key).collect();
                let keys = vec![0; own.len()];
                let times = own.iter().map(|row| rows.1[*row]).collect();
                let values = own.iter().map(|row| rows.2[*row]).collect();
                let mut state = DetectorState::new(&plan);
                push(&mut state, &(keys, times, values), 0..own.len());
                state.retain_keys(&[true, false, false]);
                state.save()
            };
            state.retain_keys(&[false, true, false]);
            assert_eq!(state.save(), alone(1), "{method:?}");
            assert!(state.bytes() <= held && (48..16_000).contains(&held), "{method:?}: {held} bytes");
        }
    }
}

//! What a rule keeps as plain data, for snapshots. It is checked when it is read: its bytes come from outside.

use serde::{Deserialize, Serialize};

use crate::compile::DetectorPlan;
use crate::methods::Method;
use crate::methods::cusum::Cusum;
use crate::methods::ewma::Ewma;
use crate::methods::mad::Mad;
use crate::methods::quantile_band::QuantileBand;
use crate::methods::rate_of_change::RateOfChange;
use crate::methods::seasonal::Seasonal;
use crate::state::{DetectorState, Keyed, Machines};

/// What a rule keeps between rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedDetector(SavedMachines);

/// States of a method, by key.
type States<M> = Vec<<M as Method>::Saved>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum SavedMachines {
    Ewma(States<Ewma>),
    Mad(States<Mad>),
    Cusum(States<Cusum>),
    QuantileBand(States<QuantileBand>),
    RateOfChange(States<RateOfChange>),
    Seasonal(States<Seasonal>),
}

impl DetectorState {
    /// What is kept, as plain data.
    pub fn save(&self) -> SavedDetector {
        SavedDetector(match self.machines() {
            Machines::Ewma(keyed) => SavedMachines::Ewma(keyed.save()),
            Machines::Mad(keyed) => SavedMachines::Mad(keyed.save()),
            Machines::Cusum(keyed) => SavedMachines::Cusum(keyed.save()),
            Machines::QuantileBand(keyed) => SavedMachines::QuantileBand(keyed.save()),
            Machines::RateOfChange(keyed) => SavedMachines::RateOfChange(keyed.save()),
            Machines::Seasonal(keyed) => SavedMachines::Seasonal(keyed.save()),
        })
    }

    /// Reads what [`save`](Self::save) wrote, of so many keys at most.
    ///
    /// # Errors
    /// Why it is nothing that the rule can have kept.
    pub fn load(plan: &DetectorPlan, saved: SavedDetector, num_keys: usize) -> Result<Self, String> {
        let mut state = Self::new(plan);
        let loaded = match (state.machines_mut(), saved.0) {
            (Machines::Ewma(keyed), SavedMachines::Ewma(saved)) => keyed.load(saved, num_keys),
            (Machines::Mad(keyed), SavedMachines::Mad(saved)) => keyed.load(saved, num_keys),
            (Machines::Cusum(keyed), SavedMachines::Cusum(saved)) => keyed.load(saved, num_keys),
            (Machines::QuantileBand(keyed), SavedMachines::QuantileBand(saved)) => {
                keyed.load(saved, num_keys)
            }
            (Machines::RateOfChange(keyed), SavedMachines::RateOfChange(saved)) => {
                keyed.load(saved, num_keys)
            }
            (Machines::Seasonal(keyed), SavedMachines::Seasonal(saved)) => keyed.load(saved, num_keys),
            _ => None,
        };
        loaded.ok_or("a state of anomalies that the rule cannot have")?;
        Ok(state)
    }
}

impl<M: Method> Keyed<M> {
    fn save(&self) -> States<M> {
        self.states.iter().map(M::save).collect()
    }

    fn load(&mut self, saved: States<M>, num_keys: usize) -> Option<()> {
        if saved.len() > num_keys {
            return None;
        }
        self.states = saved.into_iter().map(|saved| self.method.load(saved)).collect::<Option<_>>()?;
        Some(())
    }
}

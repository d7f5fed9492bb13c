//! `events.jsonl`: what is told about a run while it goes on.

use crate::Result;
use sae_core::run::{Event, RunDir};
use std::{collections::BTreeMap, io::Write};

/// The file, being appended to.
#[derive(Debug)]
pub struct EventLog(fs_err::File);

impl EventLog {
    /// Opens the log of a run for appending, without the events after `step`: a run that goes on from
    /// a checkpoint writes them again.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(run: &RunDir, step: u64) -> Result<Self> {
        let events: Vec<Event> = run.read_events()?.into_iter().filter(|event| event.step <= step).collect();
        let mut text = String::new();
        for event in &events {
            text += &line(event);
        }
        sae_core::atomic::write_file(&run.events(), text.as_bytes())?;
        Ok(Self(fs_err::OpenOptions::new().append(true).open(run.events())?))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        Ok(self.0.write_all(line(event).as_bytes())?)
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("an event serialises") + "\n"
}

/// Sums over the steps since the last event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    steps: f64,
    error: f64,
    l0: f64,
    grad_norm: f64,
    terms: BTreeMap<String, f64>,
}

impl Window {
    /// Takes note of a step.
    pub fn add(&mut self, terms: &[(&'static str, f64)], error: f64, l0: f64, grad_norm: f64) {
        self.steps += 1.0;
        self.error += error;
        self.l0 += l0;
        self.grad_norm += grad_norm;
        for &(name, value) in terms {
            *self.terms.entry(name.to_owned()).or_default() += value;
        }
    }

    /// The mean of every term, and of their sum.
    pub fn terms(&self) -> (BTreeMap<String, f64>, f64) {
        let means: BTreeMap<String, f64> =
            self.terms.iter().map(|(name, sum)| (name.clone(), sum / self.steps)).collect();
        let loss = means.values().sum();
        (means, loss)
    }

    /// Mean squared error of the reconstruction.
    pub fn error(&self) -> f64 {
        self.error / self.steps
    }

    /// Mean number of active latents.
    pub fn l0(&self) -> f64 {
        self.l0 / self.steps
    }

    /// Mean norm of the gradient before clipping.
    pub fn grad_norm(&self) -> f64 {
        self.grad_norm / self.steps
    }

    /// As named numbers, for a checkpoint.
    pub fn to_pairs(&self) -> Vec<(String, f64)> {
        let own =
            [("steps", self.steps), ("error", self.error), ("l0", self.l0), ("grad_norm", self.grad_norm)];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        own.chain(self.terms.iter().map(|(name, value)| (format!("term.{name}"), *value))).collect()
    }

    /// From named numbers, of a checkpoint.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, f64)>) -> Self {
        let mut window = Self::default();
        for (name, value) in pairs {
            match (name.as_str(), name.strip_prefix("term.")) {
                ("steps", _) => window.steps = value,
                ("error", _) => window.error = value,
                ("l0", _) => window.l0 = value,
                ("grad_norm", _) => window.grad_norm = value,
                (_, Some(term)) => {
                    window.terms.insert(term.to_owned(), value);
                }
                _ => {}
            }
        }
        window
    }
}

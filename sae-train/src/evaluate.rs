//! The metrics of an SAE on the held-out rows of a dump.

use crate::{Result, TrainError, split::Split};
use sae_core::{
    Sae,
    dump::{Columns, Dump},
    metrics::{Metrics, Reconstruction},
};

/// Which rows of a dump to evaluate on.
#[derive(Debug, Clone, Copy)]
pub enum Over<'a> {
    /// The rows held out from training.
    HeldOut(&'a Split),
    /// Every row.
    Everything,
}

/// The metrics of `sae` on a dump; none if there is no row to measure on.
///
/// # Errors
/// If the dump cannot be read or has another width.
pub fn evaluate(
    sae: &Sae,
    dump: &Dump,
    over: Over<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Metrics>> {
    check_width(sae, dump)?;
    let mut gathered = Reconstruction::new(sae.d_in, sae.d_sae);
    let columns = match over {
        Over::HeldOut(split) => split.columns(),
        Over::Everything => Columns::Activations,
    };
    for batch in dump.read(columns) {
        let batch = batch?;
        let n_rows = batch.activations.len() / sae.d_in;
        let x = match over {
            Over::HeldOut(split) => {
                let held_out = split.held_out(batch.first_row, n_rows, &batch.others)?;
                let rows = batch.activations.chunks_exact(sae.d_in).zip(held_out);
                rows.filter(|(_, held_out)| *held_out).flat_map(|(x, _)| x).copied().collect()
            }
            Over::Everything => batch.activations,
        };
        let codes = sae.encode(&x);
        gathered.add(&x, &codes, &sae.decode(&codes));
        progress(batch.first_row + n_rows as u64);
    }
    Ok(gathered.finish())
}

/// Refuses a dump of another width than the SAE's.
///
/// # Errors
/// If the widths differ.
pub fn check_width(sae: &Sae, dump: &Dump) -> Result<()> {
    if sae.d_in == dump.d_in() {
        return Ok(());
    }
    Err(TrainError::Data(format!(
        "the dump's activations ({}) have width {}, the SAE expects {}. Give the dump it was trained on, or one of the same place in the model",
        dump.activation_column(),
        dump.d_in(),
        sae.d_in
    )))
}

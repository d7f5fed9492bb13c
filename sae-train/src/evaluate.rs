//! The metrics of an SAE on the held-out rows of a dump.

use crate::{Result, TrainError, split::Split};
use sae_core::{
    Sae,
    dump::{Columns, Dump, DumpBatch},
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
    let mut gathered = Reconstruction::new(sae.d_out, sae.d_sae);
    let columns = match over {
        Over::HeldOut(split) => split.columns(),
        Over::Everything => Columns::Activations,
    };
    for batch in dump.read(columns) {
        let DumpBatch { first_row, mut activations, mut companion, others } = batch?;
        let n_rows = activations.len() / sae.d_in;
        if let Over::HeldOut(split) = over {
            let held_out = split.held_out(first_row, n_rows, &others)?;
            keep_rows(&mut activations, sae.d_in, &held_out);
            keep_rows(&mut companion, sae.d_out, &held_out);
        }
        let (codes, reconstruction) = sae.reconstruct(&activations);
        gathered.add(sae.target_of(&activations, &companion), &codes, &reconstruction);
        progress(first_row + n_rows as u64);
    }
    Ok(gathered.finish())
}

/// Leaves the rows of `x` `[n_rows, d]` that are to be kept; where there are none, there are none after.
fn keep_rows(x: &mut Vec<f32>, d: usize, keep: &[bool]) {
    let rows = x.chunks_exact(d).zip(keep).filter(|(_, keep)| **keep);
    *x = rows.flat_map(|(row, _)| row).copied().collect();
}

/// Refuses a dump of other widths than the SAE's.
///
/// # Errors
/// If the widths differ.
pub fn check_width(sae: &Sae, dump: &Dump) -> Result<()> {
    let refuse = |what: &str, column: &str, found: usize, expected: usize| {
        Err(TrainError::Data(format!(
            "the dump's {what} ({column}) have width {found}, the SAE expects {expected}. Give the dump it was trained on, or one of the same place in the model"
        )))
    };
    if sae.d_in != dump.d_in() {
        return refuse("activations", dump.activation_column(), dump.d_in(), sae.d_in);
    }
    if sae.is_transcoder() && sae.d_out != dump.d_companion() {
        let column = dump.companion_column().unwrap_or("none was named");
        return refuse("targets", column, dump.d_companion(), sae.d_out);
    }
    Ok(())
}

//! The data of a run: which dump, which columns of it, which rows, how wide.

use crate::{
    Result, TrainError,
    config::Config,
    split::Split,
    variants::{Companion, Sizes},
};
use sae_core::{
    Sae,
    dump::{Dump, DumpError, DumpOptions},
};

/// What a run trains on.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// A file, directory or glob, as [`Dump::open`] takes it.
    pub data: &'a str,
    /// A name that [`crate::device::open`] takes.
    pub device: &'a str,
}

/// Opens the dump that a configuration is about, with the second vectors that its method needs.
///
/// # Errors
/// If it cannot be opened, lacks a column, or has gradients of another width than its activations.
pub fn open_dump(config: &Config, data: &str) -> Result<Dump> {
    let whose = format!("variant.name = \"{}\"", config.variant_name());
    let companion = config.variant.form().companion;
    let dump = open_with(config, companion, &whose, data)?;
    // A gradient is at the activation, and has its shape; a target may have any.
    if companion == Some(Companion::Gradient) && dump.d_companion() != dump.d_in() {
        return Err(TrainError::Data(format!(
            "{data}: {whose} needs a gradient at the activation, as wide as it: `{}` has width {}, `{}` has width {}. Name another column as data.gradient_column or data.activation_column",
            dump.companion_column().unwrap_or_default(),
            dump.d_companion(),
            dump.activation_column(),
            dump.d_in()
        )));
    }
    Ok(dump)
}

/// Opens the dump that an SAE is to be run on: with its targets if it is a transcoder, and without the
/// gradients that only training needs.
///
/// # Errors
/// If it cannot be opened, or lacks a column.
pub fn open_dump_for(sae: &Sae, config: &Config, data: &str) -> Result<Dump> {
    open_with(config, sae.is_transcoder().then_some(Companion::Target), "a transcoder", data)
}

fn open_with(config: &Config, companion: Option<Companion>, whose: &str, data: &str) -> Result<Dump> {
    let wanted = &config.shared.data;
    let (column, key, option) = match companion {
        None => (None, "", ""),
        Some(Companion::Gradient) => (Some(&wanted.gradient_column), "gradient_column", "--gradient"),
        Some(Companion::Target) => (Some(&wanted.target_column), "target_column", "--target-layer N"),
    };
    let options = DumpOptions {
        activation_columns: wanted.activation_column.names(),
        companion: column.cloned(),
        skip_bad_rows: wanted.skip_bad_rows,
    };
    Dump::open(data, &options).map_err(|mut error| {
        if let sae_core::Error::Dump(DumpError::NoCompanion { advice, .. }) = &mut error {
            *advice = format!(
                "{whose} needs it. Write it with data/prepare/dump_activations.py {option}, or name another column as data.{key}"
            );
        }
        error.into()
    })
}

/// The held-out split that a configuration asks for.
pub fn split(config: &Config, dump: &Dump) -> Split {
    Split::new(dump, config.shared.data.eval_fraction, config.shared.data.eval_seed)
}

/// The sizes that follow from a configuration and a dump.
pub(crate) fn sizes(config: &Config, dump: &Dump) -> Sizes {
    let (d_in, size) = (dump.d_in(), &config.shared.sae);
    let d_out = match config.variant.form().companion {
        Some(Companion::Target) => dump.d_companion(),
        Some(Companion::Gradient) | None => d_in,
    };
    Sizes { d_in, d_out, d_sae: size.d_sae.or_else(|| size.expansion * d_in), widths: dump.widths() }
}

use super::progress;
use anyhow::{Context, bail};
use sae_core::{formats::saelens, metrics::Metrics, run::RunDir};
use sae_train::{
    Config,
    evaluate::{Over, evaluate},
    source,
};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    /// The run directory
    run: PathBuf,
    /// The dump: a Parquet file, a directory of them, or a glob
    #[arg(long, value_name = "DUMP")]
    data: String,
    /// Every row instead of those held out from training; eval.json is left as it is
    #[arg(long)]
    all: bool,
    /// Print the metrics as JSON on stdout
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let run = RunDir::new(self.run);
        let nothing = "no row of the dump is held out for evaluation. Raise data.eval_fraction when training, or evaluate on every row with --all";
        if self.all {
            let metrics = measure(&run, &self.data, true)?.context("the dump has no rows")?;
            print(&metrics, self.json);
        } else if !evaluate_run(&run, &self.data, self.json)? {
            bail!(nothing);
        }
        Ok(())
    }
}

/// `eval.json`
#[derive(Debug, Serialize)]
struct Report<'a> {
    format_version: u32,
    split: &'static str,
    data: &'a str,
    #[serde(flatten)]
    metrics: &'a Metrics,
}

/// Measures a run on its held-out split, prints the metrics and writes `eval.json`; false if no row is
/// held out.
pub(crate) fn evaluate_run(run: &RunDir, data: &str, json: bool) -> anyhow::Result<bool> {
    let Some(metrics) = measure(run, data, false)? else { return Ok(false) };
    let report = Report { format_version: 1, split: "held out", data, metrics: &metrics };
    let text = serde_json::to_string_pretty(&report)? + "\n";
    sae_core::atomic::write_file(&run.eval(), text.as_bytes())?;
    print(&metrics, json);
    Ok(true)
}

fn measure(run: &RunDir, data: &str, all: bool) -> anyhow::Result<Option<Metrics>> {
    let sae = saelens::read(&run.sae()).with_context(|| no_sae(run))?;
    let config = if run.config().is_file() { Config::read(&run.config())? } else { Config::load(None, &[])? };
    let dump = source::open_dump_for(&sae, &config, data)?;
    let split = source::split(&config, &dump);
    let over = if all { Over::Everything } else { Over::HeldOut(&split) };
    let bar = progress::rows("measuring", dump.n_rows());
    let metrics = evaluate(&sae, &dump, over, &mut |rows| bar.set_position(rows));
    bar.finish_and_clear();
    Ok(metrics?)
}

/// What to do when a run has no readable SAE.
pub(crate) fn no_sae(run: &RunDir) -> String {
    format!("{} has no trained SAE that can be read; `sae train` makes one", run.root().display())
}

fn print(metrics: &Metrics, json: bool) {
    if json {
        println!("{}", serde_json::to_string(metrics).expect("metrics serialise"));
        return;
    }
    println!("rows        {}", metrics.n_rows);
    println!("FVU         {:.6}   (explained variance {:.6})", metrics.fvu, metrics.explained_variance);
    println!("L0          {:.3}   (median {}, 95 % {})", metrics.l0_mean, metrics.l0_median, metrics.l0_p95);
    println!("cosine      {:.6}", metrics.cosine);
    println!(
        "bias        {:.6}   (below 1: reconstructions are too short)",
        metrics.relative_reconstruction_bias
    );
    println!("never fire  {:.2} % of latents", 100.0 * metrics.dead_fraction);
    println!(
        "dense       {:.2} % of latents fire on more than a tenth of the rows",
        100.0 * metrics.dense_fraction
    );
    println!("codes       {:.2} bits per row", metrics.description_length);
}

use super::{index, interrupt, serve, train};
use sae_core::{kernels::Precision, run::RunDir};
use sae_train::Config;
use std::path::PathBuf;

/// Settings that suit the sample: small, and seen often enough for latents to find a meaning.
const SETTINGS: [&str; 6] = [
    "sae.d_sae=3072",
    "optim.lr=0.001",
    "train.batch_size=1024",
    "train.rows=1600000",
    "train.dead_after=100000",
    "log.every=25",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Train and index, but do not serve
    #[arg(long)]
    no_serve: bool,
    /// The sample dump
    #[arg(long, value_name = "DUMP", default_value = "data/sample/dump")]
    data: String,
    /// Where to write the run
    #[arg(long, value_name = "RUN", default_value = "runs/demo")]
    out: PathBuf,
    /// The port to listen on; if it is busy, one near it
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// One more setting for training (repeatable)
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let run = RunDir::new(&self.out);
        let sets: Vec<String> = SETTINGS.iter().map(ToString::to_string).chain(self.set).collect();
        if run.sae().exists() {
            eprintln!("{} is trained already; remove it to train again", self.out.display());
        } else {
            interrupt::watch()?;
            let resume = run.config().is_file();
            train::train_and_evaluate(Config::load(None, &sets)?, &self.data, "cpu", &run, resume, false)?;
            if !run.sae().exists() {
                return Ok(());
            }
        }
        if !run.index().exists() {
            let meta = index::build(&run, &self.data, index::MEMORY_MIB << 20, Precision::Bf16Candidates)?;
            eprintln!(
                "indexed: {} firings of {} latents on {} rows",
                meta.n_firings, meta.d_sae, meta.n_rows
            );
        }
        if self.no_serve {
            return Ok(());
        }
        interrupt::hand_over();
        let runs = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        serve::serve_nearby(runs.unwrap_or(&PathBuf::from(".")), self.port)
    }
}

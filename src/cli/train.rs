use super::{eval, interrupt, progress};
use anyhow::Context;
use indicatif::{HumanCount, ProgressBar};
use sae_core::run::{Event, RunDir};
use sae_train::{
    Config,
    source::Source,
    train::{self, Outcome, Watch},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// The dump: a Parquet file, a directory of them, or a glob
    #[arg(long, value_name = "DUMP", required_unless_present = "print_config")]
    data: Option<String>,
    /// The run directory to write
    #[arg(long, value_name = "RUN", required_unless_present = "print_config")]
    out: Option<PathBuf>,
    /// Settings over the defaults
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// One setting over the file's, such as train.batch_size=2048 (repeatable)
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Where to train: cpu, ndarray, wgpu or wgpu:N; `sae inspect devices` lists what there is
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
    /// Go on with the run from its newest checkpoint
    #[arg(long, conflicts_with_all = ["config", "set"])]
    resume: bool,
    /// Print the settings with a comment for each, and stop
    #[arg(long)]
    print_config: bool,
    /// Print events and metrics as JSON lines on stdout
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(self.config.as_deref(), &self.set)?;
        if self.print_config {
            print!("{}", config.to_toml());
            return Ok(());
        }
        let data = self.data.context("--data is missing")?;
        let run = RunDir::new(self.out.context("--out is missing")?);
        interrupt::watch()?;
        train_and_evaluate(config, &data, &self.device, &run, self.resume, self.json)
    }
}

/// Keeps freed memory instead of giving it back to the system: every step of training and batch of an index asks
/// for the same large blocks again, and fresh pages, which the system clears first, would take about a twelfth of the processor's time.
pub(crate) fn keep_freed_memory() {
    // The crate does not name this option; in mimalloc's list it stands before the one named.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;
    // SAFETY: setting an option of the allocator is allowed at any time; -1 means never.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

/// Trains a run and measures it on its held-out split.
pub(crate) fn train_and_evaluate(
    config: Config,
    data: &str,
    device: &str,
    run: &RunDir,
    resume: bool,
    json: bool,
) -> anyhow::Result<()> {
    keep_freed_memory();
    let config = if resume && run.config().is_file() { Config::read(&run.config())? } else { config };
    let threads = config.shared.train.threads.or_else(|| 0);
    // 0 is one per core. Fails only if the pool exists already, with the same number.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    let mut watch = Bar { json, bar: ProgressBar::hidden(), training: false, batch_size: 0 };
    let source = Source { data, device };
    let outcome = if resume {
        train::resume(source, run, &mut watch)
    } else {
        train::start(config, source, run, &mut watch)
    };
    watch.bar.finish_and_clear();
    let root = run.root().display();
    match outcome? {
        Outcome::Interrupted { step } => {
            eprintln!(
                "stopped after step {step}. To go on:\n  sae train --data {data} --out {root} --resume"
            );
            Ok(())
        }
        Outcome::Finished => {
            eprintln!("trained: {root}/sae (opens in SAELens as it is)");
            if !eval::evaluate_run(run, data, json)? {
                eprintln!("no row of the dump is held out: not measured. `sae eval --all` takes every row");
            }
            Ok(())
        }
    }
}

struct Bar {
    json: bool,
    bar: ProgressBar,
    training: bool,
    batch_size: u64,
}

impl Watch for Bar {
    fn reading(&mut self, rows: u64, n_rows: u64) {
        if self.bar.length().is_none_or(|length| length == 0) {
            self.bar = progress::rows("reading", n_rows);
        }
        self.bar.set_position(rows);
    }

    fn starts(&mut self, step: u64, steps: u64, batch_size: u64) {
        self.bar.finish_and_clear();
        self.bar = progress::training(steps * batch_size);
        self.bar.set_position(step * batch_size);
        self.bar.reset_eta();
        (self.training, self.batch_size) = (true, batch_size);
    }

    fn event(&mut self, event: &Event) {
        if self.json {
            println!("{}", serde_json::to_string(event).expect("an event serialises"));
        }
        self.bar.set_message(format!(
            "loss {:.4}  FVU {:.4}  L0 {:.1}  dead {}  {} tokens/s",
            event.loss,
            event.fvu,
            event.l0,
            event.dead,
            HumanCount(event.tokens_per_s as u64)
        ));
    }

    fn step(&mut self, step: u64) {
        self.bar.set_position(step * self.batch_size);
    }

    fn stop(&self) -> bool {
        interrupt::interrupted()
    }
}

//! A whole run: from a dump to `run/sae/`, from its start or from a checkpoint.

use crate::{
    Result, TrainError,
    checkpoint::Checkpoint,
    config::Config,
    device,
    normalize::Normalize,
    running::{Plan, Running},
    scales::Scales,
    schedules::LearningRate,
    shuffle::{Memory, Rows, ShuffleOptions, Shuffled},
    source::{Source, open_dump, sizes, split},
    variants::{Companion, Sizes},
};
use burn::tensor::Device;
use sae_core::{
    dump::Dump,
    run::{Event, RunDir},
};

/// Rows that the geometric median is taken of.
const MEDIAN_ROWS: u64 = 8192;

/// Who watches a run, and may stop it.
pub trait Watch {
    /// Rows of the dump read so far, before training starts.
    fn reading(&mut self, rows: u64, n_rows: u64);
    /// Training starts at this step.
    fn starts(&mut self, step: u64, steps: u64, batch_size: u64);
    /// A line was written to `events.jsonl`.
    fn event(&mut self, event: &Event);
    /// A step was done.
    fn step(&mut self, step: u64);
    /// Whether to save a checkpoint and stop.
    fn stop(&self) -> bool;
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `run/sae/` is written.
    Finished,
    /// Stopped after this step, of which there is a checkpoint.
    Interrupted {
        /// Steps done.
        step: u64,
    },
}

/// Trains from the start.
///
/// # Errors
/// If the run directory already holds a run or cannot be written, the dump cannot be read, or training
/// diverges. A run that fails before its first step leaves nothing behind.
pub fn start(config: Config, source: Source<'_>, run: &RunDir, watch: &mut dyn Watch) -> Result<Outcome> {
    if run.exists() {
        let problem = "there is a run in it already. Give --resume to go on with it, or another --out".into();
        return Err(TrainError::Run { path: run.root().to_owned(), problem });
    }
    let new = !run.root().exists();
    fs_err::create_dir_all(run.root())?;
    let result = Session::open(config, source, run, watch)
        .and_then(|session| device::on(source.device, || session.begin(watch)));
    if new && !run.config().exists() {
        // Nothing was written but the directory itself; if that cannot go either, it does no harm.
        let _ = fs_err::remove_dir(run.root());
    }
    result
}

/// Goes on with a run from its newest checkpoint, and ends bit for bit as if it had never stopped.
///
/// # Errors
/// If there is no run, it is finished, or the dump is not the one it started with.
pub fn resume(source: Source<'_>, run: &RunDir, watch: &mut dyn Watch) -> Result<Outcome> {
    let refuse = |problem: &str| TrainError::Run { path: run.root().to_owned(), problem: problem.into() };
    if !run.config().is_file() {
        return Err(refuse("there is no run to resume. Leave out --resume to start one"));
    }
    if run.sae().exists() {
        return Err(refuse("the run is finished; there is nothing to resume"));
    }
    let session = Session::open(Config::read(&run.config())?, source, run, watch)?;
    let checkpoint = Checkpoint::read_newest(run)?;
    let known = session.config.provenance("dump_hash").map(str::to_owned);
    if known.is_some_and(|known| known != session.dump_hash) {
        return Err(refuse(&format!(
            "it started with another dump ({}) than {}. Give the same --data",
            session.config.provenance("data").unwrap_or("unknown"),
            source.data
        )));
    }
    match checkpoint {
        Some(checkpoint) => device::on(source.device, || session.go_on(checkpoint, watch)),
        None => device::on(source.device, || session.begin(watch)),
    }
}

/// What both ways of starting share.
struct Session<'a> {
    config: Config,
    run: &'a RunDir,
    dump: Dump,
    dump_hash: String,
    data: &'a str,
    device: Device,
    sizes: Sizes,
    shuffled: Shuffled,
}

impl<'a> Session<'a> {
    fn open(config: Config, source: Source<'a>, run: &'a RunDir, watch: &mut dyn Watch) -> Result<Self> {
        let device = device::open(source.device)?;
        let dump = open_dump(&config, source.data)?;
        let sizes = sizes(&config, &dump);
        config.variant.fit(&sizes).map_err(|error| {
            let Sizes { d_in, d_sae, .. } = sizes;
            let columns = dump.activation_column();
            TrainError::Config(format!(
                "{error} ({}: {columns} has width {d_in}, and sae.d_sae is {d_sae})",
                source.data
            ))
        })?;
        check_normalize(&config, &sizes)?;
        device::check_room(source.device, sizes.d_sae * sizes.d_in.max(sizes.d_out))?;
        let train = &config.shared.train;
        let n_rows = dump.n_rows();
        let options = ShuffleOptions {
            seed: train.seed,
            memory: Memory::up_to(train.shuffle_memory << 20),
            scratch: run.root(),
            normalize: config.shared.data.normalize,
            companion_scaled: config.variant.form().companion == Some(Companion::Target),
        };
        let progress = &mut |rows| watch.reading(rows, n_rows);
        let shuffled = Shuffled::read(&dump, &split(&config, &dump), &options, progress)?;
        let dump_hash = dump.content_hash()?;
        Ok(Self { config, run, dump, dump_hash, data: source.data, device, sizes, shuffled })
    }

    fn plan(&self) -> Result<Plan> {
        let shared = &self.config.shared;
        let rows = shared.train.rows.or_else(|| self.shuffled.n_rows());
        let steps = rows.div_ceil(shared.train.batch_size as u64);
        Ok(Plan {
            lr: LearningRate {
                peak: self.config.peak_lr(self.sizes.d_sae)?,
                steps,
                schedule: self.config.schedule()?,
            },
            dead_after: shared.train.dead_after.or_else(|| (rows / 10).clamp(1, 10_000_000)),
            checkpoint_every: shared.log.checkpoint_every.or_else(|| (steps / 10).max(1)),
        })
    }

    fn begin(mut self, watch: &mut dyn Watch) -> Result<Outcome> {
        let plan = self.plan()?;
        self.resolve(&plan);
        sae_core::atomic::write_file(&self.run.config(), self.config.to_toml().as_bytes())?;
        let device = self.device.clone();
        let sample_size = MEDIAN_ROWS.min(self.shuffled.n_rows()) as usize;
        let (running, mut rows) = self.ready(plan);
        let b_dec = running.initial_bias(&mut rows, sample_size)?;
        let trainer = running.trainer(b_dec, &device)?;
        running.run(trainer, rows, watch)
    }

    fn go_on(self, checkpoint: Checkpoint, watch: &mut dyn Watch) -> Result<Outcome> {
        let plan = self.plan()?;
        let device = self.device.clone();
        let (running, mut rows) = self.ready(plan);
        rows.seek(checkpoint.place.tokens_seen);
        let dir = running.run.checkpoints().join(checkpoint.place.step.to_string());
        let trainer = running.trainer(vec![0.0; running.sizes.d_out], &device)?.resume(checkpoint, &dir)?;
        running.run(trainer, rows, watch)
    }

    /// The run, and its rows from the first on.
    fn ready(self, plan: Plan) -> (Running<'a>, Rows) {
        let Self { config, run, dump, dump_hash, sizes, shuffled, .. } = self;
        let scales = Scales {
            x: shuffled.scale.clone(),
            target: shuffled.companion_scale,
            widths: sizes.widths.clone(),
        };
        let variance = shuffled.total_variance;
        (Running { config, run, dump, dump_hash, sizes, plan, scales, variance }, Rows::new(shuffled))
    }

    /// Writes into the configuration what its `"auto"` values came to, and where the run comes from.
    fn resolve(&mut self, plan: &Plan) {
        let columns = self.dump.activation_columns();
        let columns: toml_edit::Value = match columns.as_slice() {
            [column] => (*column).into(),
            _ => columns.iter().copied().collect::<toml_edit::Array>().into(),
        };
        let rows = self.config.shared.train.rows.or_else(|| self.shuffled.n_rows());
        let variant = self.config.variant.resolved(&self.sizes);
        let config = &mut self.config;
        config.resolve("data", "activation_column", columns);
        config.resolve("sae", "d_sae", self.sizes.d_sae as i64);
        config.resolve("optim", "lr", plan.lr.peak);
        config.resolve("train", "rows", rows as i64);
        config.resolve("train", "dead_after", plan.dead_after as i64);
        config.resolve("log", "checkpoint_every", plan.checkpoint_every as i64);
        for (key, value) in variant {
            config.resolve("variant", key, value);
        }
        config.set_provenance(&[
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("data", self.data.to_owned()),
            ("dump_hash", self.dump_hash.clone()),
            ("rows_skipped", self.shuffled.skipped.to_string()),
        ]);
    }
}

/// Refuses what an SAE could not do at inference.
fn check_normalize(config: &Config, sizes: &Sizes) -> Result<()> {
    let of_target = config.variant.form().companion == Some(Companion::Target);
    let by_row = config.shared.data.normalize == Normalize::LayerNorm;
    if by_row && (of_target || sizes.widths.len() > 1) {
        return Err(TrainError::Config(format!(
            "configuration: data.normalize = \"layer_norm\" does not go with variant.name = \"{}\": what is taken out of {} cannot be put back. Use \"unit_mean_square\", \"sqrt_d\" or \"none\"",
            config.variant_name(),
            if of_target { "a target" } else { "each of several columns" }
        )));
    }
    Ok(())
}

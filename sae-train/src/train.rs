//! A whole run: from a dump to `run/sae/`, from its start or from a checkpoint.

use crate::{
    Result, TrainError,
    batches::Batches,
    checkpoint::Checkpoint,
    config::Config,
    device,
    events::EventLog,
    params::{Params, geometric_median},
    schedule::Schedule,
    shuffle::{Memory, Rows, Shuffled},
    split::Split,
    trainer::Trainer,
};
use sae_core::{
    dump::{Dump, DumpOptions},
    formats::saelens,
    run::{Event, RunDir},
};
use std::time::Instant;

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

/// What a run trains on.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// A file, directory or glob, as [`Dump::open`] takes it.
    pub data: &'a str,
    /// A name that [`device::open`] takes.
    pub device: &'a str,
}

/// Opens the dump that a configuration is about.
///
/// # Errors
/// If it cannot be opened.
pub fn open_dump(config: &Config, data: &str) -> Result<Dump> {
    let wanted = &config.shared.data;
    let column = Some(wanted.activation_column.clone()).filter(|column| column != "auto");
    let options = DumpOptions { activation_column: column, skip_bad_rows: wanted.skip_bad_rows };
    Ok(Dump::open(data, &options)?)
}

/// The held-out split that a configuration asks for.
pub fn split(config: &Config, dump: &Dump) -> Split {
    Split::new(dump, config.shared.data.eval_fraction, config.shared.data.eval_seed)
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
    let result = Session::open(config, source, run, watch).and_then(|session| session.begin(watch));
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
    let checkpoint = Checkpoint::read_newest(run, &session.device)?;
    let known = session.config.provenance("dump_hash").map(str::to_owned);
    if known.is_some_and(|known| known != session.dump_hash) {
        return Err(refuse(&format!(
            "it started with another dump ({}) than {}. Give the same --data",
            session.config.provenance("data").unwrap_or("unknown"),
            source.data
        )));
    }
    match checkpoint {
        Some(checkpoint) => session.go_on(checkpoint, watch),
        None => session.begin(watch),
    }
}

/// What both ways of starting share.
struct Session<'a> {
    config: Config,
    run: &'a RunDir,
    dump: Dump,
    dump_hash: String,
    data: &'a str,
    device: burn::tensor::Device,
    shuffled: Shuffled,
}

/// The numbers that follow from the configuration and the data.
struct Plan {
    d_sae: usize,
    schedule: Schedule,
    dead_after: u64,
    checkpoint_every: u64,
}

impl<'a> Session<'a> {
    fn open(config: Config, source: Source<'a>, run: &'a RunDir, watch: &mut dyn Watch) -> Result<Self> {
        let device = device::open(source.device)?;
        let dump = open_dump(&config, source.data)?;
        let train = &config.shared.train;
        let n_rows = dump.n_rows();
        let shuffled = Shuffled::read(
            &dump,
            &split(&config, &dump),
            train.seed,
            Memory::up_to(train.shuffle_memory << 20),
            run.root(),
            &mut |rows| watch.reading(rows, n_rows),
        )?;
        let dump_hash = dump.content_hash()?;
        Ok(Self { config, run, dump, dump_hash, data: source.data, device, shuffled })
    }

    fn plan(&self) -> Plan {
        let shared = &self.config.shared;
        let d_sae = shared.sae.d_sae.or_else(|| shared.sae.expansion * self.dump.d_in());
        let rows = shared.train.rows.or_else(|| self.shuffled.n_rows());
        let steps = rows.div_ceil(shared.train.batch_size as u64);
        Plan {
            d_sae,
            schedule: Schedule {
                peak: shared.optim.lr.or_else(|| 2e-4 / (d_sae as f64 / 16384.0).sqrt()),
                steps,
                warmup: shared.schedule.warmup,
                decay: shared.schedule.decay,
            },
            dead_after: shared.train.dead_after.or_else(|| (rows / 10).clamp(1, 10_000_000)),
            checkpoint_every: shared.log.checkpoint_every.or_else(|| (steps / 10).max(1)),
        }
    }

    fn begin(mut self, watch: &mut dyn Watch) -> Result<Outcome> {
        let plan = self.plan();
        self.config.variant.check(plan.d_sae)?;
        self.resolve(&plan);
        sae_core::atomic::write_file(&self.run.config(), self.config.to_toml().as_bytes())?;
        let sample_size = MEDIAN_ROWS.min(self.shuffled.n_rows()) as usize;
        let (d_in, device) = (self.shuffled.d_in(), self.device.clone());
        let (running, mut rows) = self.ready(plan);
        let b_dec = geometric_median(&rows.take(sample_size)?, d_in);
        rows.seek(0);
        let params = Params::initial(running.plan.d_sae, b_dec, running.config.shared.train.seed, &device);
        let (variant, optim) = (running.config.variant.clone(), running.config.shared.optim.clone());
        let trainer = Trainer::new(variant, optim, params, running.plan.dead_after);
        running.run(trainer, rows, watch)
    }

    fn go_on(self, checkpoint: Checkpoint, watch: &mut dyn Watch) -> Result<Outcome> {
        let plan = self.plan();
        let (running, mut rows) = self.ready(plan);
        rows.seek(checkpoint.place.tokens_seen);
        let (variant, optim) = (running.config.variant.clone(), running.config.shared.optim.clone());
        let trainer = Trainer::resume(variant, optim, checkpoint, running.plan.dead_after);
        running.run(trainer, rows, watch)
    }

    /// The run, and its rows from the first on.
    fn ready(self, plan: Plan) -> (Running<'a>, Rows) {
        let Self { config, run, dump, dump_hash, shuffled, .. } = self;
        let (scale, variance) = (shuffled.scale, shuffled.total_variance);
        (Running { config, run, dump, dump_hash, plan, scale, variance }, Rows::new(shuffled))
    }

    /// Writes into the configuration what its `"auto"` values came to, and where the run comes from.
    fn resolve(&mut self, plan: &Plan) {
        let column = self.dump.activation_column().to_owned();
        let rows = self.config.shared.train.rows.or_else(|| self.shuffled.n_rows());
        let d_in = self.dump.d_in();
        let variant = self.config.variant.resolved(d_in);
        let config = &mut self.config;
        config.resolve("data", "activation_column", column);
        config.resolve("sae", "d_sae", plan.d_sae as i64);
        config.resolve("optim", "lr", plan.schedule.peak);
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

/// A run whose data is ready.
struct Running<'a> {
    config: Config,
    run: &'a RunDir,
    dump: Dump,
    dump_hash: String,
    plan: Plan,
    /// `√ mean ‖x‖²`, by which inputs are divided.
    scale: f64,
    /// `mean ‖x − mean‖²` in the dump's units.
    variance: f64,
}

impl Running<'_> {
    fn run(self, mut trainer: Trainer, rows: Rows, watch: &mut dyn Watch) -> Result<Outcome> {
        let shared = &self.config.shared;
        let (steps, batch_size) = (self.plan.schedule.steps, shared.train.batch_size);
        let mut log = EventLog::open(self.run, trainer.steps_done())?;
        let mut batches = Batches::new(rows, batch_size);
        watch.starts(trainer.steps_done(), steps, batch_size as u64);
        let mut since = (Instant::now(), trainer.tokens_seen());
        while trainer.steps_done() < steps {
            let lr = self.plan.schedule.rate(trainer.steps_done() + 1);
            trainer.step(batches.next_batch()?, lr)?;
            let step = trainer.steps_done();
            watch.step(step);
            if step.is_multiple_of(shared.log.every) || step == steps {
                let event = self.event(&mut trainer, lr, since);
                log.write(&event)?;
                watch.event(&event);
                since = (Instant::now(), trainer.tokens_seen());
            }
            let stop = watch.stop() && step < steps;
            if stop || (step.is_multiple_of(self.plan.checkpoint_every) && step < steps) {
                trainer.checkpoint(self.dump_hash.clone()).write(self.run, shared.log.checkpoints_kept)?;
            }
            if stop {
                return Ok(Outcome::Interrupted { step });
            }
        }
        self.save(&trainer)?;
        Ok(Outcome::Finished)
    }

    fn event(&self, trainer: &mut Trainer, lr: f64, since: (Instant, u64)) -> Event {
        let window = trainer.take_window();
        let (terms, loss) = window.terms();
        let reconstruction = terms.get("reconstruction").copied().unwrap_or_default();
        Event {
            step: trainer.steps_done(),
            steps: self.plan.schedule.steps,
            tokens_seen: trainer.tokens_seen(),
            loss,
            fvu: if self.variance > 0.0 { reconstruction * self.scale.powi(2) / self.variance } else { 0.0 },
            terms,
            l0: window.l0(),
            dead: trainer.n_dead(),
            lr,
            grad_norm: window.grad_norm(),
            tokens_per_s: (trainer.tokens_seen() - since.1) as f64 / since.0.elapsed().as_secs_f64(),
        }
    }

    fn save(&self, trainer: &Trainer) -> Result<()> {
        let sae = trainer.params().to_sae(self.config.variant.rule(), self.scale as f32);
        let info = self.dump.info();
        let origin = saelens::Origin {
            model_name: info.model_name.clone(),
            hook_name: info.hook_name.clone(),
            training_architecture: None,
        };
        Ok(saelens::write(&self.run.sae(), &sae, &origin)?)
    }
}

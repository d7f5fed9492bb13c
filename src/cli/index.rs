use super::{eval, progress, train::keep_freed_memory};
use anyhow::{Context, bail};
use sae_core::{
    dump::Columns,
    formats::saelens,
    index::{IndexBuilder, IndexOptions, Meta},
    kernels::Precision,
    run::RunDir,
};
use sae_train::{Config, evaluate::check_width, source};
use std::path::PathBuf;

/// Main memory for sorting by default, in MiB: with what else a build holds it stays under 1 GiB.
pub(crate) const MEMORY_MIB: usize = 512;

#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    /// The run directory
    run: PathBuf,
    /// The dump: a Parquet file, a directory of them, or a glob
    #[arg(long, value_name = "DUMP")]
    data: String,
    /// Main memory for sorting, in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB)]
    memory: usize,
    /// How latents are looked for; values are of f32 either way
    #[arg(long, value_enum, default_value_t = Search::Bf16Candidates)]
    precision: Search,
    /// Build it again if there is one
    #[arg(long)]
    force: bool,
    /// Print what was indexed as JSON on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Search {
    /// All pre-activations in f32
    F32,
    /// Candidates by a product in bf16, where the processor has one
    Bf16Candidates,
}

impl From<Search> for Precision {
    fn from(search: Search) -> Self {
        match search {
            Search::F32 => Self::F32,
            Search::Bf16Candidates => Self::Bf16Candidates,
        }
    }
}

impl Index {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let run = RunDir::new(self.run);
        if run.index().exists() && !self.force {
            bail!("{} exists already. Give --force to build it again", run.index().display());
        }
        let meta = build(&run, &self.data, self.memory << 20, self.precision.into())?;
        if self.json {
            println!("{}", serde_json::to_string(&meta)?);
        } else {
            println!(
                "indexed {} rows: {} firings of {} latents, {} of which never fire; FVU {:.4}",
                meta.n_rows,
                meta.n_firings,
                meta.d_sae,
                meta.n_dead,
                meta.fvu.unwrap_or(f64::NAN)
            );
        }
        Ok(())
    }
}

/// Builds `run/index/` in one pass over the dump.
pub(crate) fn build(
    run: &RunDir,
    data: &str,
    memory_budget: usize,
    precision: Precision,
) -> anyhow::Result<Meta> {
    keep_freed_memory();
    let sae = saelens::read(&run.sae()).with_context(|| eval::no_sae(run))?;
    let config = if run.config().is_file() { Config::read(&run.config())? } else { Config::load(None, &[])? };
    let dump = source::open_dump_for(&sae, &config, data)?;
    check_width(&sae, &dump)?;
    let info = dump.info();
    let options = IndexOptions {
        memory_budget,
        precision,
        sae_hash: Some(sae_hash(run)?),
        dump_path: data.to_owned(),
        dump_hash: Some(dump.content_hash()?),
        model_name: info.model_name.clone(),
        hook_name: info.hook_name.clone(),
        ..IndexOptions::default()
    };
    let mut builder = IndexBuilder::create(&run.index(), &sae, dump.other_columns(), options)?;
    let bar = progress::rows("indexing", dump.n_rows());
    for batch in dump.read(Columns::All) {
        let batch = batch?;
        builder.push(&batch)?;
        bar.inc((batch.activations.len() / sae.d_in) as u64);
    }
    let meta = builder.finish()?;
    bar.finish_and_clear();
    Ok(meta)
}

/// SHA-256 of the weights file, in hex.
fn sae_hash(run: &RunDir) -> anyhow::Result<String> {
    use sha2::Digest;
    let bytes = fs_err::read(run.sae().join("sae_weights.safetensors"))?;
    Ok(format!("{:x}", sha2::Sha256::digest(bytes)))
}

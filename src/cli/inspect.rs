use super::devices;
use anyhow::bail;
use sae_core::{
    Normalize,
    dump::{Dump, DumpOptions},
    formats::saelens,
    index::Index,
    run::RunDir,
};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A dump (file, directory or glob), a run, an SAE, or the word `devices`: where this machine can train.
    /// A folder of this name is `./devices`
    #[arg(value_name = "PATH|devices")]
    what: String,
    /// Print it as JSON on stdout
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.what == "devices" {
            devices::print(self.json);
            return Ok(());
        }
        let found = self.find()?;
        if self.json {
            println!("{found}");
        } else {
            print_table(&found);
        }
        Ok(())
    }

    fn find(&self) -> anyhow::Result<Value> {
        let run = RunDir::new(&self.what);
        if run.exists() {
            return inspect_run(&run);
        }
        if Path::new(&self.what).join("cfg.json").is_file() {
            return inspect_sae(Path::new(&self.what));
        }
        match Dump::open(&self.what, &DumpOptions::default()) {
            Ok(dump) => Ok(describe_dump(&dump)),
            Err(error) => bail!("{} is neither a run nor a dump that can be read: {error}", self.what),
        }
    }
}

fn inspect_run(run: &RunDir) -> anyhow::Result<Value> {
    let events = run.read_events()?;
    let mut found = json!({"kind": "run", "trained": run.sae().exists(), "indexed": run.index().exists()});
    if let Some(event) = events.last() {
        found["step"] = json!(format!("{} of {}", event.step, event.steps));
        found["fvu"] = json!(event.fvu);
        found["dead"] = json!(event.dead);
    }
    if run.sae().exists() {
        found["sae"] = inspect_sae(&run.sae())?;
    }
    if run.index().exists() {
        let index = Index::open(&run.index())?;
        found["index"] = json!({"rows": index.meta().n_rows, "firings": index.meta().n_firings});
    }
    Ok(found)
}

fn inspect_sae(dir: &Path) -> anyhow::Result<Value> {
    let (sae, origin) = (saelens::read(dir)?, saelens::read_origin(dir)?);
    let architecture = saelens::architecture(&sae);
    let normalized = (sae.normalize != Normalize::None).then(|| sae.normalize.name());
    Ok(json!({
        "kind": "SAE (SAELens)", "architecture": architecture, "method": origin.training_architecture,
        "d_in": sae.d_in, "d_out": sae.is_transcoder().then_some(sae.d_out), "d_sae": sae.d_sae,
        "normalize": normalized, "model": origin.model_name, "hook": origin.hook_name,
    }))
}

fn describe_dump(dump: &Dump) -> Value {
    let columns: Vec<String> = dump
        .other_columns()
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    json!({
        "kind": "dump", "rows": dump.n_rows(), "d_in": dump.d_in(), "files": dump.files().len(),
        "activation_column": dump.activation_column(), "other_columns": columns,
        "model": dump.info().model_name, "hook": dump.info().hook_name,
    })
}

fn print_table(found: &Value) {
    let Some(pairs) = found.as_object() else { return };
    for (key, value) in pairs {
        match value {
            Value::Null => {}
            Value::Object(inner) => {
                println!("{key}");
                for (key, value) in inner.iter().filter(|(_, value)| !value.is_null()) {
                    println!("  {key:<18} {}", plain(value));
                }
            }
            value => println!("{key:<20} {}", plain(value)),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

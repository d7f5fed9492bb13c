//! The command line, one file per command.

mod demo;
mod devices;
mod eval;
mod index;
mod inspect;
mod interrupt;
mod progress;
mod serve;
mod train;

use clap::{Parser, Subcommand};

/// Train sparse autoencoders on activation dumps, index the dumps, browse the features.
#[derive(Debug, Parser)]
#[command(name = "sae", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train an SAE on a dump
    Train(train::Train),
    /// Measure a trained SAE on a dump
    Eval(eval::Eval),
    /// Index a dump with a trained SAE
    Index(index::Index),
    /// Serve a folder of runs to the browser
    Serve(serve::Serve),
    /// Train, index and serve the sample
    Demo(demo::Demo),
    /// Say what a dump, a run or this machine is
    Inspect(inspect::Inspect),
}

impl Arguments {
    /// Runs the command.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Train(train) => train.run(),
            Command::Eval(eval) => eval.run(),
            Command::Index(index) => index.run(),
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.run(),
            Command::Inspect(inspect) => inspect.run(),
        }
    }
}

//! `sae`: trains sparse autoencoders on activation dumps, indexes the dumps with them, serves the result.
//!
//! This crate parses, resolves, and calls one stage; it is the only one that sees all of them.

mod cli;

use clap::Parser;
use std::process::ExitCode;

/// Keeps the large blocks that training frees in every step instead of giving them back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // clap would exit with 2 on a wrong argument: that is the user's error, 1 here.
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors of clap too, but nobody's fault.
            let code = if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            // If even this cannot be printed there is nobody to tell.
            let _ = error.print();
            return code;
        }
    };
    tell_panics_apart();
    match arguments.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, each once: some say theirs themselves.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line += &format!(": {cause}");
        }
    }
    line
}

/// A panic is a bug of ours: exit code 2, and a message that says so.
fn tell_panics_apart() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Only the main thread's panic ends the program; others are caught where they are joined.
        if std::thread::current().name() == Some("main") {
            report(panic);
            eprintln!("error: this is a bug in sae; please report it with the lines above");
            std::process::exit(2);
        }
    }));
}

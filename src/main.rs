//! `sae`: trains sparse autoencoders on activation dumps, indexes the dumps with them, serves the result.
//!
//! This crate parses, resolves, and calls one stage; it is the only one that sees all of them.

mod cli;

use clap::Parser;
use sae_core::dump::DECODER_THREAD;
use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

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
    #[cfg(feature = "wgpu")]
    keep_drivers_quiet();
    hold_panics_back();
    match std::panic::catch_unwind(AssertUnwindSafe(|| arguments.run())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
        Err(_) => {
            let panic = HELD_BACK.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("{panic}\nerror: this is a bug in sae; please report it with the lines above");
            ExitCode::from(2)
        }
    }
}

/// A layer of Mesa's Vulkan drivers, which puts the GPU of the desktop first, complains on stderr where there
/// is no desktop, whenever drivers are looked for. There it has nothing to do, and may be left out.
#[cfg(feature = "wgpu")]
fn keep_drivers_quiet() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: `main` calls this before there is another thread.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
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

/// What the last panic said, of the main thread or of one that decodes.
static HELD_BACK: Mutex<String> = Mutex::new(String::new());

/// Keeps quiet about these panics until it is known that nobody catches them: the reader of dumps makes
/// errors of those that corrupt Parquet pages cause in their decoder.
fn hold_panics_back() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if matches!(std::thread::current().name(), Some("main" | DECODER_THREAD)) {
            *HELD_BACK.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
        } else {
            report(panic);
        }
    }));
}

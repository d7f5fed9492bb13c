//! Progress on stderr: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `n` rows of a dump, with rate and time left.
pub(crate) fn rows(verb: &'static str, n: u64) -> ProgressBar {
    bar(verb, n, "{prefix:>9} {bar:32} {percent:>3}%  {human_pos}/{human_len} rows  {per_sec}  {eta} left")
}

/// A bar over the tokens of a training run; its message holds the figures.
pub(crate) fn training(n: u64) -> ProgressBar {
    bar("training", n, "{prefix:>9} {bar:24} {percent:>3}%  {msg}  {eta} left")
}

fn bar(verb: &'static str, n: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(n).with_style(style.progress_chars("━━╌")).with_prefix(verb)
}

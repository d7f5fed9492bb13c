use super::{At, Flaw};
use std::path::PathBuf;

/// Why a dump cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// Nothing stands at the path.
    #[error(
        "{path}: expected a Parquet file, a directory of them or a glob, found nothing there; check the path"
    )]
    NotFound {
        /// The path as given.
        path: String,
    },
    /// The directory holds no Parquet file, or nothing matches the glob.
    #[error(
        "{path}: expected Parquet files, found {found}; give a file, a directory of `*.parquet` files or a glob"
    )]
    NoFiles {
        /// The path as given.
        path: String,
        /// What is there instead.
        found: &'static str,
    },
    /// The glob cannot be understood.
    #[error("{path}: expected a glob such as `dir/*.parquet`, found one that is malformed: {reason}")]
    BadGlob {
        /// The path as given.
        path: String,
        /// What the matcher says.
        reason: String,
    },
    /// The file is something else.
    #[error("{}: expected a Parquet file, found {found}; convert it to Parquet first", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// What its first bytes say.
        found: String,
    },
    /// The file begins as Parquet but its end is missing.
    #[error("{}: expected Parquet's footer at the end, found none: the file was cut short; write or copy it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The footer is there but makes no sense.
    #[error("{}: the footer cannot be read ({reason}); the file is corrupt, write or copy it again", path.display())]
    BadFooter {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// The pages of a row group cannot be decoded.
    #[error("{}: row group {row_group} cannot be decoded ({reason}); the file is corrupt, write or copy it again", path.display())]
    BadPages {
        /// The file.
        path: PathBuf,
        /// Number of the row group, from 0.
        row_group: usize,
        /// What the decoder says.
        reason: String,
    },
    /// All files together hold no row.
    #[error(
        "{path}: expected rows, found a dump of none (or none with numbers in {columns}); check how it was written"
    )]
    NoRows {
        /// The path as given.
        path: String,
        /// The columns that were to be read.
        columns: String,
    },
    /// No column can be the activations.
    #[error(
        "{}: expected a column of lists of f16, f32 or f64, found only {columns}; \
         write each row's activations as one list of floats", path.display()
    )]
    NoActivations {
        /// The file.
        path: PathBuf,
        /// Its columns with their types.
        columns: String,
    },
    /// Several columns can be the activations.
    #[error("{}: several columns hold lists of floats: {candidates}; name one with --set data.activation_column=NAME", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The candidates.
        candidates: String,
    },
    /// A column that was asked for is not there.
    #[error("{path}: no column `{column}`{}; there are {columns}", did_you_mean(.suggestion.as_deref()))]
    NoColumn {
        /// The file or dump.
        path: String,
        /// The name that was asked for.
        column: String,
        /// The nearest name there is.
        suggestion: Option<String>,
        /// All names there are.
        columns: String,
    },
    /// The column named as the activations holds something else.
    #[error(
        "{}: column `{column}` is {found}, expected lists of f16, f32 or f64; \
         name another with --set data.activation_column=NAME", path.display()
    )]
    NotActivations {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// A column was asked for twice.
    #[error("{}: column `{column}` is named twice for the activations; name each once", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// The companion is not there or holds something else.
    #[error("{path}: column `{column}` is {found}; the float lists it has are {float_lists}; {advice}")]
    NoCompanion {
        /// The dump.
        path: String,
        /// The name that was asked for.
        column: String,
        /// What is there instead.
        found: String,
        /// The columns that could be named, with their widths.
        float_lists: String,
        /// What to do. Who knows what the companion is for may put something better here.
        advice: String,
    },
    /// One column of vectors is nested and another is not.
    #[error(
        "{}: column `{column}` holds {found} a row, `{first}` {expected}; write both alike", path.display()
    )]
    Depth {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What its rows hold.
        found: &'static str,
        /// The first column of the activations.
        first: String,
        /// What its rows hold.
        expected: &'static str,
    },
    /// Vectors of a file have another width than those of the first.
    #[error(
        "{}: expected vectors of width {expected} in `{column}` as in {}, found width {found}; \
         a dump holds the activations of one place in one model", path.display(), first.display()
    )]
    FileWidth {
        /// The file.
        path: PathBuf,
        /// The first file.
        first: PathBuf,
        /// The column.
        column: String,
        /// Width in the first file.
        expected: usize,
        /// Width in this file.
        found: usize,
    },
    /// A file has other columns than the first.
    #[error("{}: expected the columns of {}, but {difference}; write all files of a dump alike", path.display(), first.display())]
    FileSchema {
        /// The file.
        path: PathBuf,
        /// The first file.
        first: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// A row has no usable vector in a column that is read.
    #[error(
        "{at}, column `{column}`: {flaw}; mend the dump, or leave such rows out with --set data.skip_bad_rows=true"
    )]
    BadRow {
        /// Which row.
        at: At,
        /// The column of the vector, or of the list that does not fit it.
        column: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A `token_id` has no token in the vocabulary.
    #[error("{at}: token_id {id} is not in {} ({n_tokens} entries); mend the vocabulary file or `vocab` in dump.json", vocab.display())]
    NoToken {
        /// Which row.
        at: At,
        /// The id.
        id: i64,
        /// The vocabulary file.
        vocab: PathBuf,
        /// Its number of entries.
        n_tokens: usize,
    },
    /// `dump.json` is no JSON or has fields of wrong types.
    #[error("{}: expected a JSON object as in docs/dump.md, found {reason}; mend or remove it", path.display())]
    BadInfo {
        /// The `dump.json`.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// `dump.json` was written by a newer program.
    #[error("{}: expected format_version {expected} or lower, found {found}; use a newer sae", path.display())]
    NewerFormat {
        /// The `dump.json`.
        path: PathBuf,
        /// The newest version known here.
        expected: u64,
        /// The version found.
        found: u64,
    },
    /// `dump.json` says something that the Parquet files deny.
    #[error("{}: says {field} = {said}, but the files say {found}; a file is missing or foreign, or dump.json is stale", path.display())]
    InfoDisagrees {
        /// The `dump.json`.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        said: String,
        /// What the files say.
        found: String,
    },
    /// The vocabulary file is malformed.
    #[error("{}: expected a vocabulary ({expected}), found {found}; mend the file or `vocab` in dump.json", path.display())]
    BadVocab {
        /// The vocabulary file.
        path: PathBuf,
        /// What would be right.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// The directory to write exists already.
    #[error("{}: expected to create this directory, found something there; remove it or choose another name", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// What was given to the writer does not fit the dump.
    #[error("{}: {reason}", path.display())]
    Unwritable {
        /// The directory that was to be written.
        path: PathBuf,
        /// What was expected, what was found.
        reason: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The name nearest to `asked`, if one is near enough to be meant.
pub(super) fn nearest<'a>(asked: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(asked, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

//! The vocabulary of a dump that has `token_id` but no `token`.

use super::DumpError;
use crate::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Tokens by id.
#[derive(Debug)]
pub(super) struct Vocab {
    pub(super) path: PathBuf,
    tokens: Vec<Option<String>>,
}

impl Vocab {
    /// Reads the file `name` of a directory: a token per line, or as `.json` a list of tokens or an
    /// object from token to id.
    pub(super) fn read(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let bad = |expected, found: String| DumpError::BadVocab { path: path.clone(), expected, found };
        if Path::new(name).file_name().is_none_or(|file| *file != *name) {
            return Err(bad("the name of a file beside dump.json", format!("`{name}`")).into());
        }
        let text = fs_err::read(&path)?;
        let tokens = if path.extension().is_some_and(|extension| extension == "json") {
            const EXPECTED: &str = "a JSON list of tokens, or an object from token to id";
            let value = serde_json::from_slice(&text).map_err(|error| bad(EXPECTED, error.to_string()))?;
            from_json(value).map_err(|found| bad(EXPECTED, found))?
        } else {
            let text =
                String::from_utf8(text).map_err(|error| bad("UTF-8, a token per line", error.to_string()))?;
            text.lines().map(|line| Some(line.to_owned())).collect()
        };
        Ok(Self { path, tokens })
    }

    pub(super) fn token(&self, id: i64) -> Option<&str> {
        self.tokens.get(usize::try_from(id).ok()?)?.as_deref()
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

/// No model has a vocabulary near this size; a larger id would only exhaust memory.
const MOST_TOKENS: u64 = 1 << 24;

fn from_json(value: Value) -> Result<Vec<Option<String>>, String> {
    match value {
        Value::Array(tokens) => tokens
            .into_iter()
            .map(|token| match token {
                Value::String(token) => Ok(Some(token)),
                other => Err(format!("the entry {other}")),
            })
            .collect(),
        Value::Object(ids) => {
            let mut tokens = Vec::new();
            for (token, id) in ids {
                let Some(id) = id.as_u64().filter(|id| *id < MOST_TOKENS) else {
                    return Err(format!("the id {id} for `{token}`"));
                };
                let id = id as usize;
                if tokens.len() <= id {
                    tokens.resize(id + 1, None);
                }
                if let Some(other) = tokens[id].replace(token) {
                    return Err(format!("the id {id} twice, once for `{other}`"));
                }
            }
            Ok(tokens)
        }
        other => Err(format!("{other}")),
    }
}

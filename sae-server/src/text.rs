//! Tokens as people read them.

use sae_core::index::Index;
use std::borrow::{Borrow, Cow};

/// The row's token; `[pos]`, or else `[row]`, where the dump has no text for it.
pub(crate) fn token(index: &Index, row: u64) -> Cow<'_, str> {
    match index.token(row) {
        Some(token) => token.into(),
        None => index.pos(row).map_or_else(|| format!("[{row}]"), |pos| format!("[{pos}]")).into(),
    }
}

/// Tokens as text: byte-level BPE (`Ġ`, `Ċ`) and SentencePiece (`▁`) mark spaces, WordPiece (`##`)
/// marks what continues a word, and so all others begin one.
pub(crate) fn join<T: Borrow<str>>(tokens: &[T]) -> String {
    let marks_spaces =
        |token: &T| token.borrow().starts_with(|c: char| c.is_whitespace() || "Ġ▁Ċ".contains(c));
    let continues = |token: &T| token.borrow().len() > 2 && token.borrow().starts_with("##");
    let is_wordpiece = tokens.iter().any(continues) || !tokens.iter().any(marks_spaces);
    let mut text = String::new();
    for token in tokens {
        if !is_wordpiece {
            text += &token.borrow().replace(['Ġ', '▁'], " ").replace('Ċ', "\n");
        } else if continues(token) {
            text += &token.borrow()[2..];
        } else {
            text += if text.is_empty() { "" } else { " " };
            text += token.borrow();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_as_the_tokenizer_split() {
        assert_eq!(join(&["the", "tide", "##s", "are", "##", "here"]), "the tides are ## here");
        assert_eq!(join(&["The", "Ġtide", "s", "Ċ", "Ġrise"]), "The tides\n rise");
        assert_eq!(join(&["▁The", "▁tide", "s"]), " The tides");
        assert_eq!(join(&["The", " tide", "s"]), "The tides");
        assert_eq!(join::<&str>(&[]), "");
    }
}

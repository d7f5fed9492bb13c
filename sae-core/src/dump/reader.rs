//! Reading a dump from its first row to its last.

use super::{
    At, BATCH_ROWS, Dump, DumpBatch, DumpError, Flaw,
    ahead::{Ahead, Decoding},
    decode::{Decoded, decode},
    layout::{Other, Source},
    positions::{Positions, integers},
};
use crate::Result;
use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{Schema, SchemaRef},
};
use std::{fmt, sync::Arc};

/// Which columns to read beside the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns<'a> {
    /// None.
    Activations,
    /// All of [`Dump::other_columns`].
    All,
    /// These of [`Dump::other_columns`], in this order.
    Named(&'a [&'a str]),
}

/// An iterator over the batches of a dump, from [`Dump::read`]. After an error it ends.
pub struct DumpReader {
    dump: Dump,
    others: Vec<Other>,
    schema: SchemaRef,
    /// What was wrong with the columns asked for, told in place of the first batch.
    refused: Option<DumpError>,
    ahead: Ahead,
    group: Option<Group>,
    /// Rows before `group`, in the whole dump and before flattening.
    rows_before: u64,
    next_row: u64,
    skipped: u64,
    ended: bool,
}

/// The row group being read.
struct Group {
    decoding: Decoding,
    /// Rows of the group up to the end of `positions`.
    rows_read: u64,
    /// Rows of the group before `positions`.
    first_row: u64,
    positions: Option<Positions>,
    /// How many of `positions` were given out.
    given: usize,
}

impl fmt::Debug for DumpReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DumpReader")
            .field("next_row", &self.next_row)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

impl DumpReader {
    pub(super) fn new(dump: Dump, columns: Columns<'_>) -> Self {
        let layout = dump.layout();
        let chosen = match columns {
            Columns::Activations => Ok(Vec::new()),
            Columns::All => Ok(layout.others.clone()),
            Columns::Named(names) => {
                names.iter().map(|name| layout.other(dump.path(), name).cloned()).collect()
            }
        };
        let (others, refused) = match chosen {
            Ok(others) => (others, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let schema =
            Arc::new(Schema::new(others.iter().map(|other| other.field.clone()).collect::<Vec<_>>()));
        let vectors = dump.layout().vectors().map(|vectors| vectors.column.clone());
        let read = vectors.chain(others.iter().map(|other| match other.source {
            Source::Vocab => "token_id".to_owned(),
            _ => other.field.name().clone(),
        }));
        let ahead = Ahead::new(dump.clone(), read.collect());
        Self {
            dump,
            others,
            schema,
            refused,
            ahead,
            group: None,
            rows_before: 0,
            next_row: 0,
            skipped: 0,
            ended: false,
        }
    }

    /// Rows left out so far because of [`DumpOptions::skip_bad_rows`](super::DumpOptions).
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn next_batch(&mut self) -> Result<Option<DumpBatch>> {
        if let Some(error) = self.refused.take() {
            return Err(error.into());
        }
        loop {
            let Some(group) = &mut self.group else {
                let Some(decoding) = self.ahead.next_group()? else { return Ok(None) };
                self.group = Some(Group { decoding, rows_read: 0, first_row: 0, positions: None, given: 0 });
                continue;
            };
            if group.positions.as_ref().is_some_and(|positions| group.given < positions.len()) {
                if let Some(batch) = self.give()? {
                    return Ok(Some(batch));
                }
            } else if !self.read_positions()? {
                self.rows_before += self.group.take().map_or(0, |group| group.rows_read);
            }
        }
    }

    /// Reads more rows of the row group, if it has any.
    fn read_positions(&mut self) -> Result<bool> {
        let Some(group) = &mut self.group else { return Ok(false) };
        let Some(batch) = group.decoding.next_batch()? else { return Ok(false) };
        group.first_row = group.rows_read;
        group.rows_read += batch.num_rows() as u64;
        group.given = 0;
        let mut positions = Positions::of(batch, self.dump.layout(), &self.others);
        let flaws = std::mem::take(&mut positions.flaws);
        group.positions = Some(positions);
        for (row, column, flaw) in flaws {
            self.refuse((row, None), &column, flaw)?;
        }
        Ok(true)
    }

    /// Gives out the next positions, or none if all of them were left out.
    fn give(&mut self) -> Result<Option<DumpBatch>> {
        let dump = self.dump.clone();
        let Some(group) = &mut self.group else { return Ok(None) };
        let from = group.given;
        group.given += BATCH_ROWS;
        let Some(group) = &self.group else { return Ok(None) };
        let Some(positions) = &group.positions else { return Ok(None) };
        let to = positions.len().min(from + BATCH_ROWS);
        let undecodable = |error: &dyn fmt::Display| {
            dump.parquet()[group.decoding.file].bad_pages(group.decoding.number, error.to_string())
        };
        let Decoded { activations, companion, kept, flaws } =
            decode(positions, from..to, dump.layout()).ok_or_else(|| undecodable(&"a column is missing"))?;
        let flaws: Vec<_> =
            flaws.into_iter().map(|(position, flaw)| (positions.place(position), flaw)).collect();

        let first_row = self.rows_before + group.first_row;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.others.len());
        for other in &self.others {
            columns.push(match other.source {
                Source::Vocab => self.tokens(group, positions, &kept)?,
                _ => positions.gather(other, &kept, first_row).map_err(|error| undecodable(&error))?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        let others = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| undecodable(&error))?;
        for (place, (column, flaw)) in flaws {
            self.refuse(place, column, flaw)?;
        }
        let first_row = self.next_row;
        self.next_row += kept.len() as u64;
        Ok((!kept.is_empty()).then_some(DumpBatch { first_row, activations, companion, others }))
    }

    /// The tokens of some positions, from the vocabulary.
    fn tokens(&self, group: &Group, positions: &Positions, kept: &[usize]) -> Result<ArrayRef> {
        let (Some(vocab), Ok(token_id)) =
            (self.dump.vocab(), self.dump.layout().other(self.dump.path(), "token_id"))
        else {
            return Ok(Arc::new(StringArray::new_null(kept.len())));
        };
        let undecodable =
            |error| self.dump.parquet()[group.decoding.file].bad_pages(group.decoding.number, error);
        let ids = positions.gather(token_id, kept, 0).and_then(|ids| integers(&ids)).map_err(undecodable)?;
        let token = |(&position, id): (&usize, &Option<i64>)| match id {
            None => Ok(None),
            Some(id) => vocab.token(*id).map(Some).ok_or_else(|| DumpError::NoToken {
                at: self.at(group, positions.place(position)),
                id: *id,
                vocab: vocab.path.clone(),
                n_tokens: vocab.len(),
            }),
        };
        let tokens = kept.iter().zip(&ids).map(token).collect::<Result<StringArray, DumpError>>()?;
        Ok(Arc::new(tokens))
    }

    /// Counts a bad row, or refuses the dump because of it.
    fn refuse(&mut self, place: (u32, Option<u32>), column: &str, flaw: Flaw) -> Result<()> {
        self.skipped += match &flaw {
            Flaw::Entries { expected, .. } => *expected as u64,
            _ => 1,
        };
        match &self.group {
            Some(group) if !self.dump.skips_bad_rows() => {
                Err(DumpError::BadRow { at: self.at(group, place), column: column.to_owned(), flaw }.into())
            }
            _ => Ok(()),
        }
    }

    fn at(&self, group: &Group, (row, position): (u32, Option<u32>)) -> At {
        At {
            file: self.dump.parquet()[group.decoding.file].path.clone(),
            row_group: group.decoding.number,
            row: group.first_row + u64::from(row),
            position,
        }
    }
}

impl Iterator for DumpReader {
    type Item = Result<DumpBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}

//! The index as a whole, on small dumps that are made here.

mod agrees_with_naive;
mod failures;

use super::{IndexBuilder, IndexOptions, Meta, postings::BatchSizes};
use crate::{Result, Rule, Sae, Target, dump::DumpBatch};
use arrow::{
    array::{
        ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int32Array, Int64Array, RecordBatch,
        RecordBatchOptions, StringArray,
    },
    datatypes::{Float32Type, Schema},
};
use std::{ops::Range, path::Path, sync::Arc};

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    /// Multiples of 1/8 in `[-2, 2]`: their products and sums are exact in f32 in any order.
    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(33) as f32 / 8.0 - 2.0).collect()
    }
}

/// Width of the companions of a dump, which transcoders reconstruct.
const D_COMPANION: usize = 4;

fn sae(noise: &mut Noise, d_in: usize, d_sae: usize) -> Sae {
    let rule = match noise.below(4) {
        0 => Rule::Standard,
        1 => Rule::TopK { k: 1 + noise.below(d_sae as u64) as usize },
        2 => Rule::JumpRelu { threshold: noise.numbers(d_sae).iter().map(|x| x.abs()).collect() },
        // exp(0) is exact.
        _ => Rule::Gated { r_mag: vec![0.0; d_sae], b_mag: noise.numbers(d_sae) },
    };
    let (target, d_out) = match noise.below(4) {
        0 => (Target::Companion { w_skip: None }, D_COMPANION),
        1 => (Target::Companion { w_skip: Some(noise.numbers(D_COMPANION * d_in)) }, D_COMPANION),
        _ => (Target::Input, d_in),
    };
    Sae {
        apply_b_dec_to_input: target == Target::Input && noise.below(2) == 0,
        target,
        ..Sae::new(
            rule,
            noise.numbers(d_sae * d_in),
            noise.numbers(d_sae).iter().map(|b| b - 2.0).collect(),
            noise.numbers(d_sae * d_out),
            noise.numbers(d_out),
        )
    }
}

struct Dump {
    activations: Vec<f32>,
    companion: Vec<f32>,
    d_in: usize,
    doc_ids: Vec<i64>,
    tokens: Vec<Option<String>>,
    others: RecordBatch,
}

impl Dump {
    /// Documents of a few rows with every kind of column beside the activations.
    fn new(noise: &mut Noise, d_in: usize, n_rows: usize) -> Self {
        let (mut doc_ids, mut pos, mut doc_id) = (Vec::new(), Vec::new(), -3);
        for _ in 0..n_rows {
            if noise.below(5) == 0 {
                // Neither consecutive nor increasing.
                doc_id = if doc_id > 0 { -doc_id - 2 } else { 5 - doc_id };
            }
            pos.push(if doc_ids.last() == Some(&doc_id) { pos.last().map_or(0, |pos| pos + 1) } else { 0 });
            doc_ids.push(doc_id);
        }
        let words = ["the", " Rust", "ünïcode", " sae", "", "a", "b", "c", "d", "e", "f", "G", "h"];
        let tokens: Vec<Option<String>> = (0..n_rows)
            .map(|_| (noise.below(20) > 0).then(|| words[noise.below(13) as usize].to_owned()))
            .collect();
        let author = |doc_id: i64| (doc_id % 3 != 0).then(|| format!("author {}", doc_id % 7));
        let vectors = (0..n_rows).map(|_| Some(vec![Some(1.0); d_in]));
        let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, d_in as i32);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("pos", Arc::new(Int32Array::from(pos))),
            ("doc_id", Arc::new(Int64Array::from(doc_ids.clone()))),
            ("token", Arc::new(StringArray::from(tokens.clone()))),
            ("author", Arc::new(doc_ids.iter().map(|&doc_id| author(doc_id)).collect::<StringArray>())),
            ("year", Arc::new(doc_ids.iter().map(|doc_id| Some(1900 + doc_id % 50)).collect::<Int64Array>())),
            (
                "noun",
                Arc::new(
                    (0..n_rows)
                        .map(|_| [Some(true), Some(false), None][noise.below(3) as usize])
                        .collect::<BooleanArray>(),
                ),
            ),
            ("row", Arc::new((0..n_rows as i64).map(Some).collect::<Int64Array>())),
            ("gradient", Arc::new(vectors)),
            (
                "surprise",
                Arc::new((0..n_rows).map(|_| Some(noise.below(9) as f64 / 4.0)).collect::<Float64Array>()),
            ),
        ];
        let others = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        Self {
            activations: noise.numbers(n_rows * d_in),
            companion: noise.numbers(n_rows * D_COMPANION),
            d_in,
            doc_ids,
            tokens,
            others: others.unwrap(),
        }
    }

    fn n_rows(&self) -> usize {
        self.activations.len() / self.d_in
    }

    fn schema(&self) -> Arc<Schema> {
        self.others.schema()
    }

    fn keep_columns(&mut self, names: &[&str]) {
        let columns: Vec<usize> =
            names.iter().map(|name| self.others.schema().index_of(name).unwrap()).collect();
        self.others = self.others.project(&columns).unwrap();
    }

    fn batch(&self, rows: Range<usize>) -> DumpBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let others = self.others.slice(rows.start, rows.len());
        DumpBatch {
            first_row: rows.start as u64,
            activations: self.activations[rows.start * self.d_in..rows.end * self.d_in].to_vec(),
            companion: self.companion[rows.start * D_COMPANION..rows.end * D_COMPANION].to_vec(),
            others: RecordBatch::try_new_with_options(others.schema(), others.columns().to_vec(), &options)
                .unwrap(),
        }
    }

    /// Builds an index, pushing `step` rows at once.
    fn index(
        &self,
        dir: &Path,
        sae: &Sae,
        options: IndexOptions,
        sizes: BatchSizes,
        step: usize,
    ) -> Result<Meta> {
        let mut builder = IndexBuilder::with_batch_sizes(dir, sae, &self.schema(), options, sizes)?;
        for first in (0..self.n_rows()).step_by(step) {
            builder.push(&self.batch(first..(first + step).min(self.n_rows())))?;
        }
        builder.finish()
    }
}

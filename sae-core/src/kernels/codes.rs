use rayon::prelude::*;
use std::ops::Range;

/// Sparse codes of `n_rows` inputs, row by row: the latents that fire and their values.
///
/// Row `r` owns the range `offsets[r]..offsets[r + 1]` of `latents` and `values`. Within a row
/// latents are in increasing order, each at most once; values are positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// `[n_rows + 1]`, starts with 0, never decreases.
    pub offsets: Vec<u32>,
    /// `[nnz]`, each below `d_sae`.
    pub latents: Vec<u32>,
    /// `[nnz]`, in the units of the input's activations.
    pub values: Vec<f32>,
}

impl Default for Codes {
    fn default() -> Self {
        Self { offsets: vec![0], latents: Vec::new(), values: Vec::new() }
    }
}

impl Codes {
    /// Number of inputs encoded.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of active latents over all rows.
    pub fn nnz(&self) -> usize {
        self.latents.len()
    }

    /// The latents that fire on row `r` and their values.
    ///
    /// # Panics
    /// If `r` is not below [`Codes::n_rows`].
    pub fn row(&self, r: usize) -> (&[u32], &[f32]) {
        let range = self.entries(r);
        (&self.latents[range.clone()], &self.values[range])
    }

    /// Where the entries of row `r` stand.
    ///
    /// # Panics
    /// If `r` is not below [`Codes::n_rows`].
    pub fn entries(&self, r: usize) -> Range<usize> {
        self.offsets[r] as usize..self.offsets[r + 1] as usize
    }

    pub(in crate::kernels) fn push_row(&mut self, latents: &[u32], values: &[f32]) {
        self.latents.extend_from_slice(latents);
        self.values.extend_from_slice(values);
        self.offsets.push(self.latents.len() as u32);
    }

    /// Entries `[nnz]`, cut into those of `n` rows each.
    pub(super) fn split_rows<'a>(
        &self,
        mut entries: &'a mut [f32],
        n: usize,
    ) -> Vec<(Range<usize>, &'a mut [f32])> {
        let cut = |first: usize| {
            let rows = first..self.n_rows().min(first + n);
            let len = (self.offsets[rows.end] - self.offsets[rows.start]) as usize;
            (rows, entries.split_off_mut(..len).expect("there are as many entries as the codes have"))
        };
        (0..self.n_rows()).step_by(n).map(cut).collect()
    }

    pub(super) fn concatenate(parts: &[Self]) -> Self {
        let mut offsets = Vec::with_capacity(1 + parts.iter().map(Self::n_rows).sum::<usize>());
        offsets.push(0);
        let mut start = 0;
        for part in parts {
            offsets.extend(part.offsets[1..].iter().map(|offset| start + offset));
            start += part.nnz() as u32;
        }
        let (latents, values) = rayon::join(
            || concatenate(parts.iter().map(|part| part.latents.as_slice())),
            || concatenate(parts.iter().map(|part| part.values.as_slice())),
        );
        Self { offsets, latents, values }
    }
}

/// All parts one after the other, copied by all threads.
fn concatenate<'a, T: Copy + Send + Sync + 'a>(parts: impl Iterator<Item = &'a [T]> + Clone) -> Vec<T> {
    let len = parts.clone().map(<[T]>::len).sum();
    let mut all = Vec::with_capacity(len);
    let mut rest = &mut all.spare_capacity_mut()[..len];
    let mut copies = Vec::new();
    for part in parts {
        let (place, after) = rest.split_at_mut(part.len());
        copies.push((place, part));
        rest = after;
    }
    copies.into_par_iter().for_each(|(place, part)| {
        place.write_copy_of_slice(part);
    });
    // SAFETY: the places cover the first `len` entries, and each was written.
    unsafe { all.set_len(len) };
    all
}

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
        let range = self.offsets[r] as usize..self.offsets[r + 1] as usize;
        (&self.latents[range.clone()], &self.values[range])
    }

    pub(super) fn push_row(&mut self, latents: &[u32], values: &[f32]) {
        self.latents.extend_from_slice(latents);
        self.values.extend_from_slice(values);
        self.offsets.push(self.latents.len() as u32);
    }

    pub(super) fn concatenate(parts: &[Self]) -> Self {
        let nnz = parts.iter().map(Self::nnz).sum();
        let mut all = Self {
            offsets: Vec::with_capacity(1 + parts.iter().map(Self::n_rows).sum::<usize>()),
            latents: Vec::with_capacity(nnz),
            values: Vec::with_capacity(nnz),
        };
        all.offsets.push(0);
        for part in parts {
            let start = all.latents.len() as u32;
            all.offsets.extend(part.offsets[1..].iter().map(|offset| start + offset));
            all.latents.extend_from_slice(&part.latents);
            all.values.extend_from_slice(&part.values);
        }
        all
    }
}

//! The mathematics of sparse codes, fast.

mod codes;

pub use codes::Codes;

/// Which latents fire, given their pre-activations.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// Every positive pre-activation.
    Positive,
    /// The `k` largest, if positive; of equal ones the lower latent.
    TopK(usize),
    /// Every positive pre-activation above its latent's threshold, `[d_sae]`.
    Above(&'a [f32]),
}

/// What encoding needs: `pre_acts = W_enc (x − b_pre) + b_enc`, then a selection.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// Width of the input.
    pub d_in: usize,
    /// `[d_sae, d_in]`
    pub w_enc: &'a [f32],
    /// `[d_sae]`
    pub b_enc: &'a [f32],
    /// `[d_in]`, subtracted from every input; `None` subtracts nothing.
    pub b_pre: Option<&'a [f32]>,
    /// Which latents fire.
    pub selection: Selection<'a>,
}

/// TEMPORARY
pub fn encode(_encoder: &Encoder<'_>, _x: &[f32]) -> Codes {
    Codes::default()
}

/// TEMPORARY
pub fn decode(codes: &Codes, _w_dec: &[f32], b_dec: &[f32]) -> Vec<f32> {
    vec![0.0; codes.n_rows() * b_dec.len()]
}

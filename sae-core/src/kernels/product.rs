//! The dense product on one thread, from matrices packed into panels.
//!
//! The inner loop multiplies a panel of inputs with a panel of weights into a tile of
//! results that stays in registers: `height` inputs by `width` latents. After Goto & van de Geijn 2008,
//! "Anatomy of High-Performance Matrix Multiplication", with the whole of `W_enc` packed once per call.

use super::{pack::Form, simd::mul_add};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Values of the inner sum that a tile takes at once: two panels of so many lie in the first-level cache.
const DEPTH: usize = 384;

/// The inner loop for the processor that runs this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    /// What people call its instructions.
    name: &'static str,
    /// Inputs of a tile.
    pub(super) height: usize,
    /// Latents of a tile.
    pub(super) width: usize,
    /// What it takes panels to hold.
    pub(super) form: Form,
    tile: Tile,
}

/// Of `(inputs, weights, start, out, stride)`:
/// `out[r, l] = start[l] + Σ_i inputs[i, r] · weights[i, l]`, `out` with rows `stride` apart; where there
/// is no `start`, what `out` holds is added to.
///
/// # Safety
/// The processor must have the instructions it was compiled for.
type Tile = unsafe fn(&[f32], &[f32], Option<&[f32]>, &mut [f32], usize);

#[cfg(target_arch = "x86_64")]
const AVX512: Kernel = Kernel { name: "AVX-512", height: 12, width: 32, form: Form::F32, tile: tile_avx512 };
#[cfg(target_arch = "x86_64")]
const AVX512_BF16: Kernel =
    Kernel { name: "AVX512-BF16", height: 12, width: 32, form: Form::Bf16, tile: tile_avx512_bf16 };
#[cfg(target_arch = "x86_64")]
const AVX2: Kernel = Kernel { name: "AVX2", height: 6, width: 16, form: Form::F32, tile: tile_avx2 };
const PORTABLE: Kernel =
    Kernel { name: "portable", height: 4, width: 16, form: Form::F32, tile: tile_portable };

/// The instructions that the kernels use on this processor: `AVX-512`, `AVX2`, or `portable`, which are
/// those that every processor of its architecture has.
pub fn instruction_set() -> &'static str {
    Kernel::detect().name
}

/// Whether [`super::Precision::Bf16Candidates`] is faster on this processor, by products of bf16.
pub fn has_bf16_products() -> bool {
    Kernel::detect_bf16().is_some()
}

impl Kernel {
    /// The best for this processor.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return AVX512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return AVX2;
            }
        }
        PORTABLE
    }

    /// One that multiplies numbers rounded to bf16 faster, if there is one.
    pub(super) fn detect_bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f") {
            return Some(AVX512_BF16);
        }
        None
    }

    /// `out[r, l] = bias[l] + Σ_i inputs[i, r] · weights[i, l]` with one panel of inputs and as many of
    /// weights as there are, `bias` `[width · n_panels]`, `out` `[height, width · n_panels]`.
    pub(super) fn multiply(&self, inputs: &[f32], weights: &[f32], bias: &[f32], out: &mut [f32]) {
        let Self { height, width, tile, .. } = *self;
        let d = inputs.len() / height;
        let stride = bias.len();
        assert!(inputs.len() == d * height && out.len() == height * stride);
        assert!(stride.is_multiple_of(width) && weights.len() == d * stride);
        // Parts as equal as can be, not a small one last.
        let depth = d.div_ceil(d.div_ceil(DEPTH));
        for from in (0..d).step_by(depth) {
            let to = d.min(from + depth);
            let inputs = &inputs[from * height..to * height];
            for (panel, weights) in weights.chunks_exact(d * width).enumerate() {
                let weights = &weights[from * width..to * width];
                let columns = panel * width;
                let start = (from == 0).then(|| &bias[columns..columns + width]);
                // SAFETY: a kernel is used only where its instructions were detected.
                unsafe { tile(inputs, weights, start, &mut out[columns..], stride) };
            }
        }
    }
}

/// `sums + Σ x · w` over the two bf16 in each lane.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
fn mul_add_bf16(x: __m512, w: __m512, sums: __m512) -> __m512 {
    // SAFETY: both types are of 512 bits, any of which are valid.
    let pairs = |a: __m512| unsafe { std::mem::transmute::<__m512, __m512bh>(a) };
    _mm512_dpbf16_ps(sums, pairs(x), pairs(w))
}

#[cfg(target_arch = "x86_64")]
macro_rules! tile {
    ($name:ident, $features:literal, $height:literal x $width:literal by $lanes:literal,
     $zero:ident, $load:ident, $store:ident, $set1:ident, $add:ident, $mul_add:ident) => {
        #[target_feature(enable = $features)]
        fn $name(inputs: &[f32], weights: &[f32], start: Option<&[f32]>, out: &mut [f32], stride: usize) {
            let d = inputs.len() / $height;
            assert!(weights.len() == d * $width && out.len() >= ($height - 1) * stride + $width);
            assert!(start.is_none_or(|start| start.len() == $width));
            let (inputs, weights, out) = (inputs.as_ptr(), weights.as_ptr(), out.as_mut_ptr());
            let (start, start_stride) = start.map_or((out.cast_const(), stride), |start| (start.as_ptr(), 0));
            let mut sums = [[$zero(); $width / $lanes]; $height];
            for i in 0..d {
                let mut w = [$zero(); $width / $lanes];
                for v in 0..$width / $lanes {
                    // SAFETY: inside `weights`, [d, width].
                    w[v] = unsafe { $load(weights.add(i * $width + v * $lanes)) };
                }
                for r in 0..$height {
                    // SAFETY: inside `inputs`, [d, height].
                    let x = $set1(unsafe { *inputs.add(i * $height + r) });
                    for v in 0..$width / $lanes {
                        sums[r][v] = $mul_add(x, w[v], sums[r][v]);
                    }
                }
            }
            for r in 0..$height {
                for v in 0..$width / $lanes {
                    // SAFETY: inside `out`, `height` rows of `width`, `stride` apart, and inside `start`,
                    // which is that or one such row.
                    unsafe {
                        let start = $load(start.add(r * start_stride + v * $lanes));
                        $store(out.add(r * stride + v * $lanes), $add(start, sums[r][v]));
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile!(tile_avx512, "avx512f", 12 x 32 by 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
tile!(tile_avx512_bf16, "avx512f,avx512bf16", 12 x 32 by 16, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps,
      _mm512_set1_ps, _mm512_add_ps, mul_add_bf16);
#[cfg(target_arch = "x86_64")]
tile!(tile_avx2, "avx2,fma", 6 x 16 by 8, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_add_ps, _mm256_fmadd_ps);

/// A tile in plain Rust, which vectorises for whatever the baseline has.
fn tile_portable(inputs: &[f32], weights: &[f32], start: Option<&[f32]>, out: &mut [f32], stride: usize) {
    const FMA: bool = cfg!(target_arch = "aarch64");
    const HEIGHT: usize = PORTABLE.height;
    const WIDTH: usize = PORTABLE.width;
    let mut sums = [[0.0; WIDTH]; HEIGHT];
    for (x, w) in inputs.as_chunks::<HEIGHT>().0.iter().zip(weights.as_chunks::<WIDTH>().0) {
        for r in 0..HEIGHT {
            for l in 0..WIDTH {
                sums[r][l] = mul_add::<FMA>(x[r], w[l], sums[r][l]);
            }
        }
    }
    for (out, sums) in out.chunks_mut(stride).zip(&sums) {
        if let Some(start) = start {
            out[..WIDTH].copy_from_slice(start);
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::pack::pack;
    use crate::kernels::waves::waves;
    use proptest::prelude::*;

    fn kernels() -> Vec<Kernel> {
        let mut kernels = vec![PORTABLE, Kernel::detect()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(AVX2);
        }
        kernels
    }

    proptest! {
        #[test]
        fn every_kernel_multiplies(d in 1usize..900, rows in 1usize..12, latents in 1usize..70) {
            for kernel in kernels() {
                let rows = rows.min(kernel.height);
                let (x, w) = (waves(rows * d, 0.3), waves(latents * d, 0.7));
                let n_columns = latents.next_multiple_of(kernel.width);
                let (mut inputs, mut weights) = (vec![9.0; kernel.height * d], vec![9.0; n_columns * d]);
                pack(&x, d, Form::F32, kernel.height, &mut inputs);
                pack(&w, d, Form::F32, kernel.width, &mut weights);
                let mut out = vec![f32::NAN; kernel.height * n_columns];
                kernel.multiply(&inputs, &weights, &vec![0.5; n_columns], &mut out);
                for (at, out) in out.iter().enumerate() {
                    let (r, l) = (at / n_columns, at % n_columns);
                    let sum = if r < rows && l < latents {
                        let terms = x[r * d..][..d].iter().zip(&w[l * d..][..d]);
                        terms.map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
                    } else {
                        0.0
                    };
                    prop_assert!((f64::from(*out) - 0.5 - sum).abs() < 1e-3, "{kernel:?} {r} {l}: {out} is not {sum}");
                }
            }
        }
    }
}

//! Selecting the latents that fire while pre-activations pass by in chunks.

use super::simd::multiversion;

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

/// The latents of one row selected so far, in increasing order.
///
/// Chunks of pre-activations are offered in increasing order of latents. For [`Selection::TopK`]
/// candidates are collected above a rising bar: when 4k of them wait, the best k stay and the
/// smallest of these becomes the bar, so nearly every later pre-activation costs one comparison. The
/// first chunk's bar is the k-th largest of the maxima of groups of its pre-activations, which k of
/// them reach.
#[derive(Debug, Default, Clone)]
pub(super) struct Selected {
    pub(super) latents: Vec<u32>,
    pub(super) values: Vec<f32>,
    bar: f32,
}

impl Selected {
    pub(super) fn clear(&mut self) {
        self.latents.clear();
        self.values.clear();
        self.bar = 0.0;
    }

    /// Offers the latents `first..first + products.len()`, whose pre-activations are
    /// `products + bias`.
    pub(super) fn offer(&mut self, selection: Selection<'_>, first: usize, products: &[f32], bias: &[f32]) {
        match selection {
            Selection::Positive => self.collect(first, products, bias, usize::MAX),
            Selection::TopK(k) => self.collect(first, products, bias, k),
            Selection::Above(threshold) => {
                let threshold = &threshold[first..first + products.len()];
                for (i, ((&product, &bias), &threshold)) in
                    products.iter().zip(bias).zip(threshold).enumerate()
                {
                    let pre_act = product + bias;
                    if pre_act > threshold && pre_act > 0.0 {
                        self.latents.push((first + i) as u32);
                        self.values.push(pre_act);
                    }
                }
            }
        }
    }

    /// Leaves the selection of the whole row.
    pub(super) fn finish(&mut self, selection: Selection<'_>) {
        if let Selection::TopK(k) = selection {
            self.keep_largest(k);
        }
    }

    fn collect(&mut self, first: usize, products: &[f32], bias: &[f32], k: usize) {
        let limit = k.saturating_mul(4).max(64);
        if first == 0 && k > 0 {
            self.bar = first_bar(products, bias, k);
        }
        let mut done = 0;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: AVX-512F was just detected.
            done = unsafe { self.collect_avx512(first, products, bias, (k, limit)) };
        }
        for i in done..products.len() {
            let pre_act = products[i] + bias[i];
            if pre_act > self.bar {
                self.latents.push((first + i) as u32);
                self.values.push(pre_act);
                if self.latents.len() >= limit {
                    self.keep_largest(k);
                }
            }
        }
    }

    /// The loop of [`Self::collect`], 16 at a time; gives the number of products it dealt with.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn collect_avx512(
        &mut self,
        first: usize,
        products: &[f32],
        bias: &[f32],
        (k, limit): (usize, usize),
    ) -> usize {
        use std::arch::x86_64::*;
        const WIDTH: usize = 16;
        let (chunks, _) = products.as_chunks::<WIDTH>();
        let (biases, _) = bias.as_chunks::<WIDTH>();
        let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let mut bar = _mm512_set1_ps(self.bar);
        for (c, (product, bias)) in chunks.iter().zip(biases).enumerate() {
            // SAFETY: both point to 16 floats; the load has no alignment requirement.
            let pre_acts =
                unsafe { _mm512_add_ps(_mm512_loadu_ps(product.as_ptr()), _mm512_loadu_ps(bias.as_ptr())) };
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(pre_acts, bar);
            if above == 0 {
                continue;
            }
            let latents = _mm512_add_epi32(lane, _mm512_set1_epi32((first + c * WIDTH) as i32));
            let found = above.count_ones() as usize;
            self.latents.reserve(WIDTH);
            self.values.reserve(WIDTH);
            let (n_latents, n_values) = (self.latents.len(), self.values.len());
            // All 16 lanes are stored and only those found are kept: a store of fixed width costs less
            // than a copy of `found` entries.
            // SAFETY: both vectors have room for 16 more entries, of which the first `found` are those
            // whose bit is set in `above`.
            unsafe {
                let latents = _mm512_maskz_compress_epi32(above, latents);
                _mm512_storeu_si512(self.latents.as_mut_ptr().add(n_latents).cast(), latents);
                self.latents.set_len(n_latents + found);
                let values = _mm512_maskz_compress_ps(above, pre_acts);
                _mm512_storeu_ps(self.values.as_mut_ptr().add(n_values), values);
                self.values.set_len(n_values + found);
            }
            if self.latents.len() >= limit {
                self.keep_largest(k);
                bar = _mm512_set1_ps(self.bar);
            }
        }
        chunks.len() * WIDTH
    }

    /// Keeps the `k` largest candidates, of equal ones the lower latents, and raises the bar to the
    /// smallest of them.
    fn keep_largest(&mut self, k: usize) {
        if self.values.len() <= k {
            return;
        }
        let smallest = if k == 0 { f32::INFINITY } else { f32::from_bits(kth_largest_bits(&self.values, k)) };
        let larger = self.values.iter().filter(|&&value| value > smallest).count();
        let mut room_for_equal = k - larger;
        let mut kept = 0;
        for i in 0..self.values.len() {
            let value = self.values[i];
            let keep = value > smallest || (value == smallest && room_for_equal > 0);
            room_for_equal -= usize::from(keep && value == smallest);
            // Written whether kept or not: a store costs less than a branch missed half the time.
            self.latents[kept] = self.latents[i];
            self.values[kept] = value;
            kept += usize::from(keep);
        }
        self.latents.truncate(k);
        self.values.truncate(k);
        self.bar = smallest;
    }
}

/// Groups whose maxima are taken; each takes every so many-th pre-activation.
const GROUPS: usize = 128;

/// A bar below which none of the `k` largest lies, 0 if there is no such bar above it.
///
/// At least `k` pre-activations reach the `k`-th largest of the groups' maxima; the bar is the number
/// before it, so that those equal to it pass.
fn first_bar(products: &[f32], bias: &[f32], k: usize) -> f32 {
    // Where a group holds few, its maximum tells little.
    if k > GROUPS / 2 || products.len() < 4 * GROUPS {
        return 0.0;
    }
    let mut maxima = [0.0; GROUPS];
    group_maxima(products, bias, &mut maxima);
    match kth_largest_bits(&maxima, k) {
        0 => 0.0,
        bits => f32::from_bits(bits - 1),
    }
}

multiversion! {
    /// `maxima[g] = max(maxima[g], products[i] + bias[i])` over all `i` with `i mod GROUPS = g`, up to the
    /// last whole round of groups.
    fn group_maxima(products: &[f32], bias: &[f32], maxima: &mut [f32; GROUPS]) = group_maxima_body
}

#[inline(always)]
fn group_maxima_body<const FMA: bool>(products: &[f32], bias: &[f32], maxima: &mut [f32; GROUPS]) {
    let (products, biases) = (products.as_chunks::<GROUPS>().0, bias.as_chunks::<GROUPS>().0);
    for (product, bias) in products.iter().zip(biases) {
        for g in 0..GROUPS {
            let pre_act = product[g] + bias[g];
            maxima[g] = if pre_act > maxima[g] { pre_act } else { maxima[g] };
        }
    }
}

multiversion! {
    /// The bits of the `k`-th largest of values that are not negative, `1 <= k <= values.len()`.
    ///
    /// Bits of positive floats order as the floats do, so this is bisection over integers, and each
    /// step is a count that vectorises: for the 4k values of a selection far quicker than sorting.
    fn kth_largest_bits(values: &[f32], k: usize) -> u32 = kth_largest_bits_body
}

#[inline(always)]
fn kth_largest_bits_body<const FMA: bool>(values: &[f32], k: usize) -> u32 {
    // Invariant: at least k values are >= low, fewer than k are >= high.
    let (mut low, mut high) = (u32::MAX, 0u32);
    for value in values {
        low = low.min(value.to_bits());
        high = high.max(value.to_bits());
    }
    high += 1;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let count: u32 = values.iter().map(|value| u32::from(value.to_bits() >= middle)).sum();
        if count as usize >= k {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

//! Selecting the latents that fire while pre-activations pass by in chunks.

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

/// The latents of one row selected so far.
///
/// Chunks of pre-activations are offered in increasing order of latents. For [`Selection::TopK`]
/// candidates are collected above a rising bar: when 4k of them wait, the best k stay and the
/// smallest of these becomes the bar, so nearly every later pre-activation costs one comparison.
#[derive(Debug, Default, Clone)]
pub(super) struct Selected {
    pub(super) latents: Vec<u32>,
    pub(super) values: Vec<f32>,
    bar: f32,
    keys: Vec<u64>,
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

    /// Leaves the selection of the whole row, in increasing order of latents.
    pub(super) fn finish(&mut self, selection: Selection<'_>) {
        if let Selection::TopK(k) = selection {
            self.keep_largest(k);
            self.keys.clear();
            let pairs = self.latents.iter().zip(&self.values);
            self.keys
                .extend(pairs.map(|(&latent, value)| u64::from(latent) << 32 | u64::from(value.to_bits())));
            self.keys.sort_unstable();
            for (i, key) in self.keys.iter().enumerate() {
                self.latents[i] = (key >> 32) as u32;
                self.values[i] = f32::from_bits(*key as u32);
            }
        }
    }

    fn collect(&mut self, first: usize, products: &[f32], bias: &[f32], k: usize) {
        let limit = k.saturating_mul(4).max(64);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: AVX-512F was just detected.
            unsafe { self.collect_avx512(first, products, bias, k, limit) };
            return;
        }
        self.collect_from(0, first, products, bias, (k, limit));
    }

    /// The same as the AVX-512 loop, one at a time, from position `start` of the chunk.
    fn collect_from(
        &mut self,
        start: usize,
        first: usize,
        products: &[f32],
        bias: &[f32],
        (k, limit): (usize, usize),
    ) {
        for i in start..products.len() {
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

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn collect_avx512(&mut self, first: usize, products: &[f32], bias: &[f32], k: usize, limit: usize) {
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
            let (old, found) = (self.latents.len(), above.count_ones() as usize);
            self.latents.resize(old + WIDTH, 0);
            self.values.resize(old + WIDTH, 0.0);
            // SAFETY: both vectors have 16 entries from `old` on.
            unsafe {
                _mm512_storeu_si512(
                    self.latents.as_mut_ptr().add(old).cast(),
                    _mm512_maskz_compress_epi32(above, latents),
                );
                _mm512_storeu_ps(
                    self.values.as_mut_ptr().add(old),
                    _mm512_maskz_compress_ps(above, pre_acts),
                );
            }
            self.latents.truncate(old + found);
            self.values.truncate(old + found);
            if self.latents.len() >= limit {
                self.keep_largest(k);
                bar = _mm512_set1_ps(self.bar);
            }
        }
        self.collect_from(chunks.len() * WIDTH, first, products, bias, (k, limit));
    }

    /// Keeps the `k` largest candidates in no order and raises the bar to the smallest of them.
    fn keep_largest(&mut self, k: usize) {
        if self.latents.len() <= k || k == 0 {
            self.latents.truncate(k);
            self.values.truncate(k);
            return;
        }
        // Candidates are positive, so their bits order as they do; of equals the lower latent is larger.
        self.keys.clear();
        let pairs = self.latents.iter().zip(&self.values);
        self.keys.extend(pairs.map(|(&latent, value)| u64::from(value.to_bits()) << 32 | u64::from(!latent)));
        self.keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
        self.latents.clear();
        self.values.clear();
        for key in &self.keys[..k] {
            self.latents.push(!(*key as u32));
            self.values.push(f32::from_bits((key >> 32) as u32));
        }
        self.bar = self.values.iter().copied().fold(f32::INFINITY, f32::min);
    }
}

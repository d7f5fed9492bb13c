//! Which latents have stopped firing.

/// For each latent, the rows seen since it last fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLatents {
    /// `[d_sae]`
    pub rows_since_fired: Vec<u64>,
    window: u64,
}

impl DeadLatents {
    /// Every latent counts as having fired just now; it is dead when `window` rows pass without it.
    pub fn new(d_sae: usize, window: u64) -> Self {
        Self { rows_since_fired: vec![0; d_sae], window }
    }

    /// Goes on from counts saved before.
    pub fn resume(rows_since_fired: Vec<u64>, window: u64) -> Self {
        Self { rows_since_fired, window }
    }

    /// Takes note of a batch of `n_rows` in which these latents fired.
    pub fn observe(&mut self, n_rows: usize, fired: impl IntoIterator<Item = u32>) {
        self.rows_since_fired.iter_mut().for_each(|since| *since += n_rows as u64);
        for latent in fired {
            self.rows_since_fired[latent as usize] = 0;
        }
    }

    /// The dead latents, increasing.
    pub fn latents(&self) -> Vec<u32> {
        let dead = self.rows_since_fired.iter().enumerate().filter(|&(_, &since)| since >= self.window);
        dead.map(|(latent, _)| latent as u32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latent_dies_after_the_window_and_lives_again_when_it_fires() {
        let mut dead = DeadLatents::new(3, 4);
        dead.observe(2, [0, 1]);
        dead.observe(2, [0, 0]);
        assert_eq!(dead.latents(), [2]);
        dead.observe(2, [0, 2]);
        assert_eq!(dead.latents(), [1]);
    }
}

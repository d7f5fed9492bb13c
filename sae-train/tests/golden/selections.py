"""The variants that are sparse by selection."""

from __future__ import annotations

import torch
from torch import Tensor

from common import (
    Outcome,
    Step,
    Tensors,
    TooClose,
    Variant,
    aux,
    decode,
    keep,
    largest,
    largest_of_batch,
    mean_square,
    moving_average,
    round_half_up,
    top_k,
)


class TopK(Variant):
    """f = ReLU(TopK_k(z)); arXiv 2406.04093. multi_topk adds an eighth of the loss of the 4k largest."""

    def k_now(self, step: Step) -> int:
        length = int(self.k_anneal * step.steps)
        if not length:
            return self.k
        return round_half_up(self.k_start + (self.k - self.k_start) * min(step.t / length, 1.0))

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z, k = self.pre_acts(p, step.x), self.k_now(step)
        f = top_k(z, k, step)
        x_hat = decode(p, f)
        terms = {"reconstruction": mean_square(step.x, x_hat)}
        if self.multi_topk:
            terms["multi_topk"] = mean_square(step.x, decode(p, top_k(z, 4 * k, step))) / 8
        return Outcome(terms | aux(self, p, step.x - x_hat, step.dead, step), f, x_hat)


class KSparse(TopK):
    """f = TopK_k(z) with its sign, x̂ = W_encᵀ f + b_dec: the decoder is the encoder; arXiv 1312.5663."""

    unit = pre_bias = False

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z = self.pre_acts(p, step.x)
        f = torch.where(largest(z, self.k_now(step), step), z, torch.zeros_like(z))
        x_hat = f @ p["w_enc"] + p["b_dec"]
        return Outcome({"reconstruction": mean_square(step.x, x_hat)}, f, x_hat)


class BatchTopK(Variant):
    """f keeps the ⌊k·B⌋ largest positive pre-activations of the whole batch; arXiv 2412.06410.

    State `threshold` [1], absent at first: a moving average of the smallest activation of the batch."""

    def select(self, p: Tensors, step: Step) -> Tensor:
        z = self.pre_acts(p, step.x)
        return keep(largest_of_batch(z, int(self.k * len(z)), step), z)

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        f = self.select(p, step)
        x_hat = decode(p, f)
        terms = {"reconstruction": mean_square(step.x, x_hat)}
        return Outcome(terms | aux(self, p, step.x - x_hat, step.dead, step), f, x_hat)

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        positive = outcome.codes[outcome.codes > 0]
        if step.t <= int(self.threshold_start * step.steps) or not len(positive):
            return state
        smallest = positive.min().reshape(1)
        return state | {"threshold": moving_average(state.get("threshold"), smallest, self.threshold_decay)}


class Transcoder(BatchTopK):
    """BatchTopK from x to another activation y: ŷ = W_decᵀ f + b_dec; arXiv 2406.11944."""

    pre_bias = False

    def output(self, p: Tensors, f: Tensor, x: Tensor) -> Tensor:
        return decode(p, f)

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        f = self.select(p, step)
        y_hat = self.output(p, f, step.x)
        terms = {"reconstruction": mean_square(step.target, y_hat)}
        return Outcome(terms | aux(self, p, step.target - y_hat, step.dead, step), f, y_hat)


class SkipTranscoder(Transcoder):
    """ŷ = W_decᵀ f + b_dec + W_skip x; arXiv 2501.18823."""

    own = ("w_skip",)

    def output(self, p: Tensors, f: Tensor, x: Tensor) -> Tensor:
        return decode(p, f) + x @ p["w_skip"].T


class MutualChoice(BatchTopK):
    """BatchTopK whose auxiliary loss is over the underused latents too; arXiv 2411.02124.

    State `density` [F], absent at first: a moving average of the fraction of rows a latent fires on.
    Both the underused latents of a step and the ranks are those of the density before the step."""

    def ranks(self, state: Tensors, n: int) -> Tensor:
        """From 1, by falling density; of equal ones the lower latent first."""
        density = state.get("density", torch.zeros(n))
        gaps = density.sort().values.diff()
        if ((gaps > 0) & (gaps < 1e-6)).any():
            raise TooClose("two densities")
        ranks = torch.empty(n, dtype=torch.long)
        ranks[density.sort(descending=True, stable=True).indices] = torch.arange(1, n + 1)
        return ranks

    def zipf(self, n: int) -> Tensor:
        """Shares of the ranks 1..F: (r + shift)^−exponent, divided by their sum."""
        weights = (torch.arange(1, n + 1, dtype=torch.float64) + self.zipf_shift) ** -self.zipf_exponent
        return weights / weights.sum()

    def members(self, state: Tensors, step: Step, n: int) -> list[int]:
        """The dead and the underused."""
        if "density" not in state:
            return step.dead
        expected = (self.k * self.zipf(n)).clamp(max=1)[self.ranks(state, n) - 1]
        limit, density = self.underused * expected, state["density"].double()
        if ((density - limit).abs() < 1e-4 * limit).any():
            raise TooClose("a density and its limit")
        return [i for i in range(n) if density[i] < limit[i] or i in step.dead]

    def select(self, p: Tensors, step: Step, state: Tensors | None = None) -> Tensor:
        return super().select(p, step)

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        f = self.select(p, step, state)
        x_hat = decode(p, f)
        terms = {"reconstruction": mean_square(step.x, x_hat)}
        members = self.members(state, step, f.shape[1])
        return Outcome(terms | aux(self, p, step.x - x_hat, members, step), f, x_hat)

    def density(self, state: Tensors, outcome: Outcome) -> Tensors:
        fired = (outcome.codes > 0).to(outcome.codes.dtype).mean(0)
        return {"density": moving_average(state.get("density"), fired, self.density_decay)}

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        return super().update(state, step, outcome) | self.density(state, outcome)


class FeatureChoice(MutualChoice):
    """After ⌊mutual_until·T⌋ steps each latent keeps the m_l largest of its column; arXiv 2411.02124.

    State `threshold` [F], NaN where unset: moving averages of the smallest activation of a latent in
    the batches of that phase on which it fired."""

    def chooses(self, step: Step) -> bool:
        return step.t > int(self.mutual_until * step.steps)

    def budgets(self, state: Tensors, rows: int, n: int) -> Tensor:
        total = int(self.k * rows)
        share = self.zipf(n) if self.budget == "zipf" else torch.full((n,), 1 / n, dtype=torch.float64)
        ends = [0] + [round_half_up(total * c) for c in share.cumsum(0).tolist()]
        by_rank = torch.tensor([max(1, b - a) for a, b in zip(ends, ends[1:])])
        return by_rank[self.ranks(state, n) - 1].clamp(max=rows)

    def select(self, p: Tensors, step: Step, state: Tensors | None = None) -> Tensor:
        if not self.chooses(step):
            return super().select(p, step)
        z = self.pre_acts(p, step.x)
        order = z.detach().sort(0, descending=True).values
        order = torch.cat([order, torch.full_like(order[:1], -torch.inf)])
        m = self.budgets(state, *z.shape)[None]
        cut = ((order.gather(0, m - 1) + order.gather(0, m)) / 2).clamp(min=0)
        step.decides(z, cut)
        return keep(z > cut, z)

    def update(self, state: Tensors, step: Step, outcome: Outcome) -> Tensors:
        old = state.get("threshold", torch.full_like(outcome.codes[0], torch.nan))
        if self.chooses(step) and step.t > int(self.threshold_start * step.steps):
            smallest = outcome.codes.masked_fill(outcome.codes <= 0, torch.inf).amin(0)
            moved = self.threshold_decay * old + (1 - self.threshold_decay) * smallest
            new = torch.where(old.isnan(), smallest, moved)
            old = torch.where(smallest.isinf(), old, new)
        return state | self.density(state, outcome) | {"threshold": old}


class Matryoshka(BatchTopK):
    """One selection; the first m_j latents alone must reconstruct, for each prefix m_j; arXiv 2503.17547.

    detached: a prefix adds its part to the reconstruction of the one before, which gets no gradient."""

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        f = self.select(p, step)
        x_hat, losses, start = p["b_dec"].expand_as(step.x), [], 0
        for end, weight in zip(self.prefixes, self.weights or [1.0] * len(self.prefixes)):
            if self.detached and start:
                x_hat = step.stop_gradient(x_hat)
            x_hat = x_hat + f[:, start:end] @ p["w_dec"][start:end]
            losses.append(weight * mean_square(step.x, x_hat))
            start = end
        terms = {"reconstruction": losses[-1], "prefixes": sum(losses[:-1])}
        return Outcome(terms | aux(self, p, step.x - x_hat, step.dead, step), f, x_hat)


class MatryoshkaK(Variant):
    """TopK at several k at once, with the same dictionary; arXiv 2502.20578."""

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z, spread = self.pre_acts(p, step.x), (step.x - step.x.mean(0)).square().sum(1)
        levels = len(self.levels)
        alpha = [levels - j if self.weighting == "reverse" else 1 for j in range(levels)]
        losses = []
        for k, a in zip(self.levels, alpha):
            f = top_k(z, k, step)
            x_hat = decode(p, f)
            error = (step.x - x_hat).square().sum(1)
            losses.append(a / sum(alpha) * (error / spread if self.loss == "nmse" else error).mean())
        return Outcome({"reconstruction": losses[-1], "levels": sum(losses[:-1])}, f, x_hat)


class GradientTopK(Variant):
    """Selects by z·(1 + β·|⟨W_dec,l, g̃⟩|), g the gradient at x of the model's loss; arXiv 2411.10397."""

    def forward(self, p: Tensors, state: Tensors, step: Step) -> Outcome:
        z, g = self.pre_acts(p, step.x), step.gradient
        if self.gradient_norm == "batch_mean":
            g = g / g.norm(dim=1).mean()
        score = (z * (1 + self.beta * (g @ p["w_dec"].T).abs())).detach()
        mask = largest(score, self.k, step)
        step.decides(z, 0.0, mask)
        f = keep(mask, z)
        x_hat = decode(p, f)
        terms = {"reconstruction": mean_square(step.x, x_hat)}
        return Outcome(terms | aux(self, p, step.x - x_hat, step.dead, step), f, x_hat)

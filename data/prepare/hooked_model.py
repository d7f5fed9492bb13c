"""A Hugging Face model with hooks on some of its modules: runs windows, gives what the modules put out."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from tqdm import tqdm

from dump_files import UserError
from windows import Window

DTYPES = {"f16": torch.float16, "f32": torch.float32}
LOSSES = {"causal": "next-token cross-entropy", "masked": "masked-token cross-entropy, every token a label"}


@dataclass
class Place:
    """A module whose output becomes a column; for layer 0 its input."""

    column: str
    layer: int | None
    module: str | None
    hook_name: str = ""
    width: int = 0
    hidden: Any = None  # of the forward pass that runs


class Captured(Exception):
    """Ends a forward pass once every place has been reached: what comes after need not be computed."""


def loss_of(config: Any) -> tuple[str, Any]:
    """Whether the model predicts the next token or the token itself, and the class with that head."""
    names = config.architectures or []
    if not config.is_encoder_decoder:
        for name in names:
            if name.endswith("ForMaskedLM"):
                return "masked", transformers.AutoModelForMaskedLM
            if name.endswith(("ForCausalLM", "LMHeadModel")):
                return "causal", transformers.AutoModelForCausalLM
    raise UserError(
        "--gradient: expected a decoder or encoder with a language-model head, "
        f"found {', '.join(names) or 'none named'}: this model has no loss of its own"
    )


class HookedModel:
    def __init__(self, model: torch.nn.Module, places: list[Place], loss: str | None = None):
        """With `loss`, one of LOSSES, `model` has its head, and the gradient at the first place is computed."""
        # The encoder of an encoder-decoder model runs alone, on the same inputs as any encoder.
        self.model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self.model.config.use_cache = False
        self.model.requires_grad_(False)  # the graph begins at the place, not at the weights
        self.places, self.loss = places, loss
        # Names are those of the model without its head, so that they are the same with and without gradients.
        base = self.model.base_model if loss else self.model
        for place in places:
            self.hook(place, base)
        # A first small pass finds a wrong module before any work is done, and tells the widths.
        found = self.run(torch.zeros((2, 3), dtype=torch.long), torch.ones((2, 3), dtype=torch.long))
        for place in places:
            place.width = found[place.column].shape[2]

    def hook(self, place: Place, base: torch.nn.Module) -> None:
        modules = dict(base.named_modules())
        name = place.module if place.layer is None else find_block(base, place.layer)
        if not name or name not in modules:
            near = difflib.get_close_matches(name, modules, n=5, cutoff=0.3) or [m for m in modules if m][:5]
            raise UserError(
                f"--module {name}: expected a module of this {type(base).__name__}, found none of that name; "
                f"the nearest are {', '.join(near)}"
            )
        if place.layer == 0:
            place.hook_name = f"{name}.input"
            modules[name].register_forward_pre_hook(partial(self.before, place), with_kwargs=True)
        else:
            place.hook_name = name
            modules[name].register_forward_hook(partial(self.after, place))

    def capture(self, place: Place, hidden: Any) -> Tensor | None:
        """What the model shall go on with, if not with the same: the leaf that the gradient is taken at."""
        if place.hidden is not None:
            return None  # a module that runs again: the first time counts
        is_leaf = self.loss and place is self.places[0] and isinstance(hidden, Tensor)
        place.hidden = hidden.detach().requires_grad_() if is_leaf else hidden
        if not self.loss and all(p.hidden is not None for p in self.places):
            raise Captured
        return place.hidden if is_leaf else None

    def before(self, place: Place, _module: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        leaf = self.capture(place, args[0] if args else kwargs.get("hidden_states"))
        if leaf is None:
            return None
        return ((leaf, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": leaf})

    def after(self, place: Place, _module: Any, _args: tuple, output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        leaf = self.capture(place, output[0] if several else output)
        return (leaf, *output[1:]) if several and leaf is not None else leaf

    def run(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """[batch, seq, d] of every place by its column, and of `gradient` if asked for."""
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        for place in self.places:
            place.hidden = None
        try:
            with torch.inference_mode(self.loss is None):
                output = self.model(input_ids=ids, attention_mask=mask)
        except torch.OutOfMemoryError:
            raise out_of_memory(ids) from None
        except Captured:
            output = None
        found = {}
        for place in self.places:
            found[place.column], place.hidden = check(place, ids), None
        if self.loss:
            found["gradient"] = self.gradient(found[self.places[0].column], output.logits, ids, mask)
        return {column: tensor.detach() for column, tensor in found.items()}

    def gradient(self, at: Tensor, logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Of the loss summed over tokens. No window sees another, so each has the gradient of its own loss."""
        labels = ids.masked_fill(mask == 0, -100)
        if self.loss == "causal":
            logits, labels = logits[:, :-1], labels[:, 1:]
        loss = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=-100, reduction="sum")
        try:
            gradient = torch.autograd.grad(loss, at, allow_unused=True)[0] if loss.requires_grad else None
        except torch.OutOfMemoryError:
            raise out_of_memory(ids) from None
        if gradient is None:
            raise UserError(
                f"module {self.places[0].hook_name}: expected the model's loss to depend on it, found that it does not; "
                "choose another"
            )
        return gradient

    def activations(
        self, windows: list[Window], dtype: str, batch_size: int, pad_id: int, bar: tqdm
    ) -> dict[str, np.ndarray]:
        """The rows of `windows` in their order; batches are made of windows of similar length."""
        first = np.cumsum([0] + [w.rows for w in windows])
        widths = {place.column: place.width for place in self.places}
        widths |= {"gradient": self.places[0].width} if self.loss else {}
        kind = np.float16 if dtype == "f16" else np.float32
        out = {column: np.empty((first[-1], width), kind) for column, width in widths.items()}
        order = sorted(range(len(windows)), key=lambda i: -len(windows[i].ids))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            ids = torch.full((len(batch), len(windows[batch[0]].ids)), pad_id)
            mask = torch.zeros_like(ids)
            for row, i in enumerate(batch):
                ids[row, : len(windows[i].ids)] = torch.tensor(windows[i].ids)
                mask[row, : len(windows[i].ids)] = 1
            for column, exact in self.run(ids, mask).items():
                hidden = exact.to(DTYPES[dtype]).cpu().numpy()
                for row, i in enumerate(batch):
                    rows = hidden[row, windows[i].kept]
                    if not np.isfinite(rows).all():
                        raise not_finite(column, windows[i], rows, exact[row, windows[i].kept])
                    out[column][first[i] : first[i + 1]] = rows
            bar.update(sum(windows[i].rows for i in batch))
        return out


def find_block(model: torch.nn.Module, layer: int) -> str:
    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    lists = {
        name: sum(p.numel() for p in m.parameters())
        for name, m in model.named_modules()
        if isinstance(m, torch.nn.ModuleList) and len(m) == count
    }
    if not lists:
        raise UserError(
            f"--layer {layer}: expected a list of {count} blocks in this {type(model).__name__}, found none; use --module"
        )
    if not 0 <= layer <= count:
        raise UserError(f"--layer {layer}: expected 0 to {count}, the number of the model's blocks")
    return f"{max(lists, key=lists.__getitem__)}.{max(layer - 1, 0)}"


def check(place: Place, ids: Tensor) -> Tensor:
    hidden = place.hidden
    if hidden is None:
        raise UserError(
            f"module {place.hook_name}: expected it to run in the forward pass, found that it does not; choose another"
        )
    shape = list(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
    if not isinstance(hidden, Tensor) or hidden.ndim != 3 or hidden.shape[:2] != ids.shape:
        raise UserError(
            f"module {place.hook_name}: expected a tensor [{ids.shape[0]}, {ids.shape[1]}, d], found {shape}; choose another"
        )
    return hidden


def out_of_memory(ids: Tensor) -> UserError:
    return UserError(f"--batch-size {len(ids)}: out of memory; lower it")


def not_finite(column: str, window: Window, rows: np.ndarray, exact: Tensor) -> UserError:
    at = int(np.argmin(np.isfinite(rows).all(axis=1)))
    where, what = f"{window.doc.where}: position {window.pos + at}", "gradients" if column == "gradient" else "activations"
    if torch.isfinite(exact[at]).all():
        return UserError(
            f"{where}: expected {what} up to 65504, f16's largest, found {exact[at].abs().max():.6g}; use --dtype f32"
        )
    return UserError(f"{where}: expected finite {what}, found NaN or infinity; check the model")

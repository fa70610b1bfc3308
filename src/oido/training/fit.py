# SPDX-License-Identifier: Apache-2.0
"""Fitting heads to clips: a linear one by maximum likelihood, a small network by Adam.

Both kinds see the windows of a clip and its mean (`EmbeddedClips.views`) under the clip's label,
and **the quiet** (`quiet_waveforms`) as a sound of no class: its target is background, where
that is taught, and else the same for every class (softmax), or none (sigmoid). Clips have quiet
stretches, whose windows say nothing of the class; a head that knows this stays undecided there,
instead of taking the quiet for the class that has most of it. Where no background is taught, a
logit of the quiet is then fitted beside those of the classes, which stay as they are to each other.

Features are first brought to comparable scales and turned to their main directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.datasets.dataset import class_weights
from oido.datasets.splits import training_extra
from oido.errors import OptionError
from oido.heads import OutputKind, no_event_columns
from oido.messages import tr
from oido.training.embeddings import EmbeddedClips
from oido.training.head import Dense, EmbeddingHead
from oido.training.weak_labels import choose_windows

PRIOR_CLIPS = 50
"""Clips that it takes to believe, as much as not, that features differ in how far they spread."""
COMPONENTS = 256
"""Directions of the embedding space that a head may use: the ones in which its clips differ most.
Ridge-like fits hardly use the others, and a fit takes a quarter of the time."""


def evened_scales(features: F32, share: F64, clips: int) -> F32:
    """f32[D]: what to multiply features by, so that their spreads are half as far apart.

    Features of little spread are raised, as standardising does, but only half the way (by the
    root of the deviation), and with few clips less: their variances are drawn towards the mean
    one. Fully standardised, a feature that three clips happen to agree in outweighs all others.
    """
    centre = (share @ features).astype(np.float32)
    variance = share @ (features - centre) ** 2
    mean = float(variance.mean())
    drawn = (clips * variance + PRIOR_CLIPS * mean) / (clips + PRIOR_CLIPS)
    return np.asarray(max(mean, 1e-30) ** 0.25 / np.maximum(drawn, 1e-30) ** 0.25, np.float32)


def principal_components(features: F32, weights: F64) -> tuple[F32, F64, F64]:
    """Principal components, scaled together to a mean square length of 1.

    f32[V, D] features and f64[V] weights → x [V, q] = (features − centre) @ basis, centre [D], and
    basis [D, q]; q is `COMPONENTS` at most.
    """
    share = weights / weights.sum()
    centre = share @ features
    centred = features - centre.astype(np.float32)
    rows = centred * np.sqrt(share).astype(np.float32)[:, None]
    values, vectors = np.linalg.eigh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    order = np.argsort(values, kind="stable")[::-1][:COMPONENTS]
    kept = order[values[order] > max(values[order[0]], 1e-30) * 1e-6]
    basis = vectors[:, kept]
    if len(rows) < rows.shape[1]:
        basis = rows.T @ (basis / np.sqrt(values[kept]))
    basis = basis / np.float32(max(float((rows**2).sum()), 1e-30) ** 0.5)
    return centred @ basis, centre, basis.astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Views:
    """What a head learns from; heads of equal views can share what `prepare` makes of them.

    quiet: weight of all quiet examples together, as a share of all clips. balance: every class
    weighs the same, however many clips it has. square_root: None takes it if no embedding is
    negative. copies: how much of a clip's weight its changed copies have together, if it has any.
    """

    quiet: float = 0.1
    balance: bool = True
    square_root: bool | None = None
    copies: float = 0.5

    def __post_init__(self) -> None:
        if not self.quiet >= 0:
            raise OptionError(tr("quiet must be 0 or more, not {quiet:g}", quiet=self.quiet))
        if not 0 <= self.copies <= 1:
            raise OptionError(
                tr(
                    "copies is a share of a clip's weight, 0 to 1, not {copies:g}",
                    copies=self.copies,
                )
            )

    @property
    def views(self) -> Views:
        """These alone, without what a kind of head adds."""
        return Views(**{field.name: getattr(self, field.name) for field in fields(Views)})


STRENGTH, STRENGTH_OF_TAGS = 30.0, 10.0
"""The first was chosen on sets left out in turn (benchmarks/evidence.py), all of one label each."""


@dataclass(frozen=True)
class LinearOptions(Views):
    """How a linear head is fitted.

    strength: what a clip's log loss weighs against the penalty ½·|weights|²; embeddings are scaled
    to a mean square length of 1 first, so that it suits any model. None: `STRENGTH` for clips of
    one label each, `STRENGTH_OF_TAGS` for others.
    """

    strength: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength is not None and not self.strength > 0:
            raise OptionError(
                tr("strength must be above 0, not {strength:g}", strength=self.strength)
            )


@dataclass(frozen=True)
class MlpOptions(Views):
    """How a network of one hidden layer is fitted: Adam, falling steps, weight decay, mixup.

    mixup: the parameter of the Beta distribution from which shares of two examples are drawn
    (Zhang et al. 2018); 0 is none.
    """

    hidden: int = 64
    epochs: int = 40
    batch: int = 64
    step: float = 3e-3
    decay: float = 1e-2
    mixup: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.hidden, self.epochs, self.batch) < 1 or not self.step > 0:
            raise OptionError(tr("hidden, epochs and batch must be 1 or more, and step above 0"))


class Prepared(NamedTuple):
    """Views of the clips in a space of few dimensions: x = (φ(embedding) − centre) @ basis.

    x: [V, q]; targets: [V, C]; weights: [V, C], 0 where the target is not known, their sum over V
    about the number of clips. centre: [D]; basis: [D, q]. quiet: how many of the views, the last,
    are the quiet, where a logit of its own is to tell it.
    """

    x: F32
    targets: F64
    weights: F64
    centre: F64
    basis: F64
    square_root: bool
    output: OutputKind
    quiet: int = 0

    def layer(self, weights: F64, bias: F64) -> Dense:
        """The first layer, [q, out] and [out], as it stands on the embedding itself."""
        whole = self.basis @ weights
        return Dense(
            np.ascontiguousarray(whole.T, np.float32),
            (bias - self.centre @ whole).astype(np.float32),
        )


def prepare(clips: EmbeddedClips, views: Views) -> Prepared:
    """The views of ``clips``, the quiet examples behind them."""
    square_root, quiet = views.square_root, 0
    rows, index, weights = clips.views_and_copies(views.copies)
    if square_root is None:
        square_root = bool(clips.embeddings.min() >= 0)
    targets = clips.targets[index].astype(np.float64)
    of_clips = class_weights(clips.targets, clips.multi_label, views.balance)
    per_class = of_clips[index] * weights[:, None]
    if clips.quiet is not None and views.quiet > 0:
        shape = (len(clips.quiet), len(clips.classes))
        rows = np.concatenate([rows, clips.quiet])
        targets = np.concatenate([targets, np.broadcast_to(_nothing(clips), shape)])
        extra = np.full(shape, views.quiet * len(clips) / len(clips.quiet))
        per_class = np.concatenate([per_class, extra])
        quiet = len(clips.quiet) if clips.fits_quiet else 0
    prepared = prepared_rows(rows, targets, per_class, square_root, clips.output, len(clips))
    prepared = prepared._replace(quiet=quiet)
    if clips.weak is None:
        return prepared

    def logits(targets: F64, weights: F64) -> F32:
        some = prepared._replace(targets=targets, weights=weights)
        slopes, bias = solve_linear(some, STRENGTH_OF_TAGS)
        return np.asarray(prepared.x @ slopes.astype(np.float32) + bias.astype(np.float32))

    targets, per_class = choose_windows(clips, index, targets, per_class, of_clips, logits)
    return prepared._replace(targets=targets, weights=per_class)


def _nothing(clips: EmbeddedClips) -> F64:
    """f64[C]: the target of what is of no class."""
    columns = no_event_columns(clips.classes)
    if clips.multi_label or columns:
        target = np.zeros(len(clips.classes))
        target[columns] = 1 / max(1, len(columns))
        return target
    return np.full(len(clips.classes), 1 / len(clips.classes))


def prepared_rows(
    rows: F32, targets: F64, weights: F64, square_root: bool, output: OutputKind, clips: int
) -> Prepared:
    """Views f32[V, D] with targets and weights f64[V, C], of so many clips, in few dimensions."""
    features = (np.sqrt(np.maximum(rows, 0)) if square_root else rows).astype(np.float32)
    shares = weights.mean(axis=1)
    scales = evened_scales(features, shares / shares.sum(), clips)
    x, centre, basis = principal_components(features * scales, shares)
    centre, basis = centre / scales, basis * scales[:, None]
    return Prepared(x, targets, weights, centre, basis, square_root, output)


def fit_linear(
    clips: EmbeddedClips, options: LinearOptions | None = None, data: Prepared | None = None
) -> EmbeddingHead:
    """The linear head of penalised maximum likelihood: logistic, one of all or one against rest.

    It is convex: no seed matters. data: what `prepare` made of these clips, if it did already.
    """
    options = options or LinearOptions()
    data = data or prepare(clips, options)
    default = STRENGTH if data.output == "softmax" else STRENGTH_OF_TAGS
    weights, bias = solve_linear(data, options.strength or default)
    quiet = None
    if data.quiet:
        logits = data.x @ weights.astype(np.float32) + bias.astype(np.float32)
        quiet = data.layer(*solve_quiet(data, data.x, logits))
    layers = (data.layer(weights, bias),)
    return EmbeddingHead(clips.classes, layers, data.output, data.square_root, quiet)


def solve_linear(data: Prepared, strength: float) -> tuple[F64, F64]:
    """Weights f64[q, C] and bias f64[C] on the prepared views, those that weigh something."""
    (size, count), n = (data.x.shape[1], data.targets.shape[1]), data.weights.mean(axis=1).sum()
    cross_entropy = _CrossEntropy(data.targets, data.weights, data.output)

    def loss(flat: F64) -> tuple[float, F64]:
        weights, bias = flat[:-count].reshape(size, count), flat[-count:]
        logits = data.x @ weights.astype(np.float32)
        logits += bias.astype(np.float32)
        value, slope = cross_entropy(logits)
        back = data.x.T @ slope + weights / strength
        gradient = np.concatenate([back.ravel(), slope.sum(axis=0, dtype=np.float64)])
        return (value + 0.5 / strength * float((weights**2).sum())) / n, gradient / n

    flat = _minimize(loss, np.zeros((size + 1) * count))
    return flat[:-count].reshape(size, count), flat[-count:]


def solve_quiet(data: Prepared, features: F32, logits: F32) -> tuple[F64, F64]:
    """Weights f64[h, 1] and bias f64[1] of the logit that tells the quiet from all else.

    features: f32[V, h] of the prepared views; logits: f32[V, C], of the classes, which it stands
    beside in one softmax and does not change. Logistic, with the penalty of a linear head.
    """
    is_quiet = np.zeros(len(features))
    is_quiet[-data.quiet :] = 1
    weights = data.weights.mean(axis=1)
    top = logits.max(axis=1).astype(np.float64)
    others = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    n = weights.sum()

    def loss(flat: F64) -> tuple[float, F64]:
        above = features @ flat[:-1].astype(np.float32) + flat[-1] - others
        losses = weights * (np.logaddexp(0, above) - is_quiet * above)
        slope = weights * (0.5 * (1 + np.tanh(0.5 * above)) - is_quiet)
        back = features.T @ slope.astype(np.float32) + flat[:-1] / STRENGTH
        penalty = 0.5 / STRENGTH * float((flat[:-1] ** 2).sum())
        return (float(losses.sum()) + penalty) / n, np.append(back, slope.sum()) / n

    flat = _minimize(loss, np.zeros(features.shape[1] + 1))
    return flat[:-1, None], flat[-1:]


def fit_mlp(
    clips: EmbeddedClips,
    options: MlpOptions | None = None,
    seed: int = 0,
    data: Prepared | None = None,
) -> EmbeddingHead:
    """A network of one hidden layer; ``seed`` fixes its start, its batches and its mixup.

    data: what `prepare` made of these clips and options, if it has been made already.
    """
    options = options or MlpOptions()
    data = data or prepare(clips, options)
    random = np.random.default_rng(seed)
    size, count = data.x.shape[1], data.targets.shape[1]
    x = data.x * np.sqrt(size)  # a mean square of 1 in each dimension
    known = np.where(np.isnan(data.targets), 0, data.targets)
    chance = data.weights.mean(axis=1) / data.weights.mean(axis=1).sum()
    parameters = [
        random.normal(0, np.sqrt(2 / size), (size, options.hidden)),
        np.zeros(options.hidden),
        random.normal(0, np.sqrt(1 / options.hidden), (options.hidden, count)),
        np.zeros(count),
    ]
    adam = Adam(parameters)
    steps = options.epochs * max(1, -(-len(clips) // options.batch))
    mask = (data.weights > 0).astype(np.float64)
    for step in range(steps):
        a, b = random.choice(len(x), (2, options.batch), p=chance)
        share = (
            random.beta(options.mixup, options.mixup, (options.batch, 1)) if options.mixup else 1
        )
        batch = share * x[a] + (1 - share) * x[b]
        wanted = share * known[a] + (1 - share) * known[b]
        hidden = np.maximum(batch @ parameters[0] + parameters[1], 0)
        logits = hidden @ parameters[2] + parameters[3]
        _, slope = _cross_entropy(logits, wanted, mask[a] * mask[b] / options.batch, data.output)
        back = (slope @ parameters[2].T) * (hidden > 0)
        gradients = [batch.T @ back, back.sum(0), hidden.T @ slope, slope.sum(0)]
        size_of_step = options.step * 0.5 * (1 + np.cos(np.pi * step / steps))
        adam.update(gradients, size_of_step, options.decay)
    first = data.layer(parameters[0] * np.sqrt(size), parameters[1])
    last = Dense(parameters[2].T.astype(np.float32), parameters[3].astype(np.float32))
    quiet = None
    if data.quiet:
        hidden = np.maximum(x @ parameters[0] + parameters[1], 0).astype(np.float32)
        size_of_rows = float(np.sqrt(max(float((hidden**2).sum(axis=1).mean()), 1e-30)))
        logits = (hidden @ last.weights.T + last.bias).astype(np.float32)
        weights, bias = solve_quiet(data, hidden / np.float32(size_of_rows), logits)
        quiet = Dense((weights.T / size_of_rows).astype(np.float32), bias.astype(np.float32))
    return EmbeddingHead(clips.classes, (first, last), data.output, data.square_root, quiet)


def _minimize(loss: Callable[[F64], tuple[float, F64]], start: F64) -> F64:
    """Where ``loss``, which gives its value and gradient, is least (L-BFGS)."""
    with training_extra():
        from scipy.optimize import minimize
    options = {"maxiter": 150, "gtol": 1e-5, "ftol": 1e-6}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products in one thread: the same sums in the same order, whatever the machine does.

    SciPy's library for them is loaded first: one that comes later would not know of the limit, and
    its threads would wait for each other over vectors that are too short to be shared.
    """
    with training_extra():
        import scipy.optimize  # noqa: F401
        from threadpoolctl import threadpool_limits
    with threadpool_limits(limits=1):
        yield


class Adam:
    """Adam (Kingma and Ba 2015), changing the arrays of parameters in place."""

    def __init__(self, parameters: list[F64]) -> None:
        self._parameters = parameters
        self._mean = [np.zeros_like(p) for p in parameters]
        self._square = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def update(self, gradients: list[F64], step: float, decay: float = 0.0) -> None:
        """One step; ``decay`` shrinks matrices by that share of the step (not biases)."""
        self._steps += 1
        step_ = step * np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        for n, (parameter, gradient) in enumerate(zip(self._parameters, gradients)):
            self._mean[n] += 0.1 * (gradient - self._mean[n])
            self._square[n] += 0.001 * (gradient**2 - self._square[n])
            if decay and parameter.ndim == 2:
                np.multiply(parameter, 1 - step * decay, out=parameter)
            scaled = step_ * self._mean[n] / (np.sqrt(self._square[n]) + 1e-7)
            np.subtract(parameter, scaled, out=parameter)


class _CrossEntropy:
    """The weighted sum of cross entropies of views, and its slope by their logits f32[V, C].

    As `_cross_entropy`, for call after call: in float32 but for the sum. The logits are used up.
    """

    def __init__(self, targets: F64, weights: F64, output: OutputKind) -> None:
        self._targets = np.nan_to_num(targets).astype(np.float32)
        self._weights = weights.astype(np.float32)
        self._views = weights.mean(axis=1, keepdims=True).astype(np.float32)
        self._wanted = self._weights * self._targets
        self._is_softmax = output == "softmax"

    def __call__(self, logits: F32) -> tuple[float, F32]:
        if not self._is_softmax:
            value, slope = _cross_entropy(logits, self._targets, self._weights, "sigmoid")
            return value, slope.astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(axis=1, keepdims=True)
        losses = np.log(sums) - logits
        losses *= self._wanted
        value = float(losses.sum(axis=1).sum(dtype=np.float64))
        powers /= sums
        powers -= self._targets
        powers *= self._views
        return value, powers


def _cross_entropy(
    logits: F32 | F64, targets: F32 | F64, weights: F32 | F64, output: OutputKind
) -> tuple[float, F64]:
    """The weighted sum of cross entropies, and its slope by the logits."""
    if output == "softmax":
        top = logits.max(axis=1, keepdims=True)
        powers = np.exp(logits - top)
        sums = powers.sum(axis=1, keepdims=True)
        losses = weights * targets * (top + np.log(sums) - logits)
        value = float(losses.sum(dtype=np.float64))
        return value, weights.mean(axis=1, keepdims=True) * (powers / sums - targets)
    losses = weights * (np.logaddexp(0, logits) - targets * logits)
    value = float(losses.sum(dtype=np.float64))
    return value, weights * (0.5 * (1 + np.tanh(0.5 * logits)) - targets)

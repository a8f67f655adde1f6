"""Layers that give each channel a fixed mean and spread over a batch, and remember both for later."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.checks import check_number
from minigrad.creation import zeros
from minigrad.errors import ShapeError, TraceError, user_line
from minigrad.graph import Var
from minigrad.nn.checks import check_counts, check_flags, checked_input
from minigrad.nn.normalization.base import Normalization
from minigrad.nn.parameter import Buffer
from minigrad.ops.normalization import batch_norm, by_batch
from minigrad.tape import no_grad


class _BatchNorm(Normalization):
    ranks: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]
    running_mean: Buffer | None
    running_var: Buffer | None
    num_batches_tracked: Buffer | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        (self.num_features,) = check_counts(name, num_features=num_features)
        self.eps = check_number(name, "eps", eps, low=0)
        if momentum is not None:
            momentum = check_number(name, "momentum", momentum, low=0, high=1)
        self.momentum = momentum
        check_flags(name, affine=affine, track_running_stats=track_running_stats, bias=bias)
        self.affine, self.track_running_stats = affine, track_running_stats
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(zeros(self.num_features, dtype=dtype, device=device))
            self.running_var = Buffer(zeros(self.num_features, dtype=dtype, device=device))
            self.num_batches_tracked = Buffer(zeros((), dtype="int64", device=device))
        self._make((self.num_features,), affine, bias, device, dtype)

    def reset_running_stats(self) -> None:
        """Forget the batches: a mean of 0 and a variance of 1."""
        for buffer, first in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer.copy_(first)

    def reset_parameters(self) -> None:
        """Let ``weight`` and ``bias`` change nothing, and forget the batches."""
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, input: Any) -> Any:
        """Return ``input`` normalised, in training by its own statistics, which are then remembered.

        Parameters
        ----------
        input : Tensor
            Shape (N, num_features) or (N, num_features, L) in `BatchNorm1d`, and
            (N, num_features, H, W) in `BatchNorm2d`; floating-point.

        Returns
        -------
        Tensor
            The shape of ``input``.

        Raises
        ------
        ShapeError
            If ``input`` has another shape, or one number for each channel, in training or without running
            statistics.
        DtypeError
            If ``input`` does not hold floating-point numbers.
        TraceError
            In the step of a loop, in training: the running statistics cannot be changed there.
        """
        name = type(self).__name__
        like = self.running_mean if self.weight is None else self.weight
        input = checked_input(name, input, like)
        shape = tuple(input.shape)
        if len(shape) not in self.ranks or shape[1] != self.num_features:
            raise ShapeError(
                f"{name}: the input has shape {shape}; it must be {self.layout} with "
                f"num_features={self.num_features}"
            )
        mean: Any = self.running_mean
        var: Any = self.running_var
        if mean is not None and not self.training:
            return batch_norm(input, mean, var, self.weight, self.bias, eps=self.eps)
        remembers = mean is not None and self.track_running_stats
        if remembers and isinstance(input, Var):
            raise TraceError(
                f"{name} remembers the statistics of its batches, which a traced step cannot, at "
                f"{user_line()}\n  call eval() first, or make it with track_running_stats=False"
            )
        y, mean, var = by_batch(name, input, self.weight, self.bias, self.eps, mean)
        if remembers:
            self._remember(mean, var, input.size // self.num_features)
        return y

    def _remember(self, mean: Any, variance: Any, count: int) -> None:
        """Move the running statistics by ``momentum`` towards those of a batch."""
        batches = self.num_batches_tracked
        with no_grad():
            share = self.momentum
            if batches is not None:
                batches.copy_(batches + 1)
                share = 1 / batches.item() if share is None else share
            if count == 0 or share is None:
                return
            unbiased = variance * (count / (count - 1))
            for running, found in ((self.running_mean, mean), (self.running_var, unbiased)):
                if running is not None:
                    running.copy_((1 - share) * running + share * found)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={bias}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Give each channel mean 0 and variance 1 over a batch, then scale and shift (Ioffe 2015).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``. In training these are the mean and the
    variance of the batch; running ones are remembered, and used after `eval`.

    Parameters
    ----------
    num_features : int
        The number of channels: the size of axis 1 of the input.
    eps : float
        Keeps the root away from 0.
    momentum : float or None
        The share of a new batch in the running statistics; None is their mean over all batches.
    affine : bool
        Whether there are ``weight`` and ``bias``.
    track_running_stats : bool
        Whether running statistics are remembered; else those of the batch are used after `eval`, too.
    device : str, optional
        Where parameters and buffers are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of parameters and statistics; by default the default dtype, float32.
    bias : bool
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (num_features,); at first ones and zeros.
    running_mean, running_var : Buffer or None
        Shape (num_features,); at first zeros and ones. The variance is that of all numbers that a batch
        is a sample of: its squares are divided by the count less one.
    num_batches_tracked : Buffer or None
        How many batches have been seen, int64, a scalar.

    Raises
    ------
    ArgumentError
        If ``num_features`` is not a positive integer, ``eps`` is negative, ``momentum`` does not lie
        between 0 and 1, or a flag is no bool.

    Examples
    --------
    >>> layer = nn.BatchNorm1d(2)
    >>> layer(mg.tensor([[1.0, 10.0], [3.0, 30.0]])).detach()
    tensor([[-1., -1.],
            [ 1.,  1.]])
    >>> layer.running_mean
    tensor([0.2, 2. ])
    """

    ranks = (2, 3)
    layout = "(N, num_features) or (N, num_features, L)"


class BatchNorm2d(_BatchNorm):
    """Give each channel of images mean 0 and variance 1 over a batch, then scale and shift (Ioffe 2015).

    ``y = (x - mean) / sqrt(variance + eps) * weight + bias``. In training these are the mean and the
    variance of the batch; running ones are remembered, and used after `eval`.

    Parameters
    ----------
    num_features : int
        The number of channels: the size of axis 1 of the input.
    eps : float
        Keeps the root away from 0.
    momentum : float or None
        The share of a new batch in the running statistics; None is their mean over all batches.
    affine : bool
        Whether there are ``weight`` and ``bias``.
    track_running_stats : bool
        Whether running statistics are remembered; else those of the batch are used after `eval`, too.
    device : str, optional
        Where parameters and buffers are, "cpu" or "cuda:N".
    dtype : dtype or str, optional
        The dtype of parameters and statistics; by default the default dtype, float32.
    bias : bool
        Whether there is a bias, if ``affine``.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (num_features,); at first ones and zeros.
    running_mean, running_var : Buffer or None
        Shape (num_features,); at first zeros and ones. The variance is that of all numbers that a batch
        is a sample of: its squares are divided by the count less one.
    num_batches_tracked : Buffer or None
        How many batches have been seen, int64, a scalar.

    Raises
    ------
    ArgumentError
        If ``num_features`` is not a positive integer, ``eps`` is negative, ``momentum`` does not lie
        between 0 and 1, or a flag is no bool.

    Examples
    --------
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(mg.randn(2, 3, 8, 8)).shape, layer.num_batches_tracked
    ((2, 3, 8, 8), tensor(1))
    """

    ranks = (4,)
    layout = "(N, num_features, H, W)"

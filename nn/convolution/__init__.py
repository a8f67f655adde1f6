"""Layers that convolve: their weight meets each window of the input."""

from minigrad.nn.convolution.plain import Conv1d as Conv1d
from minigrad.nn.convolution.plain import Conv2d as Conv2d
from minigrad.nn.convolution.transpose import ConvTranspose1d as ConvTranspose1d
from minigrad.nn.convolution.transpose import ConvTranspose2d as ConvTranspose2d

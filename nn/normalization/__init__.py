"""Layers that give their input a fixed mean and spread."""

from minigrad.nn.normalization.layer import LayerNorm as LayerNorm

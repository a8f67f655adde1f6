"""minigrad.nn.decoding: from scores to sequences of labels."""

from minigrad.nn.decoding.ctc import Labelling as Labelling
from minigrad.nn.decoding.ctc import ctc_beam as ctc_beam
from minigrad.nn.decoding.ctc import ctc_greedy as ctc_greedy

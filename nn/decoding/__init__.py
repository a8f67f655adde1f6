"""minigrad.nn.decoding: from the scores of a model to sequences.

Models that go on step by step have a method ``step(tokens, state)``: `generate` draws from their
scores, `greedy` and `beam_search` look for likely sequences, and `log_probability` says how likely a
given one is. Models with CTC have the scores of all steps at once.
"""

from minigrad.nn.decoding.beam import Hypothesis as Hypothesis
from minigrad.nn.decoding.beam import beam_search as beam_search
from minigrad.nn.decoding.ctc import Labelling as Labelling
from minigrad.nn.decoding.ctc import ctc_beam as ctc_beam
from minigrad.nn.decoding.ctc import ctc_greedy as ctc_greedy
from minigrad.nn.decoding.greedy import greedy as greedy
from minigrad.nn.decoding.rows import select_rows as select_rows
from minigrad.nn.decoding.sampling import generate as generate
from minigrad.nn.decoding.scoring import log_probability as log_probability

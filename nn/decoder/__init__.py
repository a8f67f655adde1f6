"""minigrad.nn.decoder: decoders of sequences, by teacher forcing or by their own outputs."""

from minigrad.nn.decoder.decoder import Decoder as Decoder
from minigrad.nn.decoder.state import DecoderState as DecoderState

"""minigrad.nn.data: what training reads, in an order that a run can go on from."""

from minigrad.nn.data.batches import Batches as Batches
from minigrad.nn.data.batches import batches as batches
from minigrad.nn.data.padding import Padded as Padded
from minigrad.nn.data.padding import pad_sequence as pad_sequence
from minigrad.nn.data.streams import Streams as Streams

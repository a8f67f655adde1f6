"""minigrad.nn.data: what training reads, in an order that a run can go on from."""

from minigrad.nn.data.batches import Batches as Batches
from minigrad.nn.data.batches import batches as batches
from minigrad.nn.data.padding import Padded as Padded
from minigrad.nn.data.padding import pad_sequence as pad_sequence
from minigrad.nn.data.scaling import scaled as scaled
from minigrad.nn.data.scaling import unscaled as unscaled
from minigrad.nn.data.splitting import split as split
from minigrad.nn.data.streams import Streams as Streams
from minigrad.nn.data.windows import walk_forward as walk_forward
from minigrad.nn.data.windows import windows as windows

"""minigrad.nn.attention: layers that look things up in a memory by how well they match a query.

Time comes first, as in recurrent layers: a memory is (S, N, memory_size), queries are (N, query_size), or
(T, N, query_size) for many at once. `MultiheadAttention` keeps to PyTorch's order and masks.
"""

from minigrad.nn.attention.layers import AdditiveAttention as AdditiveAttention
from minigrad.nn.attention.layers import Attention as Attention
from minigrad.nn.attention.layers import DotAttention as DotAttention
from minigrad.nn.attention.layers import GeneralAttention as GeneralAttention
from minigrad.nn.attention.layers import ScaledDotAttention as ScaledDotAttention
from minigrad.nn.attention.memory import Memory as Memory
from minigrad.nn.attention.multihead import MultiheadAttention as MultiheadAttention
from minigrad.nn.attention.pooling import AttentionPooling as AttentionPooling
from minigrad.nn.attention.recurrent import AttentionRecurrent as AttentionRecurrent

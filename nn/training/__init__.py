"""minigrad.nn.training: the training loop, and what a program needs around it."""

from minigrad.nn.training.callbacks import Callback as Callback
from minigrad.nn.training.callbacks import say as say
from minigrad.nn.training.checkpoint import Checkpoint as Checkpoint
from minigrad.nn.training.checkpoint import save_checkpoint as save_checkpoint
from minigrad.nn.training.curves import plot_attention as plot_attention
from minigrad.nn.training.curves import plot_bars as plot_bars
from minigrad.nn.training.curves import plot_curves as plot_curves
from minigrad.nn.training.evaluation import evaluate as evaluate
from minigrad.nn.training.evaluation import evaluating as evaluating
from minigrad.nn.training.fit import fit as fit
from minigrad.nn.training.interrupt import Interrupt as Interrupt
from minigrad.nn.training.interrupt import noting_interrupts as noting_interrupts
from minigrad.nn.training.invocation import Invocation as Invocation
from minigrad.nn.training.logs import CSVLog as CSVLog
from minigrad.nn.training.logs import TensorBoard as TensorBoard
from minigrad.nn.training.named_cell import find_cell as find_cell
from minigrad.nn.training.named_cell import recurrent_layer as recurrent_layer
from minigrad.nn.training.parser import Parser as Parser
from minigrad.nn.training.parser import number as number
from minigrad.nn.training.program import Program as Program
from minigrad.nn.training.program import Setting as Setting
from minigrad.nn.training.run import Run as Run
from minigrad.nn.training.truncation import detach_state as detach_state

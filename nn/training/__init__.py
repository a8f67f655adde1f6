"""minigrad.nn.training: what a training program needs around its model: files, signals, pictures."""

from minigrad.nn.training.checkpoint import Checkpoint as Checkpoint
from minigrad.nn.training.checkpoint import save_checkpoint as save_checkpoint
from minigrad.nn.training.curves import plot_curves as plot_curves
from minigrad.nn.training.interrupt import Interrupt as Interrupt
from minigrad.nn.training.interrupt import noting_interrupts as noting_interrupts
from minigrad.nn.training.program import Parser as Parser
from minigrad.nn.training.program import number as number
from minigrad.nn.training.truncation import detach_state as detach_state

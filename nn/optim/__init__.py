"""Optimisers and schedules of the learning rate, with PyTorch's names, options and results."""

from minigrad.nn.optim import lr_scheduler as lr_scheduler
from minigrad.nn.optim.adagrad import Adagrad as Adagrad
from minigrad.nn.optim.adam import Adam as Adam
from minigrad.nn.optim.adam import AdamW as AdamW
from minigrad.nn.optim.optimizer import Optimizer as Optimizer
from minigrad.nn.optim.rmsprop import RMSprop as RMSprop
from minigrad.nn.optim.sgd import SGD as SGD

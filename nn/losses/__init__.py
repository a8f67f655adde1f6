"""Loss functions as layers: options first, scores and targets when called."""

from minigrad.nn.losses.crf import CRF as CRF
from minigrad.nn.losses.crf import BestPaths as BestPaths
from minigrad.nn.losses.crf import bio_forbidden as bio_forbidden
from minigrad.nn.losses.criteria import BCELoss as BCELoss
from minigrad.nn.losses.criteria import BCEWithLogitsLoss as BCEWithLogitsLoss
from minigrad.nn.losses.criteria import CrossEntropyLoss as CrossEntropyLoss
from minigrad.nn.losses.criteria import HuberLoss as HuberLoss
from minigrad.nn.losses.criteria import KLDivLoss as KLDivLoss
from minigrad.nn.losses.criteria import L1Loss as L1Loss
from minigrad.nn.losses.criteria import MSELoss as MSELoss
from minigrad.nn.losses.criteria import NLLLoss as NLLLoss
from minigrad.nn.losses.criteria import SmoothL1Loss as SmoothL1Loss
from minigrad.nn.losses.ctc import CTCLoss as CTCLoss
from minigrad.nn.losses.ctc import ctc_loss as ctc_loss
from minigrad.nn.losses.sequence import SequenceLoss as SequenceLoss

"""minigrad.nn.metrics: scores of predictions, counted over the places that a mask or lengths leave.

What a training loop adds up over batches is a `Ratio`: the sums of numerators and of denominators give
the score of the whole set, however it was cut into batches. Scores that are no ratio of sums (macro
averages, BLEU, perplexity) are computed from counts, sentences or a mean loss of the whole set.
"""

from minigrad.nn.metrics.classification import Counts as Counts
from minigrad.nn.metrics.classification import Scores as Scores
from minigrad.nn.metrics.classification import accuracy as accuracy
from minigrad.nn.metrics.classification import class_counts as class_counts
from minigrad.nn.metrics.classification import confusion_matrix as confusion_matrix
from minigrad.nn.metrics.classification import exact_match as exact_match
from minigrad.nn.metrics.classification import f1 as f1
from minigrad.nn.metrics.classification import precision as precision
from minigrad.nn.metrics.classification import precision_recall_f1 as precision_recall_f1
from minigrad.nn.metrics.classification import recall as recall
from minigrad.nn.metrics.detection import box_iou as box_iou
from minigrad.nn.metrics.detection import mask_iou as mask_iou
from minigrad.nn.metrics.forecasting import mae as mae
from minigrad.nn.metrics.forecasting import mase as mase
from minigrad.nn.metrics.forecasting import mse as mse
from minigrad.nn.metrics.forecasting import rmse as rmse
from minigrad.nn.metrics.language import bits as bits
from minigrad.nn.metrics.language import perplexity as perplexity
from minigrad.nn.metrics.ratio import Ratio as Ratio
from minigrad.nn.metrics.tagging import Entity as Entity
from minigrad.nn.metrics.tagging import entities as entities
from minigrad.nn.metrics.tagging import entity_counts as entity_counts
from minigrad.nn.metrics.tagging import entity_f1 as entity_f1
from minigrad.nn.metrics.tagging import entity_precision as entity_precision
from minigrad.nn.metrics.tagging import entity_recall as entity_recall
from minigrad.nn.metrics.tagging import entity_tags as entity_tags
from minigrad.nn.metrics.translation import TranslationScore as TranslationScore
from minigrad.nn.metrics.translation import bleu as bleu
from minigrad.nn.metrics.translation import chrf as chrf

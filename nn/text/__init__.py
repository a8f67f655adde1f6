"""minigrad.nn.text: what models of text need besides layers: tokens, their numbers, files, counts."""

from minigrad.nn.text.files import english_text as english_text
from minigrad.nn.text.files import read_text as read_text
from minigrad.nn.text.formats import read_conll as read_conll
from minigrad.nn.text.formats import read_labelled as read_labelled
from minigrad.nn.text.formats import read_parallel as read_parallel
from minigrad.nn.text.nearest import NearestText as NearestText
from minigrad.nn.text.ngram import NGram as NGram
from minigrad.nn.text.package import package_file as package_file
from minigrad.nn.text.taggers import DictionaryTagger as DictionaryTagger
from minigrad.nn.text.taggers import WindowTagger as WindowTagger
from minigrad.nn.text.tokens import characters as characters
from minigrad.nn.text.tokens import sentence as sentence
from minigrad.nn.text.tokens import words as words
from minigrad.nn.text.vocabulary import Vocabulary as Vocabulary

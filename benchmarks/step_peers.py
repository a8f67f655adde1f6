"""The networks of examples in PyTorch, as its users would write them; the names of weights are ours."""

import torch
from step_ours import Ours
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class WordModel(nn.Module):
    def __init__(self, given, shapes):
        super().__init__()
        words, width = shapes["embedding.weight"]
        self.embedding, self.dropout = nn.Embedding(words, width), nn.Dropout(given.dropout)
        self.recurrent = nn.LSTM(width, width, given.layers)
        self.readout = nn.Linear(width, words)
        self.readout.weight = self.embedding.weight
        self.state = None

    def forward(self, codes, targets):
        outputs, state = self.recurrent(self.dropout(self.embedding(codes)), self.state)
        self.state = tuple(part.detach() for part in state)
        scores = self.readout(self.dropout(outputs))
        return cross_entropy(scores.flatten(0, 1), targets.flatten())


class Classifier(nn.Module):
    def __init__(self, given, shapes):
        super().__init__()
        characters, width = shapes["embedding.weight"]
        self.embedding, self.dropout = nn.Embedding(characters, width), nn.Dropout(given.dropout)
        self.recurrent = nn.LSTM(width, given.hidden, bidirectional=True)
        self.readout = nn.Linear(2 * given.hidden, 2)
        self.weights = nn.Embedding(*shapes["weights.weight"], padding_idx=0)

    def forward(self, text, runs, labels):
        outputs = read(self.recurrent, self.dropout(self.embedding(text[0])), text[1])
        size = text[1][:, None].to(outputs.dtype)
        occurring = self.weights(runs[0]).sum(0) / size.sqrt()
        scores = self.readout(self.dropout(outputs.sum(0) / size)) + 3 * occurring
        return cross_entropy(scores, labels)


class Translator(nn.Module):
    def __init__(self, given, shapes):
        super().__init__()
        tokens, width = shapes["embedding.weight"]
        self.embedding, self.dropout = nn.Embedding(tokens, width), nn.Dropout(given.dropout)
        self.encoder = nn.GRU(width, given.hidden, bidirectional=True)
        self.decoder = AttentionDecoder(given, shapes["decoder.embedding.weight"])

    def forward(self, text, before, after):
        memory = read(self.encoder, self.dropout(self.embedding(text[0])), text[1])
        there = torch.arange(len(memory)) < text[1][:, None]
        scores = self.decoder(before[0], memory, there)
        return cross_entropy(scores.flatten(0, 1), after[0].flatten())  # no date is padded


class AttentionDecoder(nn.Module):
    """Luong's decoder with Bahdanau's scores, on all steps at once."""

    def __init__(self, given, shape):
        super().__init__()
        (tokens, width), size = shape, given.hidden
        self.embedding, self.dropout = nn.Embedding(tokens, width), nn.Dropout(given.dropout)
        self.recurrent = nn.GRU(width, size)
        self.initial, self.attention = nn.Linear(2 * size, size), nn.Module()
        self.attention.query = nn.Linear(size, size, bias=False)
        self.attention.key = nn.Linear(2 * size, size, bias=False)
        self.attention.score = nn.Linear(size, 1, bias=False)
        self.combine, self.readout = nn.Linear(3 * size, size), nn.Linear(size, tokens)

    def forward(self, tokens, memory, there):
        state = self.initial(memory[0])[None]
        outputs, _ = self.recurrent(self.dropout(self.embedding(tokens)), state)
        queries, keys = outputs.transpose(0, 1), memory.transpose(0, 1)  # the batch first
        layer = self.attention
        hidden = torch.tanh(layer.query(queries)[:, :, None] + layer.key(keys)[:, None])
        scores = layer.score(hidden)[..., 0].masked_fill(~there[:, None], -torch.inf)
        context = (scores.softmax(-1) @ keys).transpose(0, 1)
        features = torch.tanh(self.combine(torch.cat([outputs, context], -1)))
        return self.readout(self.dropout(features))


def read(layer, inputs, lengths):
    """Return the outputs of a recurrent layer, zero in the padding."""
    packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0])[0]


MODELS = {"word_lm": WordModel, "sentiment": Classifier, "date_translation": Translator}


class PyTorch:
    """The same network, the same weights and the same batch."""

    def __init__(self, name, **changed):
        ours = Ours(name, **changed)
        weights = {key: torch.tensor(v.numpy()) for key, v in ours.model.state_dict().items()}
        shapes = {key: weight.shape for key, weight in weights.items()}
        self.model = MODELS[name](ours.given, shapes)
        self.model.load_state_dict(weights)
        self.batch, self.shape = _tensors(ours.batch), ours.shape
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=ours.given.lr)

    def update(self):
        self.optimizer.zero_grad()
        loss = self.model(*self.batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def gradients(self):
        return {name: p.grad.numpy() for name, p in self.model.named_parameters()}


def _tensors(batch):
    if isinstance(batch, tuple):
        return tuple(map(_tensors, batch))
    return torch.tensor(batch.numpy())

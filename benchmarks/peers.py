"""The same three computations in each library, as its users would write them.

A peer offers ``chain`` and ``network``. Both return a function without arguments that does one unit of
work, forward and backward, and returns what must be equal in every library.
"""

import importlib.metadata
import itertools

import numpy

RATE = 0.01


def chain_inputs(size):
    """Return a start and two operands for which neither the values nor the gradients vanish."""
    start = numpy.linspace(0.2, 0.9, size, dtype=numpy.float32)
    return start, numpy.ones(size, numpy.float32), -numpy.ones(size, numpy.float32)


def chain_of(m, x, scale, shift, length):
    """Return ``length`` ops on ``x``, two binary and two unary ones in turn, from library ``m``."""
    for _ in range(length // 4):
        x = m.exp(m.tanh(x * scale + shift))
    return x


def network_inputs(width, layers, batch):
    """Return inputs, targets, and the weights (in, out) and biases of ``layers`` + 1 products."""
    rng = numpy.random.default_rng(0)
    widths = [width] * (layers + 1) + [10]
    x = rng.standard_normal((batch, width), dtype=numpy.float32)
    y = rng.standard_normal((batch, 10), dtype=numpy.float32)
    parameters = []
    for rows, columns in itertools.pairwise(widths):
        weight = rng.standard_normal((rows, columns), dtype=numpy.float32)
        parameters += [weight / numpy.float32(rows**0.5), numpy.zeros(columns, numpy.float32)]
    return x, y, parameters


def pairs(parameters):
    """Return (weight, bias) of each product."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


class NumPy:
    """The floor: the same arithmetic with the backward pass written by hand, and no library."""

    package = "numpy"

    def chain(self, size, length, tracked):
        x0, scale, shift = chain_inputs(size)

        def step():
            x, saved = x0, []
            for _ in range(length // 4):
                tanh = numpy.tanh(x * scale + shift)
                y = numpy.exp(tanh)
                saved.append((x, tanh, y))
                x = y
            g = numpy.ones_like(x)
            g_scale, g_shift = numpy.zeros_like(scale), numpy.zeros_like(shift)
            while saved:
                x, tanh, y = saved.pop()
                g = g * y * (1 - tanh * tanh)
                if tracked:
                    g_shift += g
                    g_scale += g * x
                g = g * scale
            return [g, g_scale, g_shift] if tracked else [g]

        return step

    def network(self, width, layers, batch):
        x, y, parameters = network_inputs(width, layers, batch)
        weights = pairs(parameters)

        def step():
            inputs = [x]
            for weight, bias in weights[:-1]:
                inputs.append(numpy.maximum(inputs[-1] @ weight + bias, 0))
            weight, bias = weights[-1]
            error = inputs[-1] @ weight + bias - y
            g = error * numpy.float32(2 / error.size)
            for position in range(len(weights) - 1, -1, -1):
                weight, bias = weights[position]
                h = inputs.pop()
                g_weight, g_bias = h.T @ g, g.sum(axis=0)
                if position:
                    g = (g @ weight.T) * (h > 0)
                weight -= RATE * g_weight
                bias -= RATE * g_bias
            return numpy.mean(error * error)

        return step


class Minigrad:
    package = "minigrad"

    def __init__(self):
        import minigrad
        from minigrad import nn

        self.mg, self.nn = minigrad, nn

    def chain(self, size, length, tracked):
        mg = self.mg
        x, scale, shift = (mg.tensor(a) for a in chain_inputs(size))
        wanted = [x, scale, shift] if tracked else [x]
        for leaf in wanted:
            leaf.requires_grad_()

        def step():
            for leaf in wanted:
                leaf.grad = None
            chain_of(mg, x, scale, shift, length).sum().backward()
            return [leaf.grad for leaf in wanted]

        return step

    def network(self, width, layers, batch):
        mg = self.mg
        x, y, parameters = network_inputs(width, layers, batch)
        x, y = mg.tensor(x), mg.tensor(y)
        parameters = [mg.tensor(p.T, requires_grad=True) for p in parameters]
        weights = pairs(parameters)
        optimizer = self.nn.optim.SGD(parameters, lr=RATE)

        def step():
            h = x
            for weight, bias in weights[:-1]:
                h = mg.relu(mg.linear(h, weight, bias))
            loss = mg.mse_loss(mg.linear(h, *weights[-1]), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step


class MyGrad:
    package = "mygrad"

    def __init__(self):
        import mygrad
        from mygrad.nnet import relu

        self.mg, self.relu = mygrad, relu

    def chain(self, size, length, tracked):
        mg = self.mg
        x, scale, shift = chain_inputs(size)
        x = mg.tensor(x)
        scale, shift = (mg.tensor(a, constant=not tracked) for a in (scale, shift))
        wanted = [x, scale, shift] if tracked else [x]

        def step():
            chain_of(mg, x, scale, shift, length).sum().backward()
            return [leaf.grad for leaf in wanted]

        return step

    def network(self, width, layers, batch):
        mg, relu = self.mg, self.relu
        x, y, parameters = network_inputs(width, layers, batch)
        parameters = [mg.tensor(p) for p in parameters]
        weights = pairs(parameters)

        def step():
            h = x
            for weight, bias in weights[:-1]:
                h = relu(h @ weight + bias)
            weight, bias = weights[-1]
            loss = mg.mean(mg.square(h @ weight + bias - y))
            loss.backward()
            for p in parameters:
                p.data -= RATE * p.grad
            return loss

        return step


class Autograd:
    package = "autograd"

    def __init__(self):
        import autograd
        import autograd.numpy

        self.autograd, self.numpy = autograd, autograd.numpy

    def chain(self, size, length, tracked):
        x, scale, shift = chain_inputs(size)

        def total(x, scale, shift):
            return self.numpy.sum(chain_of(self.numpy, x, scale, shift, length))

        gradient = self.autograd.grad(total, (0, 1, 2) if tracked else (0,))
        return lambda: list(gradient(x, scale, shift))

    def network(self, width, layers, batch):
        np = self.numpy
        x, y, parameters = network_inputs(width, layers, batch)

        def mean_square(parameters):
            weights = pairs(parameters)
            h = x
            for weight, bias in weights[:-1]:
                h = np.maximum(h @ weight + bias, 0)
            weight, bias = weights[-1]
            return np.mean(np.square(h @ weight + bias - y))

        value_and_grad = self.autograd.value_and_grad(mean_square)

        def step():
            loss, gradients = value_and_grad(parameters)
            for p, g in zip(parameters, gradients, strict=True):
                p -= RATE * g
            return loss

        return step


class PyTorch:
    package = "torch"

    def __init__(self):
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    def chain(self, size, length, tracked):
        torch = self.torch
        x, scale, shift = (torch.tensor(a) for a in chain_inputs(size))
        wanted = [x, scale, shift] if tracked else [x]
        for leaf in wanted:
            leaf.requires_grad_()

        def step():
            for leaf in wanted:
                leaf.grad = None
            chain_of(torch, x, scale, shift, length).sum().backward()
            return [leaf.grad for leaf in wanted]

        return step

    def network(self, width, layers, batch):
        torch, functional = self.torch, self.torch.nn.functional
        x, y, parameters = network_inputs(width, layers, batch)
        x, y = torch.tensor(x), torch.tensor(y)
        parameters = [torch.tensor(p.T.copy(), requires_grad=True) for p in parameters]
        weights = pairs(parameters)
        optimiser = torch.optim.SGD(parameters, lr=RATE)

        def step():
            h = x
            for weight, bias in weights[:-1]:
                h = functional.relu(functional.linear(h, weight, bias))
            loss = functional.mse_loss(functional.linear(h, *weights[-1]), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return loss.detach()

        return step


PEERS = {
    "minigrad": Minigrad,
    "PyTorch": PyTorch,
    "HIPS autograd": Autograd,
    "MyGrad": MyGrad,
    "NumPy alone": NumPy,
}


def version(name):
    """Return the installed version of a peer's package, or None."""
    try:
        return importlib.metadata.version(PEERS[name].package)
    except importlib.metadata.PackageNotFoundError:
        return None


def as_numpy(result):
    """Return what a step returned, gradients or a loss, as NumPy arrays."""
    results = result if isinstance(result, list) else [result]
    return [numpy.asarray(r, dtype=numpy.float64) for r in results]

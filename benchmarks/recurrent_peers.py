"""The other libraries of the benchmark of the recurrent layers, as their users would call them.

Each class has a method ``build``. It takes a case, and returns a function that does the work once and
another that shows its result as NumPy arrays: the output and, after a training step, the gradients of
the input and of the parameters, in the order and the layout of PyTorch.
"""

import numpy
from recurrent_cases import CELLS, STEP


class PyTorch:
    """``torch.nn.LSTM`` and the like; ``torch.nn.LSTMCell`` and the like for single steps."""

    package = "torch"

    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch

    @classmethod
    def offers(cls, case):
        return case.cell in ("LSTM", "GRU", "RNN")

    def build(self, case):
        torch, single = self.torch, case.mode == STEP
        _, _, D, H = case.size
        x, parameters, gradient = case.inputs()
        layer = getattr(torch.nn, case.cell + ("Cell" if single else ""))(D, H)
        leaves = [getattr(layer, name + ("" if single else "_l0")) for name in parameters]
        with torch.no_grad():
            for leaf, value in zip(leaves, parameters.values(), strict=True):
                leaf.copy_(torch.tensor(value))
        x, gradient = torch.tensor(x), torch.tensor(gradient)
        if single:
            return self._stream(layer, x[0]), self.arrays
        return self.pass_through(case, lambda: layer(x)[0], x, leaves, gradient), self.arrays

    def _stream(self, layer, x):
        state = None

        @self.torch.inference_mode()
        def step():
            nonlocal state
            state = layer(x, state)
            return [state[0] if isinstance(state, tuple) else state]

        return step

    def pass_through(self, case, run, x, leaves, gradient):
        """Return inference or a training step of ``run()``."""
        if case.mode == "inference":
            return self.torch.inference_mode()(lambda: [run()])
        wanted = [x.requires_grad_(), *(leaf.requires_grad_() for leaf in leaves)]

        def training():
            for leaf in wanted:
                leaf.grad = None
            output = run()
            output.backward(gradient)
            return [output, *(leaf.grad for leaf in wanted)]

        return training

    def arrays(self, result):
        return [tensor.detach().numpy() for tensor in result]


class PyTorchLoop(PyTorch):
    """A cell in Python, called once for each time step; the product of the input is made before."""

    @classmethod
    def offers(cls, case):
        return CELLS[case.cell].formula is not None

    def build(self, case):
        torch, kind = self.torch, CELLS[case.cell]
        _, N, _, H = case.size
        x, parameters, gradient = case.inputs()
        x, gradient = torch.tensor(x), torch.tensor(gradient)
        leaves = [torch.tensor(value) for value in parameters.values()]
        linear, formula = torch.nn.functional.linear, kind.formula
        zeros = [torch.zeros(N, H) for _ in range(kind.states)]

        class Namespace:
            sigmoid, tanh, exp, abs = torch.sigmoid, torch.tanh, torch.exp, torch.abs

            @staticmethod
            def gates(array, parts):
                return array.chunk(parts, -1)

        def loop(x, weight_ih, weight_hh, bias_ih, bias_hh, states):
            outputs = []
            for from_x in linear(x, weight_ih, bias_ih):
                states = formula(Namespace, from_x, linear(states[0], weight_hh, bias_hh), *states)
                outputs.append(states[0])
            return torch.stack(outputs), states

        loop, states = self.compiled(loop), zeros
        if case.mode == STEP:

            @torch.inference_mode()
            def step():
                nonlocal states
                output, states = loop(x, *leaves, states)
                return [output]

            return step, self.arrays

        def run():
            return loop(x, *leaves, zeros)[0]

        return self.pass_through(case, run, x, leaves, gradient), self.arrays

    def compiled(self, loop):
        return loop


class PyTorchCompiled(PyTorchLoop):
    """The same loop, unrolled and compiled as a whole: that takes long, so for short sequences only."""

    longest = 28

    @classmethod
    def offers(cls, case):
        return super().offers(case) and case.mode != STEP and case.size[0] <= cls.longest

    def compiled(self, loop):
        import torch._dynamo
        import torch._inductor.config

        torch._dynamo.reset()
        torch._inductor.config.force_disable_caches = True  # to see how long it takes
        return torch.compile(loop, dynamic=False)


class JAX:
    """``lax.scan`` under ``jit``, the product of the input before it, weights as (in, out)."""

    package = "jax"

    def __init__(self, threads):
        import jax

        self.jax = jax

    @classmethod
    def offers(cls, case):
        return CELLS[case.cell].formula is not None

    def build(self, case):
        jax, np, kind = self.jax, self.jax.numpy, CELLS[case.cell]
        _, N, _, H = case.size
        x, parameters, gradient = case.inputs()
        weights = [np.asarray(value.T.copy()) for value in parameters.values()]
        x, gradient = np.asarray(x), np.asarray(gradient)
        start = (np.zeros((N, H), np.float32),) * kind.states

        class Namespace:
            sigmoid, tanh, exp, abs = jax.nn.sigmoid, np.tanh, np.exp, np.abs

            @staticmethod
            def gates(array, parts):
                return np.split(array, parts, -1)

        def network(x, weight_ih, weight_hh, bias_ih, bias_hh, states=start):
            def step(states, from_x):
                from_h = states[0] @ weight_hh + bias_hh
                states = kind.formula(Namespace, from_x, from_h, *states)
                return states, states[0]

            states, outputs = jax.lax.scan(step, states, x @ weight_ih + bias_ih)
            return outputs, states

        def inference(x, *weights):
            return [network(x, *weights)[0]]

        def training(x, gradient, *weights):
            (output,), back = jax.vjp(inference, x, *weights)
            return [output, *back([gradient])]

        def arrays(result):
            output, *gradients = (numpy.asarray(array) for array in result)
            return [output, *gradients[:1], *(array.T for array in gradients[1:])]

        if case.mode == STEP:
            return self._stream(jax.jit(network), x, weights, start), arrays
        given = (x, gradient, *weights) if case.mode == "training" else (x, *weights)
        work = jax.jit(training if case.mode == "training" else inference)
        return lambda: jax.block_until_ready(work(*given)), arrays

    def _stream(self, network, x, weights, state):
        def step():
            nonlocal state
            output, state = self.jax.block_until_ready(network(x, *weights, state))
            return [output]

        return step


class OnnxRuntime:
    """The recurrent operators of ONNX; inference only."""

    package = "onnxruntime"

    def __init__(self, threads):
        import onnx
        import onnxruntime

        self.onnx, self.onnxruntime, self.threads = onnx, onnxruntime, threads

    @classmethod
    def offers(cls, case):
        return case.mode != "training" and case.cell != "custom"

    def build(self, case):
        helper, real = self.onnx.helper, self.onnx.TensorProto.FLOAT
        T, N, D, H = case.size
        x, parameters, _ = case.inputs()
        kind = CELLS[case.cell]
        cell = case.cell.split()[0]
        order = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[cell]  # of the gates

        def gates(name):
            parts = numpy.split(parameters[name], kind.gates)
            return numpy.concatenate([parts[gate] for gate in order])

        constants = {
            "W": gates("weight_ih")[None],
            "R": gates("weight_hh")[None],
            "B": numpy.concatenate([gates("bias_ih"), gates("bias_hh")])[None],
        }
        states = ["h", "c"][: kind.states]
        options = {"linear_before_reset": int("before" not in case.cell)} if cell == "GRU" else {}
        shape = [1, N, H]
        node = helper.make_node(
            cell,
            ["x", *constants, "", *states],
            ["y", *(f"new_{state}" for state in states)],
            hidden_size=H,
            **options,
        )
        graph = helper.make_graph(
            [node],
            "layer",
            [
                helper.make_tensor_value_info("x", real, [T, N, D]),
                *(helper.make_tensor_value_info(state, real, shape) for state in states),
            ],
            [
                helper.make_tensor_value_info("y", real, [T, 1, N, H]),
                *(helper.make_tensor_value_info(f"new_{state}", real, shape) for state in states),
            ],
            [self.onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        settings = self.onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = self.threads, 1
        session = self.onnxruntime.InferenceSession(model.SerializeToString(), settings)
        given = {"x": x} | {state: numpy.zeros(shape, numpy.float32) for state in states}

        def work():
            output, *new = session.run(None, given)
            if case.mode == STEP:
                given.update(zip(states, new, strict=True))
            return [output]

        return work, lambda result: [result[0][:, 0]]


class MyGrad:
    """``mygrad.nnet.layers.gru``, which is compiled by Numba."""

    package = "mygrad"

    def __init__(self, threads):
        import mygrad
        from mygrad.nnet.layers import gru

        self.mygrad, self.gru = mygrad, gru

    @classmethod
    def offers(cls, case):
        return case.cell == "GRU reset before" and case.mode != STEP

    def build(self, case):
        mg = self.mygrad
        x, parameters, gradient = case.inputs()
        parameters["bias_ih"] += parameters.pop("bias_hh")  # it has one
        gates = {name: numpy.split(value, 3) for name, value in parameters.items()}
        order = [1, 0, 2]  # theirs is z, r, n
        leaves = [mg.tensor(gates[name][gate].T.copy()) for gate in order for name in parameters]
        x = mg.tensor(x)
        gradient = numpy.concatenate([numpy.zeros_like(gradient[:1]), gradient])

        def inference():
            with mg.no_autodiff:
                return [self.gru(x, *leaves, constant=True).data]

        def training():
            for leaf in (x, *leaves):
                leaf.null_grad()
            output = self.gru(x, *leaves)
            output.backward(gradient)
            return [output.data, x.grad, *(leaf.grad for leaf in leaves)]

        def arrays(result):
            output, *gradients = result
            if not gradients:
                return [output[1:]]
            by_gate = [gradients[1 + 3 * order.index(gate) :][:3] for gate in range(3)]
            joined = [numpy.concatenate([part.T for part in p]) for p in zip(*by_gate, strict=True)]
            return [output[1:], gradients[0], *joined, joined[-1]]

        return (training if case.mode == "training" else inference), arrays


PEERS = {
    "PyTorch": PyTorch,
    "PyTorch loop": PyTorchLoop,
    "PyTorch compiled loop": PyTorchCompiled,
    "JAX": JAX,
    "onnxruntime": OnnxRuntime,
    "MyGrad": MyGrad,
}

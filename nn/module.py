"""The base of all layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, Self, TypeVar

from minigrad import memory
from minigrad.backends import parse_device
from minigrad.checks import check_flag
from minigrad.creation import zeros_like
from minigrad.dtypes import as_dtype, is_floating
from minigrad.errors import ArgumentError, DtypeError, GradientError, suggestion
from minigrad.lock import lock
from minigrad.nn.backward_hooks import Hook
from minigrad.nn.constructors import explain_arguments, explain_call, explained
from minigrad.nn.hooks import ModuleHooks, add_hook
from minigrad.nn.parameter import Buffer, Parameter
from minigrad.nn.state import IncompatibleKeys, copying, load
from minigrad.operators import destination
from minigrad.tensor import HookHandle, Tensor

_T = TypeVar("_T", bound=Tensor)


class Module:
    """A layer: parameters, buffers and other layers as attributes, and a method ``forward``.

    What is assigned to an attribute belongs to the module; ``super().__init__()`` need not be called.
    Lists, tuples and dicts are followed: ``self.layers = [a, b]`` has the names "layers.0" and
    "layers.1", as a `ModuleList` has. What is also an attribute of its own is named by that alone.
    Calling the module calls ``forward``, with the hooks around it. The layers of this package take what
    ops take: tensors, and arrays of NumPy or CuPy, which are constants.

    Attributes
    ----------
    training : bool
        Whether the module is being trained; see `train` and `eval`.

    Examples
    --------
    >>> class Scale(nn.Module):
    ...     def __init__(self, size):
    ...         self.factor = nn.Parameter(mg.ones(size))
    ...     def forward(self, input):
    ...         return self.factor * input
    >>> [name for name, _ in Scale(3).named_parameters()]
    ['factor']
    """

    training: bool = True
    _hooks: ModuleHooks | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        explain_arguments(cls)
        for name, value in vars(cls).items():
            if isinstance(value, (Parameter, Buffer)):
                raise ArgumentError(
                    f"{cls.__name__}.{name} is a {type(value).__name__} of the class, which belongs to "
                    "no module and would not be trained; assign it to self in __init__"
                )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result of the layer; every layer defines its own.

        Parameters
        ----------
        *args : Any
            What the layer is called with.
        **kwargs : Any
            Likewise, by name.

        Returns
        -------
        Any
            The result.

        Raises
        ------
        NotImplementedError
            If the layer defines none.
        """
        own = [name for name in _public(self) if not hasattr(Module, name)]
        raise NotImplementedError(
            f"{type(self).__name__} has no method forward; define it{suggestion('forward', own)}"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except TypeError:  # Python would name the base, perhaps a private one, that defines forward
            explain_call(self, args, kwargs)
            raise

    # attributes

    if not TYPE_CHECKING:  # so that type checkers, too, notice unknown attributes

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that raised AttributeError: raise that one
                return object.__getattribute__(self, name)
            hint = "" if name.startswith("__") else suggestion(name, _public(self))
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    def __setattr__(self, name: str, value: Any) -> None:
        present = vars(self).get(name)
        if isinstance(present, Buffer) and type(value) is Tensor:
            value = self._kept(name, present, value)
        for kind in (Parameter, Module):
            if isinstance(present, kind) and value is not None and not isinstance(value, kind):
                way = f" or write {name}.copy_(value)" if kind is Parameter else ""
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is a {kind.__name__} and would be lost by assigning "
                    f"a {type(value).__name__}; assign a {kind.__name__}{way}, or delete it first"
                )
        object.__setattr__(self, name, value)

    def _kept(self, name: str, present: Buffer, value: Tensor) -> Buffer:
        if value.requires_grad:
            raise GradientError(
                f"{type(self).__name__}.{name} is a Buffer and cannot hold a tensor that requires a "
                "gradient, which would be lost; assign value.detach()"
            )
        return Buffer(value, persistent=present.persistent)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Assign a `Buffer` with the content of ``tensor`` (None: nothing yet) by name.

        Parameters
        ----------
        name : str
            The name of the attribute.
        tensor : array_like or None
            The values, of any shape.
        persistent : bool
            Whether ``state_dict`` has it.

        Raises
        ------
        ArgumentError
            If the name is empty or has a dot.
        """
        check_name("register_buffer", name)
        setattr(self, name, None if tensor is None else Buffer(tensor, persistent=persistent))

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Assign a parameter by name; None stands for "there is none".

        Parameters
        ----------
        name : str
            The name of the attribute.
        param : Parameter or None
            The parameter.

        Raises
        ------
        ArgumentError
            If the name is empty or has a dot, or ``param`` is something else.
        """
        self._register("register_parameter", Parameter, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign a module by name; None stands for "there is none".

        Parameters
        ----------
        name : str
            The name of the attribute.
        module : Module or None
            The module.

        Raises
        ------
        ArgumentError
            If the name is empty or has a dot, or ``module`` is something else.
        """
        self._register("add_module", Module, name, module)

    def _register(self, doing: str, kind: type, name: str, value: Any) -> None:
        check_name(doing, name)
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(
                f"{doing}: {name!r} must be a {kind.__name__} or None, not {describe(value)}"
            )
        setattr(self, name, value)

    # what it is made of

    def _members(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters, buffers and modules right inside this one, with their names."""
        attributes = tuple(vars(self).items())  # a loop over modules may set attributes
        named: set[int] | None = None
        for name, value in attributes:
            if type(value) in _PLAIN:
                continue
            if isinstance(value, _MEMBERS):
                yield name, value
            elif isinstance(value, (list, tuple, dict)) and not _holds_nothing(value):
                for inner, member in _followed(value, name, ()):
                    if named is None:
                        named = {id(value) for _, value in attributes}
                    if id(member) not in named:
                        yield inner, member

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and those inside, with their names: "", "lstm", "layers.0".

        Parameters
        ----------
        prefix : str
            What the names begin with.
        remove_duplicate : bool
            Whether a module that is at several places is yielded once only.

        Returns
        -------
        iterator of (str, Module)
            This module first, then depth first.

        Raises
        ------
        ArgumentError
            If a module contains itself.
        """
        seen: set[int] | None = set() if remove_duplicate else None
        return ((name, module) for name, module, _ in _walk(self, prefix, seen, ()))

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield this module and those inside; see `named_modules`.

        Parameters
        ----------
        remove_duplicate : bool
            Whether what is at several places is yielded once only.

        Returns
        -------
        iterator of Module
            This module first, then depth first.
        """
        return (module for _, module in self.named_modules("", remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules right inside this one, each once, with their names.

        Returns
        -------
        iterator of (str, Module)
            In the order of assignment.
        """
        return _once((name, m) for name, m in self._members() if isinstance(m, Module))

    def children(self) -> Iterator[Module]:
        """Yield the modules right inside this one, each once.

        Returns
        -------
        iterator of Module
            In the order of assignment.
        """
        return (module for _, module in self.named_children())

    def _named(
        self, kind: type[_T], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, _T]]:
        seen: set[int] | None = set() if remove_duplicate else None
        walk = _walk(self, prefix, seen, ()) if recurse else [(prefix, self, self._members())]
        found = (
            (_joined(place, name), member)
            for place, _, members in walk
            for name, member in members
            if isinstance(member, kind)
        )
        return _once(found) if remove_duplicate else found

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their names: "weight", "layers.0.bias".

        Parameters
        ----------
        prefix : str
            What the names begin with.
        recurse : bool
            Whether those of the modules inside are yielded, too.
        remove_duplicate : bool
            Whether a parameter that is at several places is yielded once only.

        Returns
        -------
        iterator of (str, Parameter)
            In the order of assignment, this module's own first.
        """
        return self._named(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, a shared one only once; frozen ones, too.

        Parameters
        ----------
        recurse : bool
            Whether those of the modules inside are yielded, too.

        Returns
        -------
        iterator of Parameter
            In the order of assignment, this module's own first.
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """Yield the buffers with their names; see `named_parameters`.

        Parameters
        ----------
        prefix : str
            What the names begin with.
        recurse : bool
            Whether those of the modules inside are yielded, too.
        remove_duplicate : bool
            Whether what is at several places is yielded once only.

        Returns
        -------
        iterator of (str, Buffer)
            In the order of assignment, this module's own first.
        """
        return self._named(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Yield the buffers, a shared one only once.

        Parameters
        ----------
        recurse : bool
            Whether those of the modules inside are yielded, too.

        Returns
        -------
        iterator of Buffer
            In the order of assignment, this module's own first.
        """
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """Return the module with this name; "" is the module itself.

        Parameters
        ----------
        target : str
            The name, for instance "layers.0".

        Returns
        -------
        Module
            The one with this name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        return _found(self, "module", target, self.named_modules(remove_duplicate=False))

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter with this name.

        Parameters
        ----------
        target : str
            The name, for instance "layers.0.weight".

        Returns
        -------
        Parameter
            The one with this name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        return _found(self, "parameter", target, self.named_parameters(remove_duplicate=False))

    def get_buffer(self, target: str) -> Buffer:
        """Return the buffer with this name.

        Parameters
        ----------
        target : str
            The name, for instance "layers.0.mean".

        Returns
        -------
        Buffer
            The one with this name.

        Raises
        ------
        AttributeError
            If there is none.
        """
        return _found(self, "buffer", target, self.named_buffers(remove_duplicate=False))

    # weights in and out

    def _places(self) -> dict[str, Tensor]:
        """Return each parameter and persistent buffer under every name it has, in PyTorch's order."""
        places: dict[str, Tensor] = {}
        for prefix, module in self.named_modules(remove_duplicate=False):
            own = list(module._members())
            for kind in (Parameter, Buffer):
                for name, member in own:
                    if isinstance(member, kind) and getattr(member, "persistent", True):
                        key = _joined(prefix, name)
                        if key in places:
                            raise ArgumentError(
                                f"{type(self).__name__} has two tensors named {key!r}, and one would be "
                                "lost in the state; rename the attribute or the key in a dict"
                            )
                        places[key] = member
        return places

    @explained
    def state_dict(
        self, *, prefix: str = "", arrays: bool | Callable[[Tensor], Any] = False
    ) -> dict[str, Any]:
        """Return a copy of each parameter and persistent buffer by name.

        Training goes on without changing it. What is shared is there under each of its names.

        Parameters
        ----------
        prefix : str
            What the names begin with, for instance "encoder.".
        arrays : bool or callable
            Whether the copies are NumPy arrays instead of tensors; or what makes them of tensors:
            ``arrays=torch.from_dlpack`` gives what a PyTorch module loads.

        Returns
        -------
        dict
            From names to tensors or arrays, of the shapes of what they are copies of.

        Raises
        ------
        ArgumentError
            If two tensors have the same name, or an option has another type.
        """
        if not isinstance(prefix, str):
            raise ArgumentError(f"state_dict: prefix must be a str, not {prefix!r}")
        copied = copying("state_dict", arrays)
        return {prefix + name: copied(place) for name, place in self._places().items()}

    @explained
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Write tensors or arrays into the parameters and buffers of the same names.

        They are converted to the dtype and moved to the device of what they are written into.

        Parameters
        ----------
        state_dict : mapping
            From the names that `state_dict` gives to tensors or arrays, of NumPy or PyTorch for
            instance.
        strict : bool
            Whether missing and unknown names are an error.

        Returns
        -------
        IncompatibleKeys
            The names that are missing in ``state_dict``, and those that this module does not have.

        Raises
        ------
        ArgumentError
            If names are missing or unknown, or a value is no array, has another shape, or numbers that
            the dtype cannot hold. The message lists all of it, and nothing has changed.
        """
        return load(type(self).__name__, self._places(), state_dict, strict)

    # modes

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` here and in all modules inside, and return this module.

        Parameters
        ----------
        mode : bool
            Whether the module is being trained.

        Returns
        -------
        Self
            This module.

        Raises
        ------
        ArgumentError
            If ``mode`` is not a bool.
        """
        mode = check_flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set ``training`` to False here and in all modules inside, and return this module.

        Returns
        -------
        Self
            This module.
        """
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters are trained, and return this module; False freezes it.

        Parameters
        ----------
        requires_grad : bool
            Whether the parameters get gradients.

        Returns
        -------
        Self
            This module.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or replace them by zeros.

        Parameters
        ----------
        set_to_none : bool
            Whether they become None, not zeros.
        """
        for _, _, members in _walk(self, "", set(), ()):
            for _, member in members:
                if isinstance(member, Parameter) and member.grad is not None:
                    member.grad = None if set_to_none else zeros_like(member.grad)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module inside, then on this one, and return this module.

        A module that is at several places is given to ``fn`` once.

        Parameters
        ----------
        fn : callable
            Takes a module.

        Returns
        -------
        Self
            This module.
        """
        for _, module, _ in _walk(self, "", set(), (), children_first=True):
            fn(module)
        return self

    # moving and converting

    @explained
    def to(self, *targets: Any, device: str | None = None, dtype: Any = None) -> Self:
        """Move all parameters and buffers to a device, convert them to a dtype, or both; in place.

        The parameters stay the same objects, so that optimisers go on with them. Gradients go along.
        A backward pass through what was computed before is refused.

        Parameters
        ----------
        *targets : str, dtype or Tensor
            A device, a dtype, both, or a tensor of any shape that has both.
        device : str, optional
            "cpu", "cuda" or "cuda:N".
        dtype : dtype or str, optional
            Floating-point; tensors of integers keep theirs.

        Returns
        -------
        Self
            This module.

        Raises
        ------
        ArgumentError
            If a target is neither a device nor a dtype.
        DtypeError
            If ``dtype`` is not floating-point.
        BackendError
            If there is no such device. Nothing has changed then.
        """
        if device is not None:
            parse_device(device)
        dtype = None if dtype is None else as_dtype(dtype)
        for target in targets:
            wanted_device, wanted_dtype = destination(target)
            device, dtype = wanted_device or device, wanted_dtype or dtype
        if dtype is not None and not is_floating(dtype):
            raise DtypeError(
                f"{type(self).__name__}.to: parameters need a floating-point dtype, not {dtype}"
            )
        tensors: list[Tensor] = [*self.parameters(), *self.buffers()]
        converted = [
            (
                _converted(t, device, dtype),
                None if t.grad is None else _converted(t.grad, device, dtype),
            )
            for t in tensors
        ]
        for t, (content, grad) in zip(tensors, converted, strict=True):
            if content._array is not t._array:
                with memory.writing(t._array):  # a pending backward pass has the old content
                    t._array = content._array
            t.grad = grad
        return self

    def float(self) -> Self:
        """Convert the floating-point parameters and buffers to float32, in place.

        Returns
        -------
        Self
            This module.
        """
        return self.to("float32")

    def double(self) -> Self:
        """Convert the floating-point parameters and buffers to float64, in place.

        Returns
        -------
        Self
            This module.
        """
        return self.to("float64")

    def half(self) -> Self:
        """Convert the floating-point parameters and buffers to float16, in place.

        Returns
        -------
        Self
            This module.
        """
        return self.to("float16")

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU, in place.

        Returns
        -------
        Self
            This module.
        """
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """Move all parameters and buffers to a GPU, in place.

        Parameters
        ----------
        device : int, optional
            Which GPU, from 0 on; by default the first.

        Returns
        -------
        Self
            This module.

        Raises
        ------
        BackendError
            If there is no such device.
        """
        return self.to("cuda" if device is None else f"cuda:{device}")

    # hooks

    @explained
    def register_forward_pre_hook(self, hook: Hook, *, with_kwargs: bool = False) -> HookHandle:
        """Call ``hook(module, args)`` before each ``forward``.

        Parameters
        ----------
        hook : callable
            What it returns replaces the arguments, unless it is None: a tuple, or a single value.
        with_kwargs : bool
            Call ``hook(module, args, kwargs)``; what it returns is None or a pair (args, kwargs).

        Returns
        -------
        HookHandle
            Its method ``remove`` ends it.

        Raises
        ------
        ArgumentError
            If ``hook`` cannot be called; at the call, if it returns something else.
        """
        return add_hook(self._own_hooks().before, hook, with_kwargs)

    @explained
    def register_forward_hook(self, hook: Hook, *, with_kwargs: bool = False) -> HookHandle:
        """Call ``hook(module, args, output)`` after each ``forward``.

        Parameters
        ----------
        hook : callable
            What it returns replaces the output, unless it is None.
        with_kwargs : bool
            Call ``hook(module, args, kwargs, output)``.

        Returns
        -------
        HookHandle
            Its method ``remove`` ends it.

        Raises
        ------
        ArgumentError
            If ``hook`` cannot be called.
        """
        return add_hook(self._own_hooks().after, hook, with_kwargs)

    @explained
    def register_full_backward_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` in each backward pass through this module.

        Parameters
        ----------
        hook : callable
            ``grad_input`` and ``grad_output`` are tuples with the gradients with respect to the
            positional arguments and to the output (or outputs); None where there is none. What it
            returns replaces ``grad_input``, unless it is None.

        Returns
        -------
        HookHandle
            Its method ``remove`` ends it.

        Raises
        ------
        ArgumentError
            If ``hook`` cannot be called.
        ArgumentError, TypeError, GradientError, DtypeError, BackendError
            In the backward pass, if it returns anything but a gradient of the same shape, dtype and
            device for each argument that has one.
        """
        return add_hook(self._own_hooks().backward, hook)

    def _own_hooks(self) -> ModuleHooks:
        with lock:
            if self._hooks is None:
                self._hooks = ModuleHooks()
            return self._hooks

    # for people

    def extra_repr(self) -> str:
        """Return what stands in the parentheses of this layer's repr.

        Returns
        -------
        str
            The options, for instance "in_features=3, out_features=2".
        """
        return ""

    def _inner_reprs(self) -> Iterator[str]:
        """Yield the text of each module inside."""
        return (f"({name}): {m!r}" for name, m in self._members() if isinstance(m, Module))

    @recursive_repr("...")
    def __repr__(self) -> str:
        extra = self.extra_repr()
        inside = [text.replace("\n", "\n  ") for text in self._inner_reprs()]
        if not inside and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        lines = chain(extra.splitlines(), inside)
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


_MEMBERS = (Parameter, Buffer, Module)
_PLAIN = frozenset({str, int, float, bool, type(None)})  # what holds no members


def _followed(value: Any, name: str, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the members in lists, tuples and dicts, with their names."""
    if isinstance(value, _MEMBERS):
        yield name, value
    elif isinstance(value, (list, tuple, dict)) and id(value) not in above:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if type(item) not in _PLAIN:
                yield from _followed(item, f"{name}.{key}", (*above, id(value)))


def _holds_nothing(value: Any) -> bool:
    """Say whether all that a list, tuple or dict holds is plain. A quick check that often holds."""
    return _PLAIN.issuperset(map(type, value.values() if isinstance(value, dict) else value))


def _walk(
    module: Module,
    name: str,
    seen: set[int] | None,
    above: tuple[Module, ...],
    children_first: bool = False,
) -> Iterator[tuple[str, Module, list[tuple[str, Any]]]]:
    """Yield modules with their names and their members."""
    if any(module is outer for outer in above):
        raise ArgumentError(
            f"{type(above[0]).__name__}: the {type(module).__name__} at {name!r} contains itself; "
            "keep the outer module in a weakref.ref, or pass it to the method that needs it"
        )
    if seen is not None:
        if id(module) in seen:
            return
        seen.add(id(module))
    members = list(module._members())
    if not children_first:
        yield name, module, members
    for inner, member in members:
        if isinstance(member, Module):
            place = _joined(name, inner)
            yield from _walk(member, place, seen, (*above, module), children_first)
    if children_first:
        yield name, module, members


def _public(module: Module) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_")]


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


_M = TypeVar("_M")


def _once(named: Iterator[tuple[str, _M]]) -> Iterator[tuple[str, _M]]:
    seen: set[int] = set()
    for name, member in named:
        if id(member) not in seen:
            seen.add(id(member))
            yield name, member


def _found(owner: Module, kind: str, target: str, named: Iterator[tuple[str, _M]]) -> _M:
    known = dict(named)
    if target not in known:
        raise AttributeError(
            f"{type(owner).__name__} has no {kind} {target!r}{suggestion(target, known)}"
        )
    return known[target]


def _converted(t: Tensor, device: str | None, dtype: Any) -> Tensor:
    """Return ``t`` on ``device`` and, if it is floating-point, with ``dtype``; itself if it is so."""
    moved = t.detach().to(device).to(dtype if is_floating(t.dtype) else None)
    return t if moved._array is t._array else moved


def check_name(doing: str, name: Any) -> None:
    """Refuse a name that cannot be part of a name in a state.

    Raises
    ------
    ArgumentError
    """
    if not isinstance(name, str) or not name or "." in name:
        raise ArgumentError(
            f"{doing}: a name must be a string, not empty and without a dot, but is {name!r}"
        )


def describe(value: Any) -> str:
    """Say what ``value`` is, where a module or a parameter was expected."""
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    return f"a {type(value).__name__}"

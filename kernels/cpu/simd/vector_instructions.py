"""LLVM instructions on whole vector registers, for the kernels that are written in them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from minigrad.kernels.cpu.simd.instruction_set import vector_bytes

INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)
_BOOL = ir.IntType(1)
_SIZES = {ir.FloatType(): 4, ir.DoubleType(): 8}


class VectorBuilder:
    """An instruction builder that knows the vector of one element type.

    Attributes
    ----------
    builder : llvmlite.ir.IRBuilder
    real, type : llvmlite.ir.Type
        Of one element and of a vector.
    size : int
        The bytes of an element.
    lanes : int
        The elements of a vector.
    """

    def __init__(self, builder: Any, real: Any) -> None:
        self.builder = builder
        self.real = real
        self.size = _SIZES[real]
        self.lanes = vector_bytes() // self.size
        self.type = ir.VectorType(self.real, self.lanes)
        self._mask = ir.VectorType(_BOOL, self.lanes)
        self._suffix = f"v{self.lanes}f{8 * self.size}"

    @property
    def zero(self) -> Any:
        """A vector of zeros."""
        return ir.Constant(self.type, None)

    def pointer(self, address: Any) -> Any:
        """Turn an integer into a pointer."""
        return self.builder.inttoptr(address, ir.PointerType())

    def at(self, pointer: Any, offset: Any) -> Any:
        """Return ``pointer`` moved by ``offset`` elements."""
        return self.builder.gep(pointer, [offset], source_etype=self.real)

    def rows(self, pointer: Any, stride: Any, count: int) -> list[Any]:
        """Return pointers to ``count`` rows that lie ``stride`` elements apart."""
        pointers = [pointer]
        while len(pointers) < count:
            pointers.append(self.at(pointers[-1], stride))
        return pointers

    def splat(self, value: Any) -> Any:
        """Return a vector of equal elements."""
        return self._splat(value, self.type)

    def _splat(self, value: Any, kind: Any) -> Any:
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, _INT32(0))
        places = ir.Constant(ir.VectorType(_INT32, self.lanes), None)
        return self.builder.shuffle_vector(first, undefined, places)

    def load(self, pointer: Any, mask: Any = None) -> Any:
        """Load a vector; where ``mask`` is off, no memory is touched and the element is zero."""
        if mask is None:
            return self.builder.load(pointer, typ=self.type, align=self.size)
        kind = ir.FunctionType(self.type, [ir.PointerType(), _INT32, self._mask, self.type])
        function = self._intrinsic(f"llvm.masked.load.{self._suffix}.p0", kind)
        return self.builder.call(function, [pointer, _INT32(self.size), mask, self.zero])

    def load_row(self, pointer: Any, vectors: int) -> list[Any]:
        """Load ``vectors`` vectors that lie side by side."""
        return [self.load(self.at(pointer, INT64(i * self.lanes))) for i in range(vectors)]

    def store(self, value: Any, pointer: Any, mask: Any = None) -> None:
        """Store a vector; where ``mask`` is off, no memory is touched."""
        if mask is None:
            self.builder.store(value, pointer, align=self.size)
            return
        kind = ir.FunctionType(ir.VoidType(), [self.type, ir.PointerType(), _INT32, self._mask])
        function = self._intrinsic(f"llvm.masked.store.{self._suffix}.p0", kind)
        self.builder.call(function, [value, pointer, _INT32(self.size), mask])

    def first(self, count: Any) -> Any:
        """Return a mask of the first ``count`` elements."""
        kind = ir.VectorType(INT64, self.lanes)
        numbers = ir.Constant(kind, list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, self._splat(count, kind))

    def all_or_none(self, condition: Any) -> Any:
        """Return a mask that is ``condition`` everywhere."""
        return self._splat(condition, self._mask)

    def choose(self, *sources: tuple[Any, Any]) -> Any:
        """Return the vector that belongs to the block that the program comes from."""
        value = self.builder.phi(self.type)
        for source, block in sources:
            value.add_incoming(source, block)
        return value

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """Return x * y + z, in one rounding where the CPU can."""
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return self.builder.call(self._intrinsic(f"llvm.fmuladd.{self._suffix}", kind), [x, y, z])

    def pick(self, x: Any, y: Any, places: list[int]) -> Any:
        """Return the elements of x, and after them of y, at ``places``."""
        kind = ir.VectorType(_INT32, self.lanes)
        return self.builder.shuffle_vector(x, y, ir.Constant(kind, places))

    def _intrinsic(self, name: str, kind: Any) -> Any:
        return cgutils.get_or_insert_function(self.builder.module, kind, name)

"""What numba has no word for: parts of an array without tests of their bounds, a BLAS by name, bits, LLVM's root.

Slices and negative indices are what makes numba's array code slow to compile and keeps its loops from becoming
vectors. `part` is a view whose bounds nobody tests: the caller knows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numbas_intrinsic
from numba.np.arrayobj import make_array, populate_array

from bench.numerics.kernels.blas import SYMBOLS

Generated = tuple[Any, Callable[..., Any]]


def intrinsic(function: Callable[..., Generated]) -> Any:
    """A word for kernels that LLVM's own instructions are generated for."""
    return numbas_intrinsic(function)


def _view(kind: Any) -> Callable[..., Any]:
    """What generates a view of an array, from a place on, as an array of that kind."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole, view = make_array(signature.args[0])(context, builder, args[0]), make_array(kind)(context, builder)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        data = builder.bitcast(builder.gep(whole.data, [args[1]]), view.data.type)
        populate_array(view, data=data, shape=[args[2]], strides=[itemsize], itemsize=itemsize, meminfo=None)
        return view._getvalue()

    return generate


@intrinsic
def part(typingctx: Any, array: Any, start: Any, count: Any) -> Generated:
    """``array[start : start + count]`` of one dimension, untested; the array must live on."""
    kind = types.Array(array.dtype, 1, "C")
    return kind(array, types.intp, types.intp), _view(kind)


@intrinsic
def bits(typingctx: Any, array: Any, start: Any, count: Any) -> Generated:
    """The bits of a `part`, as whole numbers."""
    kind = types.Array(types.int32 if array.dtype == types.float32 else types.int64, 1, "C")
    return kind(array, types.intp, types.intp), _view(kind)


@intrinsic
def gemm(
    typingctx: Any, a: Any, a_at: Any, a_turned: Any, lda: Any, b: Any, b_at: Any, b_turned: Any, ldb: Any,
    c: Any, c_at: Any, ldc: Any, m: Any, n: Any, k: Any, more: Any,
) -> Generated:  # fmt: skip
    """C[m, n] = op(A)[m, k] op(B)[k, n], or += where ``more``; matrices lie in rows, ``ld`` apart, from ``at`` on.

    op turns (transposes) where its flag is set. Fortran's matrices lie in columns: it is asked for C' = op(B)' op(A)'.
    """
    whole, flag = types.intp, types.boolean
    signature = types.void(a, whole, flag, whole, b, whole, flag, whole, c, whole, whole, whole, whole, whole, flag)
    kind = c.dtype

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.get_data_type(kind)
        word, byte = ir.IntType(32), ir.IntType(8)

        def pointer(which: int) -> Any:
            array = make_array(signature.args[which])(context, builder, args[which])
            return builder.bitcast(builder.gep(array.data, [args[which + 1]]), byte.as_pointer())

        def stored(value: Any, of: Any) -> Any:
            place = cgutils.alloca_once(builder, of)
            builder.store(value, place)
            return builder.bitcast(place, byte.as_pointer())

        def length(which: int) -> Any:
            return stored(builder.trunc(args[which], word), word)

        def turned(which: int) -> Any:
            yes = builder.icmp_unsigned("!=", args[which], args[which].type(0))
            return stored(builder.select(yes, byte(ord("T")), byte(ord("N"))), byte)

        adds = builder.icmp_unsigned("!=", args[14], args[14].type(0))
        beta = builder.select(adds, number(1.0), number(0.0))
        arguments = [
            turned(6), turned(2), length(12), length(11), length(13), stored(number(1.0), number),
            pointer(4), length(7), pointer(0), length(3), stored(beta, number), pointer(8), length(10),
        ]  # fmt: skip
        called = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * len(arguments))
        function = cgutils.get_or_insert_function(builder.module, called, SYMBOLS[str(kind)])
        builder.call(function, arguments)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def from_bits(typingctx: Any, bits: Any) -> Generated:
    """int32 -> the float32 with these bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@intrinsic
def root(typingctx: Any, x: Any) -> Generated:
    """The square root as LLVM's own, of which a loop can become vectors."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [args[0].type]), [args[0]])

    return x(x), generate

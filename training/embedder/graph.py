"""The model as an ONNX graph, written node by node.

No exporter is involved, so the same weights give the same bytes with any installed version.
Pooling and L2 normalization are inside: `input_ids` and `attention_mask` (int64, batch x length)
in, `embedding` (float32, batch x 384, unit length) out.

`Plan` says which of the float32 tensors are stored in 8 bits and which operators multiply them.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.embedder.source import Array

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12
INTEGERS = 4  # MatMulNBits' accuracy_level at which it multiplies int8 by int8
OPSET, CONTRIB, IR = 17, 1, 8  # old enough for any ONNX Runtime of the last years

OF_ONNX_RUNTIME = {
    "MultiHeadAttention",
    "Gelu",
    "MatMulNBits",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
    "BiasGelu",
}

Product = Literal["float", "rows", "blocks", "dynamic"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The storage and the multiplication of the matrices.

    `product` is how most matrices are multiplied: `float`; `blocks` (MatMulNBits: weights and
    activations in 8 bits, one scale for every `block` values of each); `rows` (one scale per
    output channel of the weights and per token of the activations); `dynamic`
    (DynamicQuantizeMatMul: one scale per output channel and one for a whole activation tensor, so
    that a text's embedding depends on the texts beside it in the batch).
    """

    product: Product = "float"
    block: int = 32
    weight_type: Literal["int8", "uint8"] = "int8"
    reduce_range: bool = False
    embeddings_in_8_bits: bool = False
    block_products: tuple[str, ...] = ()  # name endings multiplied as `blocks` among `rows`
    float_products: tuple[str, ...] = ()  # name endings left in float32, such as "5.output"
    fused: bool = True  # ONNX Runtime's own operators for attention and GELU

    def keeps_float(self, name: str) -> bool:
        return self.product == "float" or name.endswith(self.float_products or ("\0",))


class Graph:
    """Collects nodes and initializers; every value has a readable name."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, array: Array | np.generic) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        domain = "com.microsoft" if kind in OF_ONNX_RUNTIME else ""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def split(self, value: str, outputs: list[str]) -> list[str]:
        self.nodes.append(
            helper.make_node("Split", [value], outputs, name=f"{value}.split", axis=2)
        )
        return outputs

    def product(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """Add `value @ weight + bias`, with the weight (inputs x outputs) stored by the plan."""
        plan = self.plan
        if plan.keeps_float(name):
            out = self.node(
                "MatMul", [value, self.constant(f"{name}.weight", weight)], f"{name}.product"
            )
            return self.node("Add", [out, self.constant(f"{name}.bias", bias)], f"{name}.sum")
        if plan.product == "rows" and not name.endswith(plan.block_products or ("\0",)):
            return self.by_rows(value, name, weight, bias)
        if plan.product in ("blocks", "rows"):
            codes, scales = in_blocks(weight, plan.block)
            inputs = [
                value,
                self.constant(f"{name}.codes", codes),
                self.constant(f"{name}.scales", scales),
            ]
            inputs += ["", "", self.constant(f"{name}.bias", bias)]
            return self.node(
                "MatMulNBits",
                inputs,
                f"{name}.sum",
                K=weight.shape[0],
                N=weight.shape[1],
                bits=8,
                block_size=plan.block,
                accuracy_level=INTEGERS,
            )
        codes, scales, zeros = by_channel(weight, plan.weight_type, plan.reduce_range)
        inputs = [
            value,
            self.constant(f"{name}.codes", codes),
            self.constant(f"{name}.scales", scales),
            self.constant(f"{name}.zeros", zeros),
        ]
        inputs.append(self.constant(f"{name}.bias", bias))
        return self.node("DynamicQuantizeMatMul", inputs, f"{name}.sum")

    def by_rows(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """Add a product with one scale for every token of the activations."""
        scale, codes = self.codes_by_token(value)
        parts, scales, _ = by_channel(weight, "int8", self.plan.reduce_range)
        inputs = [
            codes,
            self.constant(f"{name}.codes", parts),
            "tokens.unit",
            self.constant(f"{name}.scales", scales),
            "tokens.middle",
        ]
        out = self.node("MatMulIntegerToFloat", inputs, f"{name}.product")
        out = self.node("Mul", [out, scale], f"{name}.scaled")
        return self.node("Add", [out, self.constant(f"{name}.bias", bias)], f"{name}.sum")

    def codes_by_token(self, value: str) -> tuple[str, str]:
        """Add scales (tokens x 1) and codes (uint8 around 128) of activations (tokens x width)."""
        sizes = self.node("Abs", [value], f"{value}.sizes")
        largest = self.node("ReduceMax", [sizes], f"{value}.largest", axes=[1], keepdims=1)
        step = self.node("Div", [largest, "tokens.top"], f"{value}.step")
        scale = self.node("Max", [step, "tokens.least"], f"{value}.scale")
        flat = self.node("Squeeze", [scale, "tokens.last"], f"{value}.scale.flat")
        count = self.node("Shape", [flat], f"{value}.count")
        middle = helper.make_tensor("middle", TensorProto.UINT8, [1], [128])
        zeros = self.node("ConstantOfShape", [count], f"{value}.zeros", value=middle)
        codes = self.node("QuantizeLinear", [value, flat, zeros], f"{value}.codes", axis=0)
        return scale, codes

    def constants_by_token(self) -> None:
        self.constant("tokens.unit", np.float32(1))
        self.constant("tokens.middle", np.uint8(128))
        self.constant("tokens.top", np.float32(127))
        self.constant("tokens.least", np.float32(1e-9))
        self.constant("tokens.last", np.array([1], np.int64))
        self.constant("shape.tokens", np.array([-1, WIDTH], np.int64))
        for name, width in (("shape.state", WIDTH), ("shape.joint", 3 * WIDTH)):
            self.constant(f"{name}.width", np.array([width], np.int64))
            self.node("Concat", ["shape", f"{name}.width"], name, axis=0)


def in_blocks(weight: Array, block: int) -> tuple[Array, Array]:
    """Return codes (outputs x blocks x block, uint8 around 128) and scales of a weight."""
    rows, columns = weight.shape
    grouped = weight.T.reshape(columns, rows // block, block)
    scales = np.abs(grouped).max(axis=2).astype(np.float32) / np.float32(127)
    scales = np.where(scales == 0, np.float32(1), scales)
    codes = np.clip(np.rint(grouped / scales[:, :, None]), -127, 127) + 128
    return codes.astype(np.uint8), scales.reshape(-1)


def by_channel(weight: Array, kind: str, reduce_range: bool) -> tuple[Array, Array, Array]:
    """Return codes, scales and zero points of a weight, one scale per output channel."""
    columns = weight.shape[1]
    if kind == "int8":
        top = 63 if reduce_range else 127
        scales = np.abs(weight).max(axis=0).astype(np.float32) / np.float32(top)
        codes = np.clip(np.rint(weight / scales), -top, top).astype(np.int8)
        return codes, scales, np.zeros(columns, np.int8)
    top = 127 if reduce_range else 255
    low = np.minimum(weight.min(axis=0), 0)
    high = np.maximum(weight.max(axis=0), 0)
    scales = ((high - low) / top).astype(np.float32)
    zeros = np.rint(-low / scales).astype(np.uint8)
    codes = np.clip(np.rint(weight / scales) + zeros, 0, top).astype(np.uint8)
    return codes, scales, zeros


def by_row(table: Array) -> tuple[Array, Array]:
    """Return codes and scales of a table, one scale per row."""
    scales = np.abs(table).max(axis=1, keepdims=True).astype(np.float32) / np.float32(127)
    scales = np.where(scales == 0, np.float32(1), scales)
    return np.clip(np.rint(table / scales), -127, 127).astype(np.int8), scales


def build(tensors: dict[str, Array], plan: Plan) -> bytes:
    """Build the ONNX file; the same weights and plan give the same bytes."""
    graph = Graph(plan)
    state = embed_words(graph, tensors)
    state = normalize(graph, tensors, "embeddings.LayerNorm", state)
    if plan.product == "rows":
        graph.constants_by_token()
        state = graph.node("Reshape", [state, "shape.tokens"], "state.tokens")
    mask32 = graph.node("Cast", ["attention_mask"], "mask.int32", to=TensorProto.INT32)
    mask = graph.node("Cast", ["attention_mask"], "mask.float", to=TensorProto.FLOAT)
    if not plan.fused:
        graph.constant("axes.heads", np.array([1, 2], np.int64))
        shown = graph.node("Unsqueeze", [mask, "axes.heads"], "mask.shown")
        hidden = graph.node("Sub", [graph.constant("one", np.float32(1)), shown], "mask.hidden")
        low = graph.constant("low", np.float32(-10000))
        graph.node("Mul", [hidden, low], "mask.added")
        graph.constant("shape.heads", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
        graph.constant("shape.joined", np.array([0, 0, WIDTH], np.int64))
        graph.constant("scale", np.float32((WIDTH // HEADS) ** -0.5))
    for layer in range(LAYERS):
        state = attend(graph, tensors, f"encoder.layer.{layer}", state, mask32)
        state = feed_forward(graph, tensors, f"encoder.layer.{layer}", state)
    if plan.product == "rows":
        state = graph.node("Reshape", [state, "shape.state"], "state.texts")
    pool(graph, state, mask)
    made = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", WIDTH])],
        graph.initializers,
    )
    contrib = any(node.domain for node in graph.nodes)
    opsets = [helper.make_opsetid("", OPSET)]
    opsets += [helper.make_opsetid("com.microsoft", CONTRIB)] if contrib else []
    model = helper.make_model(
        made, opset_imports=opsets, ir_version=IR, producer_name="askonce", producer_version="1"
    )
    if not contrib:
        onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def embed_words(graph: Graph, tensors: dict[str, Array]) -> str:
    words = tensors["embeddings.word_embeddings.weight"]
    # One segment only, so its embedding is a constant part of every position's.
    segment = tensors["embeddings.token_type_embeddings.weight"][0]
    places = tensors["embeddings.position_embeddings.weight"] + segment
    if graph.plan.embeddings_in_8_bits:
        codes, scales = by_row(words)
        graph.constant("words.codes", codes)
        graph.constant("words.scales", scales)
        picked = graph.node("Gather", ["words.codes", "input_ids"], "words.picked")
        cast = graph.node("Cast", [picked], "words.cast", to=TensorProto.FLOAT)
        scale = graph.node("Gather", ["words.scales", "input_ids"], "words.scale")
        word = graph.node("Mul", [cast, scale], "words")
    else:
        word = graph.node("Gather", [graph.constant("words.table", words), "input_ids"], "words")
    shape = graph.node("Shape", ["input_ids"], "shape")
    graph.constant("from", np.array([0], np.int64))
    graph.constant("second", np.array([1], np.int64))
    graph.constant("third", np.array([2], np.int64))
    length = graph.node("Slice", [shape, "second", "third"], "length")
    graph.constant("places.table", places)
    place = graph.node("Slice", ["places.table", "from", length, "from"], "places")
    return graph.node("Add", [word, place], "embeddings.sum")


def normalize(graph: Graph, tensors: dict[str, Array], name: str, value: str) -> str:
    gamma = graph.constant(f"{name}.weight", tensors[f"{name}.weight"])
    beta = graph.constant(f"{name}.bias", tensors[f"{name}.bias"])
    return graph.node("LayerNormalization", [value, gamma, beta], name, axis=-1, epsilon=EPSILON)


def add_and_normalize(
    graph: Graph, tensors: dict[str, Array], name: str, value: str, skipped: str
) -> str:
    # Sum, not Add: ONNX Runtime would fuse Add with LayerNormalization into an operator of its
    # own that takes three times as long on a CPU (35 us against 10 us for 15 tokens).
    summed = graph.node("Sum", [value, skipped], f"{name}.residual")
    return normalize(graph, tensors, name, summed)


def attend(graph: Graph, tensors: dict[str, Array], layer: str, state: str, mask: str) -> str:
    parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([tensors[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
    joined = graph.product(state, f"{layer}.attention.self", weight, bias)
    if graph.plan.product == "rows":
        joined = graph.node("Reshape", [joined, "shape.joint"], f"{layer}.joint")
    query, key, value = graph.split(joined, parts)
    name = f"{layer}.attention"
    if graph.plan.fused:
        mixed = graph.node(
            "MultiHeadAttention", [query, key, value, "", mask], f"{name}.mixed", num_heads=HEADS
        )
    else:
        heads = []
        for part, order in ((query, [0, 2, 1, 3]), (key, [0, 2, 3, 1]), (value, [0, 2, 1, 3])):
            apart = graph.node("Reshape", [part, "shape.heads"], f"{part}.heads")
            heads.append(graph.node("Transpose", [apart], f"{part}.turned", perm=order))
        scores = graph.node("MatMul", heads[:2], f"{name}.scores")
        scaled = graph.node("Mul", [scores, "scale"], f"{name}.scaled")
        masked = graph.node("Add", [scaled, "mask.added"], f"{name}.masked")
        shares = graph.node("Softmax", [masked], f"{name}.shares", axis=-1)
        seen = graph.node("MatMul", [shares, heads[2]], f"{name}.seen")
        turned = graph.node("Transpose", [seen], f"{name}.turned", perm=[0, 2, 1, 3])
        mixed = graph.node("Reshape", [turned, "shape.joined"], f"{name}.mixed")
    if graph.plan.product == "rows":
        mixed = graph.node("Reshape", [mixed, "shape.tokens"], f"{name}.tokens")
    name = f"{layer}.attention.output"
    out = graph.product(
        mixed, name, tensors[f"{name}.dense.weight"].T, tensors[f"{name}.dense.bias"]
    )
    return add_and_normalize(graph, tensors, f"{name}.LayerNorm", out, state)


def feed_forward(graph: Graph, tensors: dict[str, Array], layer: str, state: str) -> str:
    name = f"{layer}.intermediate"
    wide = graph.product(
        state, name, tensors[f"{name}.dense.weight"].T, tensors[f"{name}.dense.bias"]
    )
    active = gelu(graph, name, wide)
    name = f"{layer}.output"
    out = graph.product(
        active, name, tensors[f"{name}.dense.weight"].T, tensors[f"{name}.dense.bias"]
    )
    return add_and_normalize(graph, tensors, f"{name}.LayerNorm", out, state)


def gelu(graph: Graph, name: str, value: str) -> str:
    """Add the exact GELU, with the error function."""
    if graph.plan.fused:
        return graph.node("Gelu", [value], f"{name}.active")
    root = graph.constant(f"{name}.root", np.float32(2**-0.5))
    half = graph.constant(f"{name}.half", np.float32(0.5))
    one = graph.constant(f"{name}.one", np.float32(1))
    shrunk = graph.node("Mul", [value, root], f"{name}.shrunk")
    error = graph.node("Erf", [shrunk], f"{name}.erf")
    raised = graph.node("Add", [error, one], f"{name}.raised")
    gated = graph.node("Mul", [value, raised], f"{name}.gated")
    return graph.node("Mul", [gated, half], f"{name}.active")


def pool(graph: Graph, state: str, mask: str) -> None:
    """Add the mean over the unmasked tokens, scaled to unit length.

    The sum scaled to unit length is the same vector, so there is no division by the count.
    """
    graph.constant("axis.row", np.array([1], np.int64))
    row = graph.node("Unsqueeze", [mask, "axis.row"], "pool.row")
    total = graph.node("MatMul", [row, state], "pool.total")
    flat = graph.node("Squeeze", [total, "axis.row"], "pool.flat")
    length = graph.node("ReduceL2", [flat], "pool.length", axes=[-1], keepdims=1)
    floor = graph.constant("pool.floor", np.float32(1e-12))
    safe = graph.node("Max", [length, floor], "pool.safe")
    graph.node("Div", [flat, safe], "embedding")

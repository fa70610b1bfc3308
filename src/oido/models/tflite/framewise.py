# SPDX-License-Identifier: Apache-2.0
"""Framewise scores: what a network says of each column of its last image, before it averages.

A network that ends in the mean over an image and a head has seen, for each column of that image
(time runs along it), all that the head needs. The head put on the mean over frequency of a column
gives the scores of that stretch of the window; where the head is linear, their logits average to
the window's own. YAMNet's last image is [3, 2, 1024]: three columns of 0.32 s.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from oido.models.tflite.evidence import EvidenceGraph
from oido.models.tflite.packing import operator_kind, pack_pruned


@lru_cache(maxsize=8)
def with_framewise(content: bytes) -> tuple[bytes, int] | None:
    """A network with the scores of columns as further outputs, and how many columns there are.

    content: a .tflite whose last output is the embedding, and whose others are scores. The outputs
    that are added are f32[columns, classes] of each head; with a batch of N,
    f32[N · columns, classes], a window's columns one after the other. None if the embedding is not
    the mean over an image f32[1, columns, bands, D], or an output needs more than the embedding.
    """
    return FramewiseWriter.on(content, batch=True).with_columns()


class FramewiseWriter(EvidenceGraph):
    """Adds to a graph what it says of columns."""

    def with_columns(self) -> tuple[bytes, int] | None:
        """As `with_framewise`, of the graph that it was made on."""
        graph = self._graph
        *heads, embedding = (int(t) for t in graph.outputs)
        outputs = self.framewise(embedding, heads)
        if outputs is None:
            return None
        graph.outputs = np.array([*graph.outputs, *outputs], np.int32)
        return pack_pruned(self._model, graph), self.shape(outputs[0])[0]

    def framewise(self, embedding: int, scores: list[int]) -> list[int] | None:
        """For each of these scores [1, C], a tensor [columns, C] of the same type; or None.

        embedding: the mean that they are made from.
        """
        graph = self._graph
        makers = {int(t): op for op in graph.operators for t in op.outputs}
        pool = makers.get(embedding)
        if pool is None or operator_kind(self._model, pool) != schema.BuiltinOperator.MEAN:
            return None
        image = graph.tensors[int(pool.inputs[0])]
        if len(image.shape) != 4 or image.shape[1] < 2:
            return None
        columns = int(image.shape[1])
        # A head may be made from the means of further images, which stand behind the embedding's.
        behind = graph.operators[graph.operators.index(pool) :]
        pools = [op for op in behind if self._is_mean_of_columns(op, columns)]
        copies = {int(op.outputs[0]): self._columns(op, columns) for op in pools}
        return self._repeated(copies, scores, columns)

    def on_rows(self, x: int, rows: int, output: int) -> int:
        """What is made of ``x`` [1, n] and constants alone, once more of rows [k, n]: [k, …]."""
        made = self._repeated({x: rows}, [output], self.shape(rows)[0])
        assert made is not None
        return made[0]

    def side_by_side(self, rows: int) -> int:
        """Columns [columns, C], of any type → float32 [1, columns, C]."""
        if self._graph.tensors[rows].type != schema.TensorType.FLOAT32:
            rows = self.dequantize(rows)
        return self.reshape(rows, (1, *self.shape(rows)))

    def _pooled_images(self) -> dict[int, int]:
        """The images that means are made over, by the tensors of the means."""
        kind = schema.BuiltinOperator.MEAN
        means = [op for op in self._graph.operators if operator_kind(self._model, op) == kind]
        made = {int(op.outputs[0]): int(op.inputs[0]) for op in means}
        return {mean: image for mean, image in made.items() if len(self.shape(image)) == 4}

    def _is_mean_of_columns(self, op: Any, columns: int) -> bool:
        """Over an image that can be cut into so many equal columns."""
        shape = self._graph.tensors[int(op.inputs[0])].shape
        is_mean = operator_kind(self._model, op) == schema.BuiltinOperator.MEAN
        return is_mean and len(shape) == 4 and int(shape[1]) % columns == 0

    def _columns(self, pool: Any, columns: int) -> int:
        """The mean over each column, shaped as the embeddings of so many windows."""
        image, embedding = int(pool.inputs[0]), int(pool.outputs[0])
        depth = int(self._graph.tensors[embedding].shape[-1])
        _, height, width, _ = map(int, self._graph.tensors[image].shape)
        if height != columns:
            cells = np.array([-1, columns, height // columns * width, depth], np.int32)
            cut = self._tensor_like(image, (1, *cells[1:].tolist()), "cut")
            inputs, options = [image, self.constant(cells)], "ReshapeOptions"
            image = self._add("RESHAPE", inputs, (), options, output=cut, newShape=cells)
        mean = self._tensor_like(embedding, (1, columns, 1, depth), "columns")
        over_frequency = deepcopy(pool)
        over_frequency.inputs = np.array([image, self.constant(np.array([2], np.int32))], np.int32)
        over_frequency.outputs = np.array([mean], np.int32)
        over_frequency.builtinOptions.keepDims = True
        self._graph.operators.append(over_frequency)
        shape = np.array([-1, *self._graph.tensors[embedding].shape[1:]], np.int32)
        flat = self._tensor_like(embedding, (columns, *shape[1:]), "column")
        inputs, options = [mean, self.constant(shape)], "ReshapeOptions"
        return self._add("RESHAPE", inputs, (), options, output=flat, newShape=shape)

    def _repeated(
        self, copies: dict[int, int], outputs: list[int], columns: int
    ) -> list[int] | None:
        """The operators from some tensors to these outputs once more, behind those in their place.

        None if an output is made from more than those tensors and constants.
        """
        constants = self._constants()
        for op in list(self._graph.operators):
            inputs = [int(t) for t in op.inputs]
            if not any(t in copies for t in inputs):
                continue
            if not all(t in copies or t in constants or t < 0 for t in inputs):
                continue
            again = deepcopy(op)
            for t in (int(t) for t in op.outputs):
                shape = self._graph.tensors[t].shape
                copies[t] = self._tensor_like(t, (columns, *shape[1:]), "framewise")
            again.inputs = np.array([copies.get(t, t) for t in inputs], np.int32)
            again.outputs = np.array([copies[int(t)] for t in op.outputs], np.int32)
            if operator_kind(self._model, op) == schema.BuiltinOperator.RESHAPE:
                self._open_batch(again)
            self._graph.operators.append(again)
        return [copies[t] for t in outputs] if all(t in copies for t in outputs) else None

    def _open_batch(self, reshape: Any) -> None:
        """Let it keep the batch of its input, which may stand in it as 1."""
        target = self._graph.tensors[int(reshape.outputs[0])].shape
        shape = np.array([-1, *target[1:]], np.int32)
        reshape.inputs = np.array([reshape.inputs[0], self.constant(shape)], np.int32)
        if reshape.builtinOptions is not None:
            reshape.builtinOptions.newShape = shape

    def _constants(self) -> set[int]:
        """The tensors that no operator makes and that are not the graph's input."""
        made = {int(t) for op in self._graph.operators for t in op.outputs}
        inputs = {int(t) for t in self._graph.inputs}
        return set(range(len(self._graph.tensors))) - made - inputs

    def _tensor_like(self, like: int, shape: tuple[int, ...], name: str) -> int:
        """A tensor of the type and the steps of another, its batch open where the graph's is."""
        tensor = deepcopy(self._graph.tensors[like])
        tensor.name = f"{name}_{len(self._graph.tensors)}"
        tensor.shape = np.array(shape, np.int32)
        signature = np.array([-1, *shape[1:]], np.int32)
        tensor.shapeSignature = signature if self._batch else None
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

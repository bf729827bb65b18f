"""The peer ONNX Runtime: its fused operators for BERT, in f32 and with dynamic int8 quantisation.

On two threads, two batches at a time were 15 % faster in int8 than both threads on each batch.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime

import peer
from export import ONNX_FUSED, ONNX_INT8

FILE = {"f32": ONNX_FUSED, "int8": ONNX_INT8}
# Measured best of 8, 16, 32 and 64.
BATCH_SIZE = {"f32": 8, "int8": 8}


class OnnxRuntime(peer.Network):
    """A session for many texts, whose batches run side by side, and one for a single text, which shares its threads."""

    def __init__(self, path: Path, threads: int) -> None:
        self.many = session(path, 1)
        self.single = self.many if threads == 1 else session(path, threads)
        self.pool = ThreadPoolExecutor(threads)

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return run(self.single, ids, mask)

    def run_all(self, batches: Iterable[peer.Batch]) -> list[np.ndarray]:
        return list(self.pool.map(lambda batch: run(self.many, *batch), batches))


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session whose runs use so many threads each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Probabilities of a batch."""
    (logits,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    return peer.softmax(logits)


if __name__ == "__main__":
    args = peer.arguments(BATCH_SIZE)
    peer.serve(lambda: OnnxRuntime(args.artefacts / FILE[args.variant], args.threads), args, BATCH_SIZE[args.variant])

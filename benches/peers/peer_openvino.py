"""The peer OpenVINO: f32, and int8 weights and activations by NNCF.

Many texts go through a queue of requests with the hint for throughput, a single one through a request with the hint
for latency, as OpenVINO's documentation advises.
"""

from argparse import Namespace
from collections.abc import Iterable

import numpy as np
import openvino
from openvino import properties

import peer
from export import OPENVINO_F32, OPENVINO_INT8

FILE = {"f32": OPENVINO_F32, "int8": OPENVINO_INT8}
# Measured best of 8, 16, 32 and 64.
BATCH_SIZE = {"f32": 8, "int8": 16}


class OpenVino(peer.Network):
    """The same model compiled for many texts and for a single one."""

    def __init__(self, many: openvino.CompiledModel, single: openvino.CompiledModel) -> None:
        self.many = openvino.AsyncInferQueue(many)
        self.single = single.create_infer_request()

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.single.infer([ids, mask], share_inputs=True)
        return peer.softmax(self.single.get_output_tensor().data)

    def run_all(self, batches: Iterable[peer.Batch]) -> list[np.ndarray]:
        outputs: dict[int, np.ndarray] = {}

        def keep(request: openvino.InferRequest, index: int) -> None:
            outputs[index] = peer.softmax(request.get_output_tensor().data)

        self.many.set_callback(keep)
        for index, (ids, mask) in enumerate(batches):
            self.many.start_async([ids, mask], index)
        self.many.wait_all()
        return [outputs[index] for index in range(len(outputs))]


def load(args: Namespace) -> OpenVino:
    """The network of a variant. Where the processor has bf16, OpenVINO takes it by itself: it may around int8 only."""
    core = openvino.Core()
    model = core.read_model(args.artefacts / FILE[args.variant])

    def compiled(hint: properties.hint.PerformanceMode) -> openvino.CompiledModel:
        options = {
            properties.hint.performance_mode: hint,
            properties.inference_num_threads: args.threads,
            # The whole process is pinned already.
            properties.hint.enable_cpu_pinning: False,
        }
        if args.variant == "f32":
            options[properties.hint.inference_precision] = openvino.Type.f32
        return core.compile_model(model, "CPU", options)

    modes = properties.hint.PerformanceMode
    return OpenVino(compiled(modes.THROUGHPUT), compiled(modes.LATENCY))


if __name__ == "__main__":
    args = peer.arguments(BATCH_SIZE)
    peer.serve(lambda: load(args), args, BATCH_SIZE[args.variant])

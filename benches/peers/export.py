"""Turns the model into what a peer reads, each once: `python export.py NAME --model DIR --texts FILE --out FOLDER`.

A process of its own, so that no peer holds libraries that it was only exported with. `--texts` are what NNCF watches
activations on; they are none of those that are timed.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

# Each export imports only what it needs.
if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ONNX_FUSED, ONNX_INT8 = "fused.onnx", "fused_int8.onnx"
OPENVINO_F32, OPENVINO_INT8 = "openvino_f32.xml", "openvino_int8.xml"
# Tokens that texts to calibrate with are cut to: the window of the built-in model.
WINDOW = 256


def torch_model(model: Path, attention: str) -> "Module":
    """The model in PyTorch, from ids and mask to logits."""
    import torch
    from transformers import BertForSequenceClassification

    class Logits(torch.nn.Module):
        """Two inputs and one output, as all peers have them."""

        def __init__(self) -> None:
            super().__init__()
            self.model = BertForSequenceClassification.from_pretrained(
                model, dtype=torch.float32, attn_implementation=attention
            )

        def forward(self, input_ids: "Tensor", attention_mask: "Tensor") -> "Tensor":
            types = torch.zeros_like(input_ids)
            return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=types).logits

    return Logits().eval()


def example() -> tuple["Tensor", "Tensor"]:
    """Inputs to trace with: two rows, one of them padded."""
    import torch

    ids = torch.randint(1000, 20000, (2, 17))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    return ids, mask


def onnx_fused(args: argparse.Namespace) -> None:
    """ONNX with ONNX Runtime's fused operators. Its optimizer knows traced eager attention."""
    import torch
    from onnxruntime.transformers import optimizer

    rows = {0: "texts", 1: "tokens"}
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        torch.onnx.export(
            torch_model(args.model, "eager"),
            example(),
            plain,
            dynamo=False,
            opset_version=17,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": rows, "attention_mask": rows, "logits": {0: "texts"}},
        )
        config = json.loads((args.model / "config.json").read_text())
        fused = optimizer.optimize_model(
            str(plain),
            model_type="bert",
            num_heads=config["num_attention_heads"],
            hidden_size=config["hidden_size"],
        )
    if not fused.is_fully_optimized():
        raise SystemExit(f"not all operators could be fused: {fused.get_fused_operator_statistics()}")
    fused.save_model_to_file(str(args.out / ONNX_FUSED))


def onnx_int8(args: argparse.Namespace) -> None:
    """The fused graph with weights in int8 by channel, and activations quantised as they come."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        args.out / ONNX_FUSED,
        args.out / ONNX_INT8,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Types can't be inferred through the fused operators.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def openvino_f32(args: argparse.Namespace) -> None:
    """OpenVINO's own format, with its operator for attention."""
    import openvino

    ids, mask = example()
    inputs = {"input_ids": ids, "attention_mask": mask}
    model = openvino.convert_model(torch_model(args.model, "sdpa"), example_input=inputs)
    model.reshape({name: [-1, -1] for name in inputs})
    openvino.save_model(model, args.out / OPENVINO_F32, compress_to_fp16=False)


def openvino_int8(args: argparse.Namespace) -> None:
    """Weights and activations quantised by NNCF, with its preset for transformers."""
    import nncf
    import openvino

    model = openvino.Core().read_model(args.out / OPENVINO_F32)
    inputs = list(calibration(args))
    quantised = nncf.quantize(
        model, nncf.Dataset(inputs), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(inputs)
    )
    openvino.save_model(quantised, args.out / OPENVINO_INT8, compress_to_fp16=False)


def calibration(args: argparse.Namespace) -> Iterator[dict[str, np.ndarray]]:
    """The texts to calibrate with, one a batch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW)
    for line in args.texts.read_text("utf-8").splitlines():
        ids = np.array([tokenizer.encode(json.loads(line)).ids], np.int64)
        yield {"input_ids": ids, "attention_mask": np.ones_like(ids)}


EXPORTS: dict[str, Callable[[argparse.Namespace], None]] = {
    ONNX_FUSED: onnx_fused,
    ONNX_INT8: onnx_int8,
    OPENVINO_F32: openvino_f32,
    OPENVINO_INT8: openvino_int8,
}


def main() -> None:
    """Read the command line and write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=EXPORTS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    EXPORTS[args.name](args)


if __name__ == "__main__":
    main()

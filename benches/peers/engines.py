"""The engines that are compared, each a process of its own that answers the line protocol of `peer.py`."""

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import IO

from export import ONNX_FUSED, ONNX_INT8, OPENVINO_F32, OPENVINO_INT8

HERE = Path(__file__).resolve().parent
# Seconds after which a process that doesn't answer is given up. Compiling takes minutes on a slow machine.
PATIENCE = 1800
# Batch size that candle was measured best with, of 8, 16, 32 and 64.
CANDLE_BATCH_SIZE = 8


@dataclass(frozen=True)
class Setup:
    """Where things are."""

    python: str
    engine: Path
    candle: Path
    model: Path
    build: Path
    peers_environment: dict[str, str] = field(default_factory=dict)
    """For the peers in Python."""

    @cached_property
    def artefacts(self) -> Path:
        """What `export.py` writes: another folder for another model, script or version of a package."""
        made_of = [self.model / "model.safetensors", HERE / "export.py", HERE / "requirements.txt"]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of))
        return self.build / "exported" / digest.hexdigest()[:12]


@dataclass(frozen=True)
class Engine:
    """One row of the table."""

    name: str
    precision: str
    command: Callable[[Setup, int], list[str]]
    """Program and arguments for so many threads."""
    needs: tuple[str, ...] = ()
    """What must have been exported, in this order."""
    ours: bool = False
    program: bool = False
    """Whether it is a program of its own, not in Python."""

    def log(self, setup: Setup, threads: int) -> Path:
        """Where the process's standard error goes."""
        return setup.build / "logs" / f"{self.name.replace(' ', '_')}-{threads}.log"


def our_engine(precision: str) -> Engine:
    """The engine of this repository."""

    def command(setup: Setup, threads: int) -> list[str]:
        options = ["--device", "cpu", "--precision", precision, "--threads", str(threads)]
        return [str(setup.engine), "bench", "--model", str(setup.model), *options]

    return Engine(f"ecommerce_ml {precision}", precision, command, ours=True, program=True)


def peer(name: str, precision: str, script: str, variant: str, *needs: str) -> Engine:
    """An engine in Python."""

    def command(setup: Setup, threads: int) -> list[str]:
        folders = ["--model", str(setup.model), "--artefacts", str(setup.artefacts)]
        return [setup.python, str(HERE / script), "--variant", variant, *folders, "--threads", str(threads)]

    return Engine(name, precision, command, needs)


def candle() -> Engine:
    """The engine in Rust that ours is built upon."""

    def command(setup: Setup, _threads: int) -> list[str]:
        return [str(setup.candle), str(setup.model), str(CANDLE_BATCH_SIZE)]

    return Engine("candle-transformers f32", "f32", command, program=True)


REFERENCE = "PyTorch f32"
# What our f32 is measured by: the same precision, whichever is better.
PYTORCH_F32 = (REFERENCE, "torch.compile f32")
ENGINES = (
    our_engine("int8"),
    our_engine("f32"),
    peer(REFERENCE, "f32", "peer_pytorch.py", "f32"),
    peer("torch.compile f32", "f32", "peer_pytorch.py", "compiled"),
    peer("PyTorch int8 dynamic", "int8", "peer_pytorch.py", "int8"),
    peer("ONNX Runtime f32", "f32", "peer_onnxruntime.py", "f32", ONNX_FUSED),
    peer("ONNX Runtime int8", "int8", "peer_onnxruntime.py", "int8", ONNX_FUSED, ONNX_INT8),
    peer("OpenVINO f32", "f32", "peer_openvino.py", "f32", OPENVINO_F32),
    peer("OpenVINO int8", "int8", "peer_openvino.py", "int8", OPENVINO_F32, OPENVINO_INT8),
    candle(),
)


class Failed(Exception):
    """Why an engine can't take part."""


class Process:
    """A started process that answers the line protocol."""

    def __init__(self, command: list[str], log_path: Path, environment: dict[str, str]) -> None:
        self.log_path = log_path
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
            )

    def ask(self, command: dict, patience: float = PATIENCE) -> dict:
        """The answer to a command."""
        start = perf_counter()
        timer = threading.Timer(patience, self.process.kill)
        timer.start()
        try:
            stdin, stdout = pipe(self.process.stdin), pipe(self.process.stdout)
            stdin.write(json.dumps(command).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if not line:
            late = perf_counter() - start >= patience
            raise Failed(f"no answer within {patience:.0f} seconds" if late else self.last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def last_words(self) -> str:
        """The last line that the process wrote before it ended."""
        status = self.process.wait()
        lines = [line for line in self.log_path.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {status}"

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


class Running(Process):
    """A started engine, pinned to processors."""

    def __init__(self, engine: Engine, setup: Setup, threads: int, cpus: list[int]) -> None:
        pinned = ["taskset", "--cpu-list", ",".join(map(str, cpus))]
        command = pinned + engine.command(setup, threads)
        more = {} if engine.program else setup.peers_environment
        super().__init__(command, engine.log(setup, threads), environment(setup.build, threads) | more)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A stream that is known to be a pipe."""
    if stream is None:
        raise Failed("no pipe")
    return stream


def environment(build: Path, threads: int) -> dict[str, str]:
    """Environment of an engine: so many threads, and nothing from the network."""
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "RAYON_NUM_THREADS": count,
        "TOKENIZERS_PARALLELISM": "true",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(build / "inductor"),
        "HF_HUB_OFFLINE": "1",
    }


def export(engine: Engine, setup: Setup, calibration: Path) -> None:
    """Write what the engine needs and isn't there."""
    setup.artefacts.mkdir(parents=True, exist_ok=True)
    for name in engine.needs:
        if (setup.artefacts / name).exists():
            continue
        log = setup.build / "logs" / f"export-{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        inputs = ["--model", setup.model, "--texts", calibration, "--out", setup.artefacts]
        with open(log, "wb") as file:
            command = [setup.python, HERE / "export.py", name, *inputs]
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
        if status != 0:
            (setup.artefacts / name).unlink(missing_ok=True)
            raise Failed(f"export of {name} failed, see {log}")

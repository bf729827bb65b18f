"""The sides that are compared, each a process that answers the line protocol, and what they take of the machine."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shapes import Shape
from shared import Process, environment

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Setup:
    """Where things are, and where they run."""

    engine: Path
    build: Path
    device: str
    """cuda, cuda:N or cpu."""
    precision: str
    """Of our engine."""
    threads: int

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU that is measured."""
        return self.device != "cpu"

    @property
    def peer_precision(self) -> str:
        """Of PyTorch: what one takes on such a device."""
        return "bf16" if self.on_gpu else "f32"


@dataclass(frozen=True)
class Side:
    """One row of the tables."""

    name: str
    command: Callable[[Setup, Shape], list[str]]
    ours: bool = False

    def start(self, setup: Setup, shape: Shape) -> Process:
        """Start it with a model."""
        log = setup.build / "logs" / f"{shape.name}-{self.name.replace(' ', '_')}.log"
        compiling = {"TORCHINDUCTOR_COMPILE_THREADS": str(setup.threads)}
        variables = environment(setup.build, setup.threads) | compiling
        if self.ours:
            folders = [*map(str, cublas_folders()), variables.get("LD_LIBRARY_PATH", "")]
            variables["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
        return Process(self.command(setup, shape), log, variables)


def engine(name: str, device: str | None = None, precision: str | None = None) -> Side:
    """Our engine, where and as precise as the setup says, or as told."""

    def command(setup: Setup, shape: Shape) -> list[str]:
        where = ["--device", device or setup.device, "--precision", precision or setup.precision]
        return [str(setup.engine), "bench", "--model", str(shape.folder), *where, "--threads", str(setup.threads)]

    return Side(name, command, ours=True)


def pytorch(name: str, variant: str) -> Side:
    """PyTorch."""

    def command(setup: Setup, shape: Shape) -> list[str]:
        where = ["--device", setup.device, "--precision", setup.peer_precision, "--threads", str(setup.threads)]
        script = [sys.executable, str(HERE / "torch_peer.py"), "--variant", variant]
        return [*script, "--model", str(shape.folder), *where]

    return Side(name, command)


OURS = engine("ecommerce_ml")
EAGER = pytorch("PyTorch eager", "eager")
COMPILED = pytorch("torch.compile", "compiled")
SIDES = (OURS, EAGER, COMPILED)
PEERS = (EAGER, COMPILED)
# What all are compared with: it shares no kernel with what runs on a GPU.
REFERENCE = engine("ecommerce_ml f32 on the CPU", "cpu", "f32")


def cublas_folders() -> Iterator[Path]:
    """Where Python's packages keep cuBLASLt, which is on no path of the system's: the engine loads it by its name."""
    package = find_spec("nvidia")
    for root in (package and package.submodule_search_locations) or []:
        yield from sorted({library.parent for library in Path(root).glob("*/lib/libcublasLt.so*")})


class Memory:
    """How much more memory is taken than before, in MiB: of a GPU altogether, or by a process on the CPU at most."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.before = self.of_gpu() if setup.on_gpu else None

    def taken(self, pid: int) -> float | None:
        """MiB since then, if anyone knows."""
        if not self.setup.on_gpu:
            found = re.search(r"^VmHWM:\s*(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
            return int(found.group(1)) / 1024 if found else None
        now = self.of_gpu()
        return None if now is None or self.before is None else now - self.before

    def of_gpu(self) -> float | None:
        """MiB of the GPU that are taken by all."""
        told = ask_gpu("memory.used", self.setup.device)
        return float(told) if told else None


def ask_gpu(field: str, device: str) -> str | None:
    """What nvidia-smi says of a GPU, without units."""
    index = device.partition(":")[2] or "0"
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", f"--id={index}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))

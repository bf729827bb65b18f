"""The machine that the numbers belong to, and what else it does meanwhile."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

# Parts of a processor that decide how fast models run, by their name in /proc/cpuinfo.
PARTS = {"avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "bf16", "amx_int8": "AMX"}
PACKAGES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "nncf": "NNCF"}


def cpus(count: int) -> list[int]:
    """Processors to pin to: of different cores as far as there are so many, else any that we may use."""
    allowed = sorted(os.sched_getaffinity(0))
    by_core = {siblings(cpu): cpu for cpu in reversed(allowed)}
    apart = sorted(by_core.values())
    rest = [cpu for cpu in allowed if cpu not in apart]
    return (apart + rest)[:count]


def siblings(cpu: int) -> str:
    """What processors of the same core have in common."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text().strip() if path.exists() else str(cpu)


def describe() -> str:
    """Processor, its parts that matter, and how much of it there is."""
    info = Path("/proc/cpuinfo").read_text()
    model = field(info, "model name") or os.uname().machine
    family = ", ".join(f"{name} {field(info, name)}" for name in ("cpu family", "model") if field(info, name))
    flags = (field(info, "flags") or "").split()
    has = [name for flag, name in PARTS.items() if flag in flags]
    lacks = [name for flag, name in PARTS.items() if flag not in flags]
    parts = ", ".join(has) + (f"; no {', '.join(lacks)}" if lacks else "")
    memory = int(field(Path("/proc/meminfo").read_text(), "MemTotal").split()[0]) / (1 << 20)
    return f"{model} ({family}; {parts}), {os.cpu_count()} processors, {memory:.0f} GiB"


def field(text: str, name: str) -> str:
    """The first value of a `name : value` list, or nothing."""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def kernels(engine: Path, model: Path) -> str:
    """The name of the kernels that our engine computes with."""
    command = [engine, "bench", "--model", model, "--device", "cpu", "--precision", "f32", "--threads", "1"]
    answer = subprocess.run(command, input=b'{"peak": true}\n', stdout=subprocess.PIPE, check=True).stdout
    return json.loads(answer)["kernels"]


def versions(lock: Path) -> str:
    """Names and versions of the peers."""
    candle = re.search(r'name = "candle-transformers"\nversion = "([^"]+)"', lock.read_text("utf-8"))
    named = [f"{name} {version(package)}" for package, name in PACKAGES.items()]
    return ", ".join([*named, f"candle-transformers {candle.group(1) if candle else 'unknown'}"])


@dataclass
class Others:
    """How many processors were busy with something else than the process that is measured."""

    processors: float = 0.0


@contextmanager
def watch(pid: int) -> Iterator[Others]:
    """Observe the machine for as long as the block runs; what a hypervisor gave to others counts too."""
    others = Others()
    busy, own, start = busy_seconds(), process_seconds(pid), perf_counter()
    yield others
    elapsed = perf_counter() - start
    others.processors = max(0.0, (busy_seconds() - busy - (process_seconds(pid) - own)) / elapsed)


def busy_seconds() -> float:
    """Seconds that all processors together were not idle since the machine started."""
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, [user, nice, system, *interrupts_and_stolen])) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """Seconds of all threads that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

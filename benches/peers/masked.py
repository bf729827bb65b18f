"""Copies of the peers' packages that take this processor for one with AVX2 at most, to compare with kernels `avx2`.

Not all peers have a setting for it, and those of the others leave out some of their libraries. So every `cpuid` in a copy of
a library becomes an instruction that faults, and `mask_cpuid.c` answers instead of the processor.
Needs objdump and gcc. Files without `cpuid` are links.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "onnxruntime", "openvino")
CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"
# A line of `objdump -d`: address and bytes of the instruction.
LINE = re.compile(rb"^\s*([0-9a-f]+):\s+0f a2\s+cpuid\s*$", re.MULTILINE)


def environment(build: Path) -> dict[str, str]:
    """What a peer's environment needs, after the copies and the library were made under `build`."""
    folder, library = build / "masked", build / "mask_cpuid.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "mask_cpuid.c"], check=True)
    for package in PACKAGES:
        copy(package, folder)
    return {
        "LD_PRELOAD": str(library),
        "PYTHONPATH": str(folder),
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    }


def copy(package: str, folder: Path) -> None:
    """Make the copy of a package, if it isn't there."""
    done = folder / f"{package}.done"
    source = next((Path(entry) / package for entry in sys.path if (Path(entry) / package).is_dir()), None)
    if source is None or done.exists():
        return
    for path in source.rglob("*"):
        target = folder / package / path.relative_to(source)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        bytes_ = masked(path) if ".so" in path.suffixes and not path.is_symlink() else None
        if bytes_ is None:
            os.symlink(path, target)
        else:
            target.write_bytes(bytes_)
    done.touch()


def masked(library: Path) -> bytes | None:
    """The library without `cpuid`; None if it has none."""
    contents = bytearray(library.read_bytes())
    if CPUID not in contents:
        return None
    listing = subprocess.run(["objdump", "-d", library], capture_output=True, check=True).stdout
    addresses = [int(address, 16) for address in LINE.findall(listing)]
    for address in addresses:
        place = offset(library, address)
        if contents[place : place + 2] != CPUID:
            raise ValueError(f"no cpuid at {place:#x} of {library}")
        contents[place : place + 2] = UD2
    return bytes(contents) if addresses else None


def offset(library: Path, address: int) -> int:
    """Where in the file an address is."""
    for start, size, place in sections(library):
        if start <= address < start + size:
            return address - start + place
    raise ValueError(f"no section of {library} has {address:#x}")


def sections(library: Path) -> list[tuple[int, int, int]]:
    """Address, size and place in the file of each section."""
    listing = subprocess.run(["objdump", "-h", "-w", library], capture_output=True, check=True, text=True).stdout
    rows = re.findall(r"^\s*\d+\s+\S+\s+([0-9a-f]+)\s+([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)\s", listing, re.MULTILINE)
    return [(int(start, 16), int(size, 16), int(place, 16)) for size, start, place in rows]

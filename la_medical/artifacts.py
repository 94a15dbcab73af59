"""Files that are written whole or not at all, and known by their sha256."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from la_medical.errors import InputError
from la_medical.parsing import parse_json


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block ends without an error.

    The temporary name keeps every suffix of `path`, since writers choose a format by it. Nothing is left behind
    after an error. Two processes may write the same path: each has its own temporary file and the last one wins.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix="-" + final.name, dir=final.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with `\\n` line ends, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON that is the same bytes for the same content. NaN is refused: undefined is null with a reason."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; raises `InputError` naming the file when it is missing or not JSON."""
    try:
        return parse_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); write it again with the command that made it") from error


def read_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; raises `InputError` as `read_json`, and for JSON that is a list or a single value."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, expected an object; make it again")
    return content


def sha256_of_folder(path: str | Path) -> str:
    """Hex sha256 of the sorted list `<sha256>  <path below the folder>` of its files, one a line, as sha256sum has."""
    root = Path(path)
    files = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    text = "".join(f"{sha256_of(root / name)}  {name}\n" for name in files)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: str | Path) -> str:
    """Hex sha256 of a file's bytes, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

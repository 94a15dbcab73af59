"""Images decoded once, packed as bytes at training size in one memory-mapped file. 2D only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from la_medical.artifacts import written_whole
from la_medical.errors import InputError
from la_medical.progress import progress
from la_medical.training.cores import usable_cores
from la_medical.training.images import READER_VERSION, read_grey


def packed_images(
    files: Sequence[Path], *, size: int, folder: Path, root: Path | None = None, threads: int | None = None
) -> NDArray[np.uint8]:
    """(N, 1, size, size) uint8, mapped from a file in `folder` that is made if it is not there yet.

    The file's name is a hash of every image's path below `root`, length and time of change, of the size and of the
    reader, so a changed image or list gets another file. It is written whole: an interrupted packing starts again.

    Args:
        files: the N images.
        size: height and width to store.
        folder: where packed files are kept.
        root: folder that paths are taken relative to in the hash, so that a moved data set is not packed again.
        threads: decoding threads; None takes one a core.

    Raises:
        InputError: a missing or damaged image; nothing is left behind then.
    """
    path = folder / f"images-{size}-{_key(files, size, root)}.npy"
    shape = (len(files), 1, size, size)
    if not path.is_file():
        with written_whole(path) as temporary:
            stored = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with ThreadPoolExecutor(threads or usable_cores()) as pool:
                read = pool.map(lambda file: read_grey(file, size), files)
                for row, pixels in enumerate(progress(read, what="packing images", total=len(files))):
                    stored[row, 0] = pixels
            stored.flush()
            del stored
    packed = np.load(path, mmap_mode="r", allow_pickle=False)
    if packed.shape != shape or packed.dtype != np.uint8:
        raise InputError(f"{path}: holds {packed.shape}, expected {shape}; remove it and it is made again")
    return packed


def _key(files: Sequence[Path], size: int, root: Path | None) -> str:
    digest = hashlib.sha256(f"{READER_VERSION} {size}".encode())
    for file in files:
        try:
            about = file.stat()
        except FileNotFoundError as error:
            raise InputError(f"{file}: no such image") from error
        named = file.relative_to(root) if root is not None and file.is_relative_to(root) else file
        digest.update(f"\n{named.as_posix()}\t{about.st_size}\t{about.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]

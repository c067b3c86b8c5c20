"""Which clips of people's own files are kept for validation: whole files, by their names.

    files in the order of their codes -> kept, until `most` clips or a tenth of all are

A code is a hash of a file's name, so two files stand in the same order whatever others
there are: files that come or go change sides for none but those next to the border. Clips
of one file are alike, and never on both sides. Nothing is drawn and nothing is written
down: a run that goes on finds the same clips kept.
"""

import hashlib

import numpy as np
from jaxtyping import Bool, UInt64

# Of all clips: the share that is kept, and what a last file that is large may make of it.
_TENTH, _FIFTH = 10, 5
_FEWEST = 2


def file_code(name: str) -> int:
    """64 bits of the sha256 of a file's name."""
    # A name that is not UTF-8 comes with surrogates in the place of its bytes.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def kept_clips(codes: UInt64[np.ndarray, " n"], *, most: int) -> Bool[np.ndarray, " n"]:
    """Which of n clips are kept for validation.

    Files are taken in the order of their codes, until `most` clips or a tenth of all are
    kept. One that would make more than a fifth of them is passed over. So there may be
    none: of fewer than 20 clips, of a single file, of a few large ones.

    Args:
      codes: of the file of each clip.
      most: clips to keep, which whole files may exceed.
    """
    wanted = min(most, len(codes) // _TENTH)
    if wanted < _FEWEST:
        return np.zeros(len(codes), bool)
    chosen, kept = [], 0
    for code, clips in zip(*np.unique(codes, return_counts=True)):
        if kept >= wanted:
            break
        if kept + clips <= len(codes) // _FIFTH:
            chosen.append(code)
            kept += clips
    return np.isin(codes, np.array(chosen, np.uint64))

"""Near-duplicates: clips that show the same, in another size, encoding or file.

    signature   pHash of 5 frames, evenly spread: the 64 lowest frequencies of a 32 x 32
                picture's DCT, each above or below their median
    distance    mean Hamming distance of the frames, of 64 bits
    bands       each frame's 64 bits in 4 bands of 16: clips are compared only with those
                that share a band of a frame, so the work is not the square of their count.
                Two clips 3 bits apart share one for certain, 6 bits apart by 0.97 (of 20
                bands, of which one without a flip is needed)

Clips are taken from the best down (labelled, then the most pixels, the longest, the
sharpest, the smallest id): one that is within `near` of a clip that is kept is its
duplicate. So each names a clip that is kept and that it is really near to, and what is
kept does not depend on the order in which anything ran.
"""

import array
import collections
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16, UInt64

from animatrix_jax.curation.journal import Path, read_lines

FRAMES = 5
_BANDS = 4
Id = TypeVar("Id", bound=Hashable)
Signature = tuple[int, ...]


def find(lines: Path, *, near: float) -> dict[str, str]:
    """Each duplicate of a file of clips with the clip that it duplicates, which is kept.

    Args:
      lines: `{"id", "signature", "rank"}`, a clip a line; smaller ranks are better.
      near: mean Hamming distance, of 64 bits, up to which two clips are one.
    """
    names, bits = [], array.array("Q")
    for line in read_lines(lines):
        names.append(line["id"])
        bits.extend(_bits(line))
    table = np.array(bits, np.uint64).reshape(-1, FRAMES)
    found = sorted(pairs(names, table, near=near))
    paired = {name for pair in found for name in pair}
    clips = {
        line["id"]: (_bits(line), line["rank"])
        for line in read_lines(lines)
        if line["id"] in paired
    }
    return choose(found, clips)


def _bits(line: dict[str, Any]) -> Signature:
    return tuple(int(bits, 16) for bits in line["signature"])


def phash(grey: UInt8[np.ndarray, "h w"]) -> int:
    """64 bits of a picture's coarse structure."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def signature(grey: UInt8[np.ndarray, "t h w"]) -> Signature:
    """pHashes of FRAMES of the frames, evenly spread."""
    places = (np.arange(FRAMES) + 0.5) * len(grey) / FRAMES
    return tuple(phash(grey[int(place)]) for place in places)


def distance(first: Signature, second: Signature) -> float:
    """Mean Hamming distance, of 64 bits."""
    flips = sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))
    return flips / len(first)


def bands(table: UInt64[np.ndarray, "n f"]) -> UInt16[np.ndarray, "b n"]:
    """Each clip's bands, what it is compared under."""
    shifts = np.arange(0, 64, 64 // _BANDS, dtype=np.uint64)
    found = table[..., None] >> shifts  # the low bits are the band
    return found.astype(np.uint16).reshape(len(table), -1).T


def pairs(
    names: Sequence[str], table: UInt64[np.ndarray, "n f"], *, near: float
) -> Iterator[tuple[str, str]]:
    """Pairs of clips within `near` that share a band, each pair once.

    Of clips with one signature, each is paired with the smallest name alone, which stands
    for them all among the others: a still that comes a thousand times makes a thousand
    pairs, not a million. Of a million clips this takes a hundred megabytes.
    """
    if not len(names):
        return
    order = np.array(sorted(range(len(names)), key=names.__getitem__))
    _, first, group = np.unique(
        table[order], axis=0, return_index=True, return_inverse=True
    )
    stands = order[first][group.reshape(-1)]
    for one, other in zip(stands, order, strict=True):
        if one != other:
            yield names[one], names[other]
    chosen = np.sort(order[first])
    seen: set[tuple[int, int]] = set()
    for band in bands(table[chosen]):
        ranked = np.argsort(band, kind="stable")
        for a, b in _within(table[chosen][ranked], band[ranked], near):
            found = sorted((int(chosen[ranked[a]]), int(chosen[ranked[b]])))
            if (pair := (found[0], found[1])) not in seen:
                seen.add(pair)
                yield names[pair[0]], names[pair[1]]


def _within(
    table: UInt64[np.ndarray, "n f"], band: UInt16[np.ndarray, " n"], near: float
) -> Iterator[tuple[int, int]]:
    """Places of pairs within `near` among those of one band, which stand together."""
    most, places = near * table.shape[1], np.arange(len(table))
    for lag in range(1, len(table)):
        places = places[places + lag < len(table)]
        # A run that has ended at one distance has ended at all greater ones.
        places = places[band[places] == band[places + lag]]
        if not len(places):
            return
        flips = np.bitwise_count(table[places] ^ table[places + lag]).sum(axis=1)
        for place in places[flips <= most].tolist():
            yield place, place + lag


def choose(
    found: Iterable[tuple[str, str]],
    clips: Mapping[str, tuple[Signature, Any]],
) -> dict[str, str]:
    """Each duplicate with the clip that it duplicates, which is kept.

    Args:
      found: pairs from `pairs`.
      clips: the signature and the rank of every clip that is in a pair, the best first
        when sorted.
    """
    # All of one signature share their neighbours.
    same: dict[Signature, list[str]] = collections.defaultdict(list)
    for name, (bits, _) in clips.items():
        same[bits].append(name)
    near: dict[Signature, set[Signature]] = collections.defaultdict(set)
    for first, second in found:
        a, b = clips[first][0], clips[second][0]
        near[a].add(b)
        near[b].add(a)
    kept: dict[Signature, str] = {}
    duplicates: dict[str, str] = {}
    for name in sorted(clips, key=lambda name: (clips[name][1], name)):
        bits = clips[name][0]
        standing = [kept[o] for o in itertools.chain([bits], near[bits]) if o in kept]
        if standing:
            nearest = min(standing, key=lambda o: (clips[o][1], o))
            duplicates[name] = nearest
        else:
            kept[bits] = name
    return duplicates

"""The processes of a run: how they find each other, agree, and hand values over.

    initialize()      joins the others, if there are any
    gather, broadcast small values (JSON) by the coordinator's key-value store
    agreed, in_turn   process 0 makes what all then read: caches, tokenizers
    fetch             arrays that are split over hosts, whole on each of them

Everything here does nothing much where there is one process, so that callers have one
path. Values go through the key-value store and never through a device, so they can be
handed over while devices compile or are lost.
"""

import contextlib
import itertools
import json
import math
import os
import pathlib
import secrets
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from animatrix_jax.errors import UserError
from animatrix_jax.parallel.mesh import (
    BATCH_AXES,
    MeshConfig,
    batch_sharding,
    make_mesh,
)

T = TypeVar("T")

ADDRESS, COUNT, ID = (
    "JAX_COORDINATOR_ADDRESS",
    "JAX_NUM_PROCESSES",
    "JAX_PROCESS_ID",
)
EXIT_PEER = 76
"""How a process ends that has lost another."""
_POLL_MS = 5_000
_CONNECT_SECONDS = 2.0
_LATE_SECONDS = 60
_turns = itertools.count()
_share: tuple[int, int] | None = None


def initialize(*, heartbeat_seconds: int = 60, start_seconds: int = 600) -> None:
    """Joins the other processes of this run, if the environment says that there are any.

    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID decide where
    they are set; else what JAX detects of a TPU pod, GKE, Slurm or Open MPI; else this
    process is alone. To be called before anything asks for devices.

    Args:
      heartbeat_seconds: a process that is silent for twice as long is lost to JAX's own
        service, which ends the others. (training/faults.py does so after this bound.)
      start_seconds: within which all have to have come.

    If not all have come in time, the process ends (JAX would abort it) with code 76.

    Raises:
      UserError: if the three variables contradict each other.
    """
    if jax.distributed.is_initialized():
        return
    count, index = (_number(name) for name in (COUNT, ID))
    address = os.environ.get(ADDRESS)
    if count == 1:
        return
    if (count is None) != (index is None) or (count is not None and not address):
        unset = [name for name in (ADDRESS, COUNT, ID) if not os.environ.get(name)]
        raise UserError(
            f"expected all of {ADDRESS}, {COUNT} and {ID}, or the first alone, or none; "
            f"{' and '.join(unset)} is not set"
        )
    if count is not None and not 0 <= index < count:
        raise UserError(f"expected 0 <= {ID} < {COUNT}, got {index} and {count}")
    late = threading.Timer(start_seconds, _end_late, (address, start_seconds))
    late.daemon = True
    late.start()
    try:
        with warnings.catch_warnings():
            # Of clusters that might be there, were a package of theirs installed.
            warnings.simplefilter("ignore")
            jax.distributed.initialize(
                address,
                count,
                index,
                initialization_timeout=start_seconds + _LATE_SECONDS,
                heartbeat_timeout_seconds=2 * heartbeat_seconds,
                shutdown_timeout_seconds=2 * heartbeat_seconds,
            )
    except Exception as error:
        if count is not None:
            raise
        # No cluster is found; or none was looked for, since devices are in use already.
        if address is None and any(w in str(error) for w in ("defined", "before")):
            return
        raise UserError(
            "there seems to be a cluster, and it does not say how many processes there "
            f"are and which this is ({_first_line(error)}): set {ADDRESS}, {COUNT} and "
            f"{ID}; {COUNT}=1 trains on this machine alone"
        ) from error
    finally:
        late.cancel()


def shutdown() -> None:
    """Waits for the others and parts from them."""
    if jax.distributed.is_initialized():
        jax.distributed.shutdown()


def client() -> Any:
    """The coordinator's client, or None where this process is alone."""
    from jax._src import distributed

    return distributed.global_state.client


def coordinator_listens() -> bool:
    """Whether somebody takes connections where the coordinator did."""
    from jax._src import distributed

    name, port = distributed.global_state.coordinator_address.rsplit(":", 1)
    try:
        socket.create_connection(
            (name.strip("[]"), int(port)), _CONNECT_SECONDS
        ).close()
    except OSError:
        return False
    return True


def host() -> str:
    """This machine's name."""
    return socket.gethostname()


def is_first() -> bool:
    """Whether this is the process that writes what is written once."""
    return jax.process_index() == 0


def gather(value: Any) -> list[Any]:
    """A JSON value of every process, in their order. All must call it, in one order."""
    if jax.process_count() == 1:
        return [value]
    store, turn = client(), next(_turns)
    store.key_value_set(f"animatrix/{turn}/{jax.process_index()}", json.dumps(value))
    return [_wait_for(f"animatrix/{turn}/{i}") for i in range(jax.process_count())]


def broadcast(value: Any) -> Any:
    """Process 0's JSON value, on every process."""
    if jax.process_count() == 1:
        return value
    turn = next(_turns)
    if is_first():
        client().key_value_set(f"animatrix/{turn}/0", json.dumps(value))
    return _wait_for(f"animatrix/{turn}/0")


def agreed(make: Callable[[], T]) -> T:
    """What `make()` gives on process 0, a JSON value, on every process.

    Raises:
      UserError: on the others too, if process 0 failed by a user's mistake.
      RuntimeError: on the others, if it failed by one of ours.
    """
    if jax.process_count() == 1:
        return make()
    if not is_first():
        made, failed, by_user = broadcast(None)
        if failed:
            kind = UserError if by_user else RuntimeError
            raise kind(f"process 0 failed: {failed}")
        return made
    try:
        with apart():
            made = make()
    except Exception as error:
        broadcast([None, _first_line(error), isinstance(error, UserError)])
        raise
    broadcast([made, None, False])
    return made


def in_turn(make: Callable[[], T]) -> T:
    """`make()` on process 0, and when it is through, on the others.

    For what lies in a shared folder: the first call writes it, later ones read it.

    Raises:
      UserError: on the others too, if process 0 failed.
    """
    made: list[T] = []
    agreed(lambda: made.append(make()))
    with apart():
        return made[0] if made else make()


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """For what one process of several computes by itself: the mesh of all of them is not
    set meanwhile, since a program on it would wait for the others."""
    if jax.process_count() == 1:
        yield
    else:
        with jax.set_mesh(make_mesh(MeshConfig(), jax.local_devices()[:1])):
            yield


def check_shared(folder: pathlib.Path) -> None:
    """Does nothing, but for a folder that is not one and the same to all processes.

    Raises:
      UserError: naming the hosts that do not see it.
    """
    if jax.process_count() == 1:
        return
    token = folder / f".seen-{broadcast(secrets.token_hex(8))}"
    agreed(token.touch)
    blind = [name for name in gather(None if token.exists() else host()) if name]
    agreed(token.unlink)
    if blind:
        raise UserError(
            f"{folder} of process 0 is not there on {', '.join(blind)}: --workdir has to "
            "be a folder that all hosts share (a mounted bucket, NFS)"
        )


def share_batches(mesh: Mesh) -> None:
    """From now on, `batch_share` is this host's of batches on `mesh`.

    Hosts that a batch is not split over (of one sequence or tensor group) make the same
    rows.

    Raises:
      UserError: if a host's devices take rows that do not lie together.
    """
    global _share
    count = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    slices = batch_sharding(mesh).addressable_devices_indices_map((count,)).values()
    rows = sorted({row for (part,) in slices for row in range(*part.indices(count))})
    if rows != list(range(rows[0], rows[-1] + 1)) or rows[0] % len(rows):
        raise UserError(
            f"mesh {dict(mesh.shape)}: the devices of {host()} take parts {rows} of "
            f"{count} of a batch, which do not lie together"
        )
    _share = (rows[0] // len(rows), count // len(rows))


def batch_share() -> tuple[int, int]:
    """Which part of every batch this host makes, and of how many parts."""
    return _share or (jax.process_index(), jax.process_count())


def fetch(tree: Any) -> Any:
    """A tree of global arrays as numpy on every host; alone, the tree as it is.

    Leaf by leaf, each replicated over the devices on its way: a device holds one more
    leaf at a time, a host the whole tree.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(
        lambda leaf: multihost_utils.process_allgather(leaf, tiled=True), tree
    )


def concatenate(part: np.ndarray) -> np.ndarray:
    """Each host's rows [n ...] of a batch, one after the other, on every host."""
    if jax.process_count() == 1:
        return part
    share = np.array(batch_share()[0])
    parts, shares = map(np.asarray, multihost_utils.process_allgather((part, share)))
    # Those that compute one share of a batch together hold the same rows.
    once = parts[np.unique(shares, return_index=True)[1]]
    return once.reshape(-1, *part.shape[1:])


def _wait_for(key: str) -> Any:
    """A value of the store, when it is there; the loss of who sets it ends this process
    from elsewhere, so that no bound is needed here."""
    while True:
        try:
            return json.loads(client().blocking_key_value_get(key, _POLL_MS))
        except RuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _end_late(address: str | None, seconds: int) -> None:
    line = f"not all processes came together within loop.start_seconds = {seconds}"
    sys.stderr.write(f"\nanimatrix: {line}, at {address or 'the detected address'}\n")
    sys.stderr.flush()
    os._exit(EXIT_PEER)


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    if text in (None, ""):
        return None
    if not text.isdigit():
        raise UserError(f"expected a number in {name}, got {text!r}")
    return int(text)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

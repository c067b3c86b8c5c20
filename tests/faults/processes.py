"""Starts the processes of member.py on loopback, and waits for what they say and do."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

MEMBER = pathlib.Path(__file__).parent / "member.py"
PATIENCE = 240


class Run:
    """The processes of one run, with their output in files of their own."""

    def __init__(self, workdir, count=1, *, before=(), **options):
        self.workdir = workdir
        self.logs = []
        self.processes = []
        port = free_port()
        for index in range(count):
            environment = dict(os.environ)
            if count > 1:
                environment |= {
                    "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                    "JAX_NUM_PROCESSES": str(count),
                    "JAX_PROCESS_ID": str(index),
                }
            workdir.mkdir(parents=True, exist_ok=True)
            log = workdir / f"log-{time.monotonic_ns()}-{index}"
            self.logs.append(log)
            command = [sys.executable, MEMBER, workdir, json.dumps(options)]
            with log.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [*before, *command],
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env=environment,
                    )
                )

    def said(self, index):
        """What a process has printed."""
        return self.logs[index].read_text()

    def until_step(self, step):
        """Waits until the metrics have reached a step."""
        metrics = self.workdir / "toy" / "metrics.jsonl"
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for index, process in enumerate(self.processes):
                assert process.poll() is None, self.said(index)[-3000:]
            if metrics.exists() and f'"step": {step},' in metrics.read_text():
                return
            time.sleep(0.02)
        raise AssertionError(f"no step {step}: {self.said(0)[-3000:]}")

    def signal(self, index, number):
        """Sends a signal to one process."""
        self.processes[index].send_signal(number)

    def codes(self, seconds=PATIENCE):
        """Exit codes of all processes, which have so long to come to their end."""
        until = time.monotonic() + seconds
        try:
            return [p.wait(max(until - time.monotonic(), 0.1)) for p in self.processes]
        finally:
            self.kill()

    def kill(self):
        """Ends what is still there."""
        for process in self.processes:
            process.kill()
            process.wait()

    def summary(self):
        """Process 0's summary, once all have ended well."""
        codes = self.codes()
        assert not any(codes), (
            codes,
            *(self.said(i)[-3000:] for i in range(len(codes))),
        )
        return json.loads(self.said(0).strip().splitlines()[-1])

    def line(self, index):
        """The line that a process ended with."""
        lines = [
            text for text in self.said(index).splitlines() if "animatrix: " in text
        ]
        assert len(lines) == 1, self.said(index)[-3000:]
        return lines[0]


def clips_of(workdir):
    """{step: clips of the whole batch} that the last attempt over each step took."""
    parts = {}
    for path in sorted(workdir.glob("clips-*.jsonl"), key=lambda p: p.stat().st_mtime):
        for text in path.read_text().splitlines():
            step, host, clips = json.loads(text)
            parts.setdefault((path.name.split("-of-")[1], step), {})[host] = clips
    return {
        (hosts, step): [clip for host in sorted(rows) for clip in rows[host]]
        for (hosts, step), rows in parts.items()
    }


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]

"""The model server: llama.cpp's own OpenAI-compatible server, in a process of its own.

Run as `python -m crp.local.model_server --model FILE --port P ...` with the key in the
environment variable CRP_MODEL_KEY. Loopback only, every path but /health needs the key, and no
web page may call it. It ends when its parent ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crp.local.leash import follow_parent
from crp.local.ports import port_is_free, port_taken

PROMPT_CACHE_MB = 256
"""Prompts of earlier calls kept in memory; llama.cpp would take up to 8 GB."""


def command(
    model: Path, name: str, port: int, context: int, slots: int, threads: int
) -> tuple[str, ...]:
    """Give the command line of the server; `context` is in tokens per slot."""
    options = {"model": model, "name": name, "port": port, "context": context, "slots": slots}
    return (
        *(sys.executable, "-m", "crp.local.model_server"),
        *(part for key, value in options.items() for part in (f"--{key}", str(value))),
        *("--threads", str(threads or default_threads())),
    )


def default_threads() -> int:
    """One less than there are cores: with all of them a busy machine gets 14 times slower."""
    return max(1, (os.cpu_count() or 2) - 1)


async def healthy(port: int) -> bool:
    """Whether a server on this port says that its model is loaded. Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        await writer.drain()
        status = await asyncio.wait_for(reader.readline(), 2.0)
    finally:
        writer.close()
    return b" 200 " in status


def explain(log: str, model: Path, port: int) -> str | None:
    """Turn what the server wrote into one line, when starting it again can not help."""
    if "port is taken" in log or "couldn't bind HTTP server socket" in log:
        return port_taken("embedded.model_port", port)
    if "invalid magic characters" in log or "error loading model" in log:
        return (
            f"the model file {model} is damaged or not a GGUF file that this llama.cpp knows: "
            "delete it and run `crp model pull`"
        )
    if "No module named 'xllamacpp'" in log:
        return "the package xllamacpp is not installed in this environment: install it again"
    return None


def parameters(options: argparse.Namespace, key: str) -> Any:
    """Build llama.cpp's parameters."""
    from xllamacpp import CommonParams

    p = CommonParams()
    p.model.path = options.model
    p.model_alias = {options.name}
    p.hostnames = ["127.0.0.1"]
    p.port = options.port
    # The context is divided by the slots: each gets its own share, whatever the others do.
    p.n_ctx = options.context * options.slots
    p.n_parallel = options.slots
    p.kv_unified = False
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = options.threads
    p.n_gpu_layers = 0
    p.fit_params = False
    p.api_keys = [key]
    p.cors_origins, p.cors_credentials = "", False
    p.endpoint_metrics = True
    p.ui = False
    p.warmup = True
    p.cache_ram_mib = PROMPT_CACHE_MB
    p.verbosity = 1
    return p


def main(argv: Sequence[str]) -> int:
    """Serve until the parent ends or a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m crp.local.model_server")
    for flag, kind in (("model", str), ("name", str)):
        parser.add_argument(f"--{flag}", type=kind, required=True)
    for flag, default in (("port", 0), ("context", 4096), ("slots", 4), ("threads", 1)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    options = parser.parse_args(argv)
    if not (key := os.environ.get("CRP_MODEL_KEY")):
        print("Error: CRP_MODEL_KEY is not set: the server does not run without a key")
        return 2
    # llama.cpp would load the model first and only then see that it can not listen.
    if options.port and not port_is_free(options.port):
        print(f"Error: port is taken: {options.port}")
        return 1
    follow_parent()
    return _serve(parameters(options, key))


def _serve(p: Any) -> int:
    from xllamacpp import Server

    # Nothing is worth a slow end: the server keeps no state.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        server = Server(p)
    except RuntimeError as error:
        print(f"Error: {error}")
        return 1
    print(f"listening on {server.listening_address}", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        os._exit(0)

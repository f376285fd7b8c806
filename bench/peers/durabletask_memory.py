"""durabletask with the backend that its package brings: in memory, so not durable at all.

Its durable backends are servers that no package index has; this shows what its protocol costs.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from common import STEPS, arguments, measure, note


def main() -> None:
    given = arguments("durabletask")
    from durabletask import client, task, worker
    from durabletask.testing import create_test_backend

    def step(context: Any, asked: list[Any]) -> str:
        return note(asked[0], asked[1])

    def sequence(context: Any, job: int) -> Any:
        answers: list[str] = []
        for number in range(1, STEPS + 1):
            before = answers[-1] if answers else ""
            answers.append((yield context.call_activity(step, input=[job, number, before])))
        return answers

    def parallel(context: Any, job: int) -> Any:
        asked = [context.call_activity(step, input=[job, n, ""]) for n in range(1, STEPS + 1)]
        return (yield task.when_all(asked))

    orchestrator = parallel if given.shape == "parallel" else sequence
    port = _free_port()
    backend = create_test_backend(port=port)
    address = f"localhost:{port}"
    try:
        with worker.TaskHubGrpcWorker(host_address=address) as served:
            served.add_activity(step)
            served.add_orchestrator(orchestrator)
            served.start()
            hub = client.TaskHubGrpcClient(host_address=address)

            def one(number: int) -> None:
                begun = hub.schedule_new_orchestration(orchestrator, input=number)
                state = hub.wait_for_orchestration_completion(begun, timeout=600)
                assert state is not None
                assert state.runtime_status == client.OrchestrationStatus.COMPLETED, state

            async def job(number: int) -> None:
                await asyncio.to_thread(one, number)

            asyncio.run(measure(given, job))
    finally:
        backend.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    main()

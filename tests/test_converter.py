"""The data converter: small values stay in Temporal, big ones lie in the blob store, once."""

from __future__ import annotations

import shutil
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from crp.blobs import BlobStore
from crp.converter import data_converter
from crp.errors import NotFound, StoreError
from crp.models import Attempt, Call, Completion, Level, TransportFailure, Usage


def stored(directory: Path) -> list[Path]:
    """The blobs, without the lists of who owns them."""
    return [path for path in directory.rglob("*") if path.is_file() and len(path.name) == 64]


async def test_models_keep_their_types(tmp_path: Path) -> None:
    converter = data_converter(BlobStore(tmp_path))
    failure = TransportFailure(at=datetime.now(UTC), kind="RateLimited", message="é \x00")
    payloads = await converter.encode([failure])
    assert await converter.decode(payloads, [TransportFailure]) == [failure]
    assert stored(tmp_path) == []


async def test_what_is_big_goes_by_reference_and_lies_there_once(tmp_path: Path) -> None:
    converter = data_converter(BlobStore(tmp_path), threshold=1000)
    big = Completion(text="word " * 100_000)
    first = await converter.encode([big, "small", big])
    second = await converter.encode([big])
    assert len(stored(tmp_path)) == 1
    assert all(payload.ByteSize() < 500 for payload in first)
    types: list[type] = [Completion, str, Completion]
    assert await converter.decode(first, types) == [big, "small", big]
    assert await converter.decode(second, [Completion]) == [big]


async def test_another_process_with_the_same_directory_reads_it(tmp_path: Path) -> None:
    payloads = await data_converter(BlobStore(tmp_path)).encode(["x" * 10_000])
    assert await data_converter(BlobStore(tmp_path)).decode(payloads, [str]) == ["x" * 10_000]


async def test_a_payload_that_is_gone_or_damaged_is_a_clear_error(tmp_path: Path) -> None:
    converter = data_converter(BlobStore(tmp_path))
    payloads = await converter.encode(["x" * 10_000])
    [path] = stored(tmp_path)
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="is damaged"):
        await converter.decode(payloads, [str])
    path.unlink()
    with pytest.raises(NotFound, match="no blob"):
        await converter.decode(payloads, [str])


async def test_what_was_taken_away_meanwhile_is_put_again(tmp_path: Path) -> None:
    converter = data_converter(BlobStore(tmp_path))
    await converter.encode(["x" * 10_000])
    [path] = stored(tmp_path)
    path.unlink()
    payloads = await converter.encode(["x" * 10_000])
    assert stored(tmp_path) == [path]
    assert await data_converter(BlobStore(tmp_path)).decode(payloads, [str]) == ["x" * 10_000]


async def test_what_many_jobs_share_is_read_from_the_disk_once(tmp_path: Path) -> None:
    """The brief of a job is an argument of each of its calls."""
    read: list[str] = []

    class Counting(BlobStore):
        def get(self, sha256: str) -> bytes:
            read.append(sha256)
            return super().get(sha256)

    converter = data_converter(Counting(tmp_path))
    [payload] = await converter.encode(["x" * 10_000])
    for _ in range(3):
        assert await converter.decode([payload], [str]) == ["x" * 10_000]
    assert len(read) == 1


async def test_calls_and_attempts_travel_without_what_says_nothing() -> None:
    call = Call(stage="execute", step="draft", outputs={"before": "é"}, level=Level.HEAVY)
    attempt = Attempt(stage="execute", value=0, usage=Usage(calls=1), finished_at=datetime.now(UTC))
    converter = data_converter(None)
    payloads = await converter.encode([call, attempt])
    assert await converter.decode(payloads, [Call, Attempt]) == [call, attempt]
    assert [len(payload.data) < 120 for payload in payloads] == [True, True]
    assert b"null" not in payloads[1].data


async def test_an_attempt_with_all_its_fields_is_read_too(tmp_path: Path) -> None:
    """Histories that were written before have them."""
    attempt = Attempt(stage="execute", output="a")
    whole = Payload(metadata={"encoding": b"json/plain"}, data=attempt.model_dump_json().encode())
    assert await data_converter(None).decode([whole], [Attempt]) == [attempt]


async def test_without_a_store_everything_stays_in_temporal() -> None:
    converter = data_converter(None)
    [payload] = await converter.encode(["x" * 10_000])
    assert payload.ByteSize() > 10_000


# -- with a real server --------------------------------------------------------------------------

runs: list[str] = []


@activity.defn
async def three_megabytes(name: str) -> Completion:
    runs.append(name)
    return Completion(text=name[0] * 3_000_000)


@workflow.defn(sandboxed=False)
class BigResult:
    @workflow.run
    async def run(self, name: str) -> int:
        result = await workflow.execute_activity(
            three_megabytes, name, start_to_close_timeout=timedelta(seconds=30)
        )
        again = await workflow.execute_activity(
            length, result, start_to_close_timeout=timedelta(seconds=30)
        )
        return again + len(result.text)


@activity.defn
async def length(completion: Completion) -> int:
    return len(completion.text)


@pytest.mark.slow
async def test_a_result_of_three_megabytes_is_made_once_and_comes_back_whole(
    tmp_path: Path,
) -> None:
    converter = data_converter(BlobStore(tmp_path))
    server = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which(
        "temporal"
    )
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=server, data_converter=converter
    ) as environment:
        client: Client = environment.client
        name = str(uuid.uuid4())
        async with Worker(
            client, task_queue="q", workflows=[BigResult], activities=[three_megabytes, length]
        ):
            total = await client.execute_workflow(
                BigResult.run, name, id=name, task_queue="q", run_timeout=timedelta(seconds=60)
            )
        history = await client.get_workflow_handle(name).fetch_history()
    assert total == 6_000_000
    assert runs == [name]
    assert len(stored(tmp_path)) == 1  # result and argument are the same bytes
    assert sum(event.ByteSize() for event in history.events) < 20_000

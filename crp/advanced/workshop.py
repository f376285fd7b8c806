"""What the jobs of one engine object work with, and who frees it.

Owned: a temporary directory and a store in memory, unless others were given. They go when the
engine is closed, or with the engine object itself.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from crp.blobs import BlobStore
from crp.errors import ModelRefused, UsageError
from crp.models import Completion
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import CallableProvider, ModelRequest, Provider
from crp_activities.providers.callable import DispatchFn
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore


class Workshop:
    """The tools of the activities, and the trace store."""

    def __init__(
        self, dispatch_fn: DispatchFn | None, store: TraceStore | None, directory: Path | None
    ) -> None:
        root = directory or Path(tempfile.mkdtemp(prefix="crp-engine-"))
        # A finalizer and no TemporaryDirectory: that one complains when nobody closed it.
        self._scratch = (
            None if directory else weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        )
        self._own_store = None if store else TraceStore.in_memory()
        self._store = store or self._own_store
        provider: Provider = CallableProvider(dispatch_fn) if dispatch_fn else _Nobody()
        self.tools = Tools(
            Models.of({"default": provider}),
            AnswerJournal(root / "answers"),
            BlobStore(root / "blobs"),
        )

    @property
    def store(self) -> TraceStore:
        """The trace store. Raises UsageError when the engine is closed."""
        if self._store is None:
            raise UsageError("the engine is closed")
        return self._store

    def close(self) -> None:
        """Free what is owned; what was given is left alone. Closing again does nothing."""
        self._store = None
        if self._own_store is not None:
            self._own_store.close()
        if self._scratch is not None:
            self._scratch()


class _Nobody:
    """Stands where there is no dispatch function; an engine without one asks nothing."""

    async def complete(self, request: ModelRequest) -> Completion:
        raise ModelRefused("this engine has no dispatch_fn")

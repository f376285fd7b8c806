"""What the activities work with: made once for each worker, or for each in-process engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from crp.blobs import BlobStore
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.pressure import Pressures


@dataclass
class Tools:
    """The worker's hold on the world."""

    models: Models
    answers: AnswerJournal
    blobs: BlobStore
    pressures: Pressures = field(default_factory=Pressures)

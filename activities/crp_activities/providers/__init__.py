"""The ways to reach a model: over HTTP, through a Python function, from a script."""

from crp_activities.providers.base import ModelRequest, Provider
from crp_activities.providers.callable import CallableProvider
from crp_activities.providers.openai import Endpoint, OpenAIProvider
from crp_activities.providers.scripted import ScriptedModel

__all__ = [
    "CallableProvider",
    "Endpoint",
    "ModelRequest",
    "OpenAIProvider",
    "Provider",
    "ScriptedModel",
]

# SPDX-License-Identifier: Apache-2.0
"""An actor like the real one, but for what happens to recordings of certain names."""

from __future__ import annotations

from oido.batch.ray_actor import RayActor, Started
from oido.batch.worker import Fatal

__all__ = ["CrashingActor"]


class CrashingActor(RayActor):
    def prepare(self, version: str, order: bytes) -> Started | Fatal:
        from tests.batch import crashing_worker  # noqa: F401  # it puts itself in the way

        return super().prepare(version, order)

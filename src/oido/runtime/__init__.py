# SPDX-License-Identifier: Apache-2.0
"""Patches to scores and embeddings: one small interface, LiteRT behind it, and a shipped fake."""

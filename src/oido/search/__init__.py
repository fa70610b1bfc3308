# SPDX-License-Identifier: Apache-2.0
"""Search over embeddings: shards of vectors on disk, and an index over them."""

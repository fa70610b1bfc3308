# SPDX-License-Identifier: Apache-2.0
"""Many recordings: each is classified in a worker process, and a bad one costs only itself."""

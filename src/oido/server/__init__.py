# SPDX-License-Identifier: Apache-2.0
"""``oido serve``: recordings by HTTP, streams by WebSocket.

What comes from outside is decoded in worker processes (`pool`, `worker`); streams of plain samples
are heard in the server's own process by a few threads that all streams share
(`oido.inference.scheduler`).
"""

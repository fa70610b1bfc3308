# SPDX-License-Identifier: Apache-2.0
"""Many sources heard side by side: a few threads hear for all of them, batched across sources."""

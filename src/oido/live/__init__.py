# SPDX-License-Identifier: Apache-2.0
"""Sound as it comes: sources without an end, classified while they last."""

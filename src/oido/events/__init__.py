# SPDX-License-Identifier: Apache-2.0
"""Scores to what people read: categories of a window or a clip, and events in time."""

# SPDX-License-Identifier: Apache-2.0
"""Rows to files that people and programs read: tables, label tracks, captions."""

# SPDX-License-Identifier: Apache-2.0
"""Labelled clips, wherever they come from: read, checked, split, and decoded."""

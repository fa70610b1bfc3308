# SPDX-License-Identifier: Apache-2.0
"""A model that predicts: from a source's samples to scores, window by window."""

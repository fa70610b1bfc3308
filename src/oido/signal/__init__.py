# SPDX-License-Identifier: Apache-2.0
"""Bytes to patches: decode, resample, cut into windows, and turn into log-mel patches."""

# SPDX-License-Identifier: Apache-2.0
"""Probabilities that mean what they say, and thresholds that can be acted on."""

# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files as data: read, cut, built, described and translated."""

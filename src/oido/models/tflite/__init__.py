# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files as data: taken apart, built, described and translated."""

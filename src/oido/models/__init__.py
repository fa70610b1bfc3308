# SPDX-License-Identifier: Apache-2.0
"""A model's name to a verified file, and what is in it."""

# SPDX-License-Identifier: Apache-2.0
"""How good a model is, and how sure that is; whether new recordings still fit it."""

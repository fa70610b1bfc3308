# SPDX-License-Identifier: Apache-2.0
"""The networks that oido knows by heart, and the weights they are built from."""

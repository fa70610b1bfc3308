# SPDX-License-Identifier: Apache-2.0
"""Teaching new sounds: labelled clips, and what is made of them."""

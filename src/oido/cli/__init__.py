# SPDX-License-Identifier: Apache-2.0
"""The command line: each command parses, calls and prints."""

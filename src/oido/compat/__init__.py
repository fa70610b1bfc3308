# SPDX-License-Identifier: Apache-2.0
"""oido behind the names of other libraries, so that their programs run with one import changed."""

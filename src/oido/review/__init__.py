# SPDX-License-Identifier: Apache-2.0
"""Places of an archive that people say yes or no to: what is asked, in which order, the page."""

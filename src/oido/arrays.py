# SPDX-License-Identifier: Apache-2.0
"""Arrays by the names that docstrings give them: what is ``f32[N, C]`` there is ``F32`` in code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

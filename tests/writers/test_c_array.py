# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from oido.errors import OptionError
from oido.writers.c_array import c_array, c_text


def test_arrays_and_texts_are_what_they_were_in_c_and_in_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    values = [-128, 0, 127, *range(40)]
    text = 'wren "á"\\ ??/'
    (tmp_path / "a.c").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        + c_array("numbers", "int8_t", values, alignment=16)
        + f"const char *const text = {c_text(text)};\n"
        + 'int main(void) {\n  printf("%d ", (int)((uintptr_t)numbers % 16));\n'
        + '  for (unsigned k = 0; k < sizeof numbers; ++k) printf("%d ", numbers[k]);\n'
        + '  printf("|%s", text);\n  return 0;\n}\n'
    )
    compilers = [(compiler, ["-std=c99"]), (shutil.which("g++"), ["-std=c++11", "-x", "c++"])]
    for name, flags in compilers:
        if name is None:
            continue
        program = tmp_path / "program"
        made = [name, *flags, "-Wall", "-Werror", str(tmp_path / "a.c"), "-o", str(program)]
        subprocess.run(made, check=True)
        found = subprocess.run([str(program)], capture_output=True, check=True).stdout.decode()
        numbers, _, printed = found.partition("|")
        assert [int(n) for n in numbers.split()] == [0, *values]
        assert printed == text


def test_names_must_be_names_of_c() -> None:
    with pytest.raises(OptionError, match="is no name of C"):
        c_array("a-b", "int8_t", [1])

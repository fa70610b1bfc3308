# SPDX-License-Identifier: Apache-2.0
"""Threshold files, and thresholds spread over classes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from oido.errors import OptionError, UnknownLabelError
from oido.events.thresholds import on_thresholds, read_thresholds
from oido.params import Detection

PETS = "Domestic animals, pets"
PAIRS = (("Dog", 0.4), (PETS, 0.25), ("Music", 1.0))


@pytest.fixture
def file(tmp_path):
    def write(content, name="thresholds.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("header", ["label,threshold\n", "", " label , threshold \n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv(file, header, line_end, mark):
    text = f'{mark}{header}Dog,0.4\n"{PETS}",0.25\n\nMusic,1\n'
    assert read_thresholds(file(text.replace("\n", line_end))) == PAIRS


def test_csv_may_have_spaces_quotes_and_no_last_line_end(file):
    assert read_thresholds(file('Dog , 0.4\n"Say ""hello""",1e-1')) == (
        ("Dog", 0.4),
        ('Say "hello"', 0.1),
    )


@pytest.mark.parametrize("indent", [None, 2])
def test_json(file, indent):
    text = json.dumps(dict(PAIRS), indent=indent)
    for name in ("thresholds.json", "thresholds.txt"):
        assert read_thresholds(file(f"\n {text}", name)) == PAIRS
    assert read_thresholds(str(file(text))) == PAIRS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Dog", 1),
        ("Dog,loud", 1),
        ("label,threshold\nDog,0.4\nMusic,", 3),
        ("label,threshold\nDog,0.4\n\nMusic;0.4\n", 4),
        (f"Dog,0.4\n{PETS},0.25", 2),
        ("Dog,0.4\nlabel,threshold", 2),
        ("[0.4, 0.5]", 1),
        ('Dog,0.4\n"Music,0.5\nSpeech,0.5', 2),
    ],
)
def test_a_bad_line_is_named(file, text, line):
    path = file(text)
    with pytest.raises(OptionError, match=rf"line {line}\b") as raised:
        read_thresholds(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["label,threshold\nDog,0.1\nDog,0.9\n", '{"Dog": 0.1, "Cat": 1, "Dog": 0.1}', "Dog,1\n Dog ,1"],
)
def test_a_label_that_stands_there_twice_is_refused(file, text):
    path = file(text)
    with pytest.raises(OptionError, match="names 'Dog' twice; leave one of them") as raised:
        read_thresholds(path)
    assert str(path) in str(raised.value)


def test_two_spellings_of_one_label_are_refused(classifier):
    detection = Detection(thresholds=(("Dog", 0.1), ("dog", 0.9)))
    with pytest.raises(OptionError, match="one label twice: 'Dog' and 'dog'; leave one"):
        on_thresholds(521, detection, classifier.label_indices)
    own = (("Dog", 0.1),)  # the user's comes before the model's own
    on = on_thresholds(521, Detection(thresholds=(("dog", 0.9),)), classifier.label_indices, own)
    assert on[classifier.label_indices(["Dog"])[0]] == np.float32(0.9)


@pytest.mark.parametrize(
    "text", ['{"Dog": ' + "9" * 400 + "}", '{"a": ' + "[" * 100_000, '{"Dog": {"a": 1}}']
)
def test_numbers_and_brackets_without_end_are_told(file, text):
    with pytest.raises(OptionError, match="must be a JSON object"):
        read_thresholds(file(text))


def test_a_label_with_a_comma_is_told_about_quotes(file):
    with pytest.raises(OptionError, match="in quotes"):
        read_thresholds(file(f"{PETS},0.25"))


@pytest.mark.parametrize(
    "text", ['{"Dog": }', '{"Dog": "loud"}', '{"Dog": null}', '{"Dog": [0.4]}', '{"Dog": 0.4', "{"]
)
def test_bad_json_is_told(file, text):
    path = file(text, "thresholds.json")
    with pytest.raises(OptionError, match="JSON") as raised:
        read_thresholds(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["", "\n\n", "label,threshold\n", "{}"])
def test_a_file_without_thresholds_is_an_error(file, text):
    with pytest.raises(OptionError, match="no thresholds"):
        read_thresholds(file(text))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00D", b"Dog,\xe9\n", b"\x89PNG\r\n\x1a\n\0\0"])
def test_a_file_that_is_no_table_names_the_line(file, content):
    with pytest.raises(OptionError, match="line 1: must be label,threshold"):
        read_thresholds(file(content))


@pytest.mark.parametrize(
    "text",
    [
        "label;threshold\nSiren;0,4\nAño;0,2\n",
        "Siren;0,4\nAño;0,2\n",
        "Siren\t0,4\nAño\t0.2\n",
        "sep=;\nLABEL;Threshold\nSiren;0,4\nAño;0,2\n",
        "label, threshold\nSiren, 0.4\n\n,\nAño, 0.2\n",
        "label,threshold,note\nSiren,0.4,\nAño,0.2,soft\n",
        "note;threshold;label\n;0,4;Siren\nsoft;0,2;Año\n",
        "label,threshold\nSiren,40%\nAño,20 %\n",
        "Siren;0,4;;\nAño;0,2;;\n;;;\n",
        'label,threshold\nSiren,"0,4"\n"Año","0,2"\n',
        "Class;Threshold\nSiren;0,4\nAño;0,2\n",
        "Umbral;Label\n0,4;Siren\n0,2;Año\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_thresholds_as_spreadsheets_write_them(file, text, encoding, line_end):
    content = text.replace("\n", line_end).encode(encoding)
    assert read_thresholds(file(content)) == (("Siren", 0.4), ("Año", 0.2))


def test_a_field_without_end_is_an_option_error(file):
    with pytest.raises(OptionError):
        read_thresholds(file('Dog,0.4\n"' + "x" * 200_000))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(OptionError, match="cannot be read"):
        read_thresholds(tmp_path / "absent.csv")
    with pytest.raises(OptionError, match="cannot be read"):
        read_thresholds(tmp_path)


def test_each_class_has_its_own_or_the_common_threshold(indices):
    on = on_thresholds(5, Detection(0.3, thresholds=((PETS, 0.5), ("dog", 0.1))), indices)
    assert on.dtype == np.float32
    np.testing.assert_array_equal(on, np.array([0.3, 0.1, 0.5, 0.3, 0.3], np.float32))


def test_an_unknown_label_among_thresholds_names_the_nearest(indices):
    with pytest.raises(UnknownLabelError, match=r"'Dogs'.*'Dog'"):
        on_thresholds(5, Detection(thresholds=(("Dogs", 0.5),)), indices)


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "inf"])
def test_a_value_out_of_range_is_an_option_error(file, value):
    """By the file or by what uses it: no such number ever makes events."""

    def use() -> Detection:
        return Detection(thresholds=read_thresholds(file(f"Dog,{value}")))

    with pytest.raises(OptionError, match="Dog"):
        use()

# SPDX-License-Identifier: Apache-2.0
"""Conditions as strangers write them, and the sentence that each gets."""

from __future__ import annotations

import pytest

from oido.errors import OptionError
from oido.results import Results
from oido.results.query_text import labels_in, rename_labels
from tests.results.results_folders import FolderMaker, event, recording


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    maker = FolderMaker(tmp_path_factory.mktemp("slips") / "results")
    labels = ("Dog", "Siren", "Police car (siren)", "Beep, bleep")
    rows = [event("a.wav", 1.0, 2.0, label) for label in labels]
    maker.commit({"recordings": [recording("a.wav", 9.0)], "events": rows})
    return str(maker.folder)


QUOTES = "texts stand in single quotes: write "


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("label = Dog", f"{QUOTES}label = 'Dog'"),
        ("label = dog and score > 0.1", f"{QUOTES}label = 'Dog'"),
        ("label = Dgo", f"{QUOTES}label = 'Dog'"),
        ("label = Perro", f"{QUOTES}label = 'Dog'"),
        ('label = "Dog"', f"{QUOTES}label = 'Dog'"),
        ('label == "Dog"', f"{QUOTES}label = 'Dog'"),
        ('label != "Dog"', f"{QUOTES}label <> 'Dog'"),
        ("label = “Dog”", f"{QUOTES}label = 'Dog'"),
        ("label = ‘Dog’", f"{QUOTES}label = 'Dog'"),
        ("label = `Dog`", f"{QUOTES}label = 'Dog'"),
        ("label: Dog", f"{QUOTES}label = 'Dog'"),
        ("label is Dog", f"{QUOTES}label = 'Dog'"),
        ("label like Dog", f"{QUOTES}label = 'Dog'"),
        ("(label = Dog)", f"{QUOTES}label = 'Dog'"),
        ("(label = Police car (siren)) or score > 1", f"{QUOTES}label = 'Police car (siren)'"),
        ("label = Police car (siren)", f"{QUOTES}label = 'Police car (siren)'"),
        ('label = "Beep, bleep"', f"{QUOTES}label = 'Beep, bleep'"),
        ("label in (Dog, Siren)", f"{QUOTES}label in ('Dog', 'Siren')"),
        ('label not in ("Dog", “Sirena”)', f"{QUOTES}label not in ('Dog', 'Siren')"),
        ("score > 0.1 and label = Dog", f"{QUOTES}label = 'Dog'"),
        ("file = 'label = Cat' and label = Dog", f"{QUOTES}label = 'Dog'"),
        ("Dog", "a condition names its column: write label = 'Dog'"),
        ("'Dog'", "a condition names its column: write label = 'Dog'"),
        ("perro > 0.5", "a condition names its column: write label = 'Dog'"),
        ("label Dog", "a condition names its column: write label = 'Dog'"),
        ("label = 'Dog' && score > 0.1", "two conditions are joined by and"),
        ("label = 'Dog' || label = 'Siren'", "two conditions are joined by and, or by or"),
        ("label = 'Dog' | label = 'Siren'", "two conditions are joined by and, or by or"),
        ("label = 'Dog' score > 0.1", "two conditions are joined by and, or by or"),
        ("label = 'Dog', score > 0.1", "two conditions are joined by and, or by or"),
        ("score > 0.1 label = 'Dog'", "two conditions are joined by and, or by or"),
        ("label = 'Dog' or 'Siren'", "a condition names its column: write label = 'Siren'"),
        ("label = 'Dog' or Siren", "a condition names its column: write label = 'Siren'"),
        ("label = ('Dog', 'Siren')", "several labels are written label in ('Dog', 'Cat')"),
        ("label = ['Dog']", "several labels are written label in ('Dog', 'Cat')"),
        ("label is 'Dog'", "write label = and the text"),
        ("label contains 'og'", "a part is written label like '%siren%'"),
        ("label = %og%", "a part is written label like '%siren%'"),
        ("label = 'Dog';", "a condition ends without a semicolon"),
        ("where label = 'Dog'", "a condition begins without the word where"),
        ("select * from events where label = 'Dog'", "a whole query: say --sql before it"),
        ("label = 'Dog' order by score", "that belongs to a whole query, behind --sql"),
        ("(label = 'Dog'", "a bracket is opened and never closed"),
        ("start_at > 2023-10-15", "times stand in single quotes"),
        ("hour = 6", "write hour(start_at), day(start_at) …; events has the columns"),
        ("site = 'A'", "write file like '%/SiteA/%'; events has the columns"),
        ("lower(label) = lower(file) and scor > 1", "did you mean score?"),
        ("label = lower(file) and scor > 1", "did you mean score?"),
        ("score > 0,5", "decimals have a point, as in 0.5"),
        ("score > 50%", "write 0.5 for 50 %"),
        ("score => 0.5", "write >= or <="),
        ("score >", "nothing stands behind its last sign"),
        ("label = 'Dog", "a quote is opened and never closed"),
        ("lable = 'Dog'", 'there is no column "lable"; did you mean label? events has the'),
        ("confidence > 0.5", 'no column "confidence"; did you mean score? events has the'),
        ("filename = 'a'", "did you mean file?"),
        ("etiqueta = 'Dog'", "did you mean label?"),
        ("zzz = 1", 'there is no column "zzz"; events has the columns file, channel'),
    ],
)
def test_slips_get_one_sentence_with_what_to_write(folder: str, condition: str, says: str) -> None:
    with Results(folder) as results, pytest.raises(OptionError) as caught:
        results.events(condition)
    text = str(caught.value)
    assert says in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select label from events where label = Dog", f"{QUOTES}label = 'Dog'"),
        ("select lable from events", "did you mean label?"),
        ("select 1 from events e join recordings r on e.label = r.file where scor > 1", "score?"),
        ("select label from events order by scor limit 1", "did you mean score?"),
        ("select label from event", "the tables are events, windows, clips"),
        ("select file from recordings where date > '2024'", "did you mean recorded_at?"),
    ],
)
def test_slips_in_whole_queries(folder: str, query: str, says: str) -> None:
    with Results(folder) as results, pytest.raises(OptionError) as caught:
        results.sql(query)
    assert says in str(caught.value)


def test_what_is_right_is_not_touched(folder: str) -> None:
    """A column beside a label, texts and comments that look like labels, other columns."""
    for condition in (
        "label = file",
        "label_index = 3 and file <> 'Perro'",
        "file = 'label = ''Perro''' /* label = 'Perro' */ -- label = 'Perro'",
        "label like 'Perro%' or concat(label, 'Perro') = 'Perro'",
    ):
        assert rename_labels(condition, lambda name: "changed") == condition
        with Results(folder) as results:
            results.events(condition)
    found = labels_in("label in ('a', 'it''s') or 'b' = label and label <> 'c'")
    assert list(found) == ["a", "it's", "b"]


def test_a_misspelt_name_of_a_column(folder: str) -> None:
    told = r"no column 'lable' \(did you mean 'label'\?\)"
    with Results(folder) as results, pytest.raises(OptionError, match=told):
        results.events(columns=["lable"])

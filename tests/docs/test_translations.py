# SPDX-License-Identifier: Apache-2.0
"""Pages in Spanish keep step with those in English: headings, lists, tables, figures, examples."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "es" / "guides").glob("*.md"))
PAIRS = [(ROOT / "README.md", ROOT / "README.es.md")]
PAIRS += [(ROOT / "docs" / "guides" / page.name, page) for page in GUIDES]

_COMMENTS = {"sh": r"#.*", "python": r"#.*", "kotlin": r"//.*", "js": r"//.*", "swift": r"//.*"}
_PLACES = r"(YOUR|TU)-\S+"
"""What a reader replaces; each language has words of its own for it."""
_INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])\.?\d+(?:\.\d+)*(?:e-\d+)?(?!\w)")


def code_of(text: str) -> list[tuple[str, list[str]]]:
    """The blocks of code: language, and words without comments and without columns of prose."""
    blocks = []
    for language, written in re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.M):
        code = re.sub(_PLACES, "", written)
        if comment := _COMMENTS.get(language):
            code = re.sub(comment, "", code)
        elif language == "text":
            code = re.sub(r"(?<=\S) {2,}\S.*", "", code)
        blocks.append((language, code.split()))
    indented = "\n".join(re.findall(r"^ {4}oido .*", without_fences(text), re.M))
    return [*blocks, ("indented", indented.split())]


def without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.M)


def shape_of(text: str) -> dict[str, list[int]]:
    """What a page is made of: levels of headings, lengths of lists, columns of each row."""
    prose = without_fences(text)
    rows = [line.replace("\\|", "") for line in prose.splitlines() if line.startswith("|")]
    return {
        "headings": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)],
        "items": [len(re.findall(r"^- ", prose, re.M)), len(re.findall(r"^\d+\. ", prose, re.M))],
        "columns": [row.count("|") for row in rows],
        "bold": [len(re.findall(r"^\*\*", prose, re.M))],
    }


def figures_of(text: str, language: str) -> Counter[str]:
    """The numbers of a page, as English writes them, without those in code and addresses."""
    prose = _INLINE_CODE.sub(" ", without_fences(text))
    prose = re.sub(r"\]\([^)]*\)|^\d+\. ", " ", prose, flags=re.M)
    if language == "es":
        prose = re.sub(r"(?<=\d),(?=\d)", ".", prose)
    else:
        prose = re.sub(r"(?<=\d),(?=\d{3}(?!\d))|(?<=\d)(?:st|nd|rd|th)\b", "", prose)
    return Counter(re.sub(r"^\.", "0.", number) for number in _NUMBER.findall(prose))


def inline_code_of(text: str) -> Counter[str]:
    """Options, names and paths in the prose: they are the same in every language."""
    found = _INLINE_CODE.findall(without_fences(text))
    return Counter(" ".join(re.sub(_PLACES, "", code).split()) for _, code in found)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named(pairs: list[tuple[Path, Path]]) -> list[object]:
    return [pytest.param(*pair, id=str(pair[1].relative_to(ROOT))) for pair in pairs]


def test_the_guides_that_are_asked_for_most_are_translated() -> None:
    wanted = {"folders", "archives", "training", "listening", "phones"}
    assert wanted <= {page.stem for page in GUIDES}


@pytest.mark.parametrize(("english", "spanish"), named(PAIRS))
def test_a_translation_has_the_same_shape(english: Path, spanish: Path) -> None:
    assert shape_of(read(spanish)) == shape_of(read(english))


@pytest.mark.parametrize(("english", "spanish"), named(PAIRS))
def test_a_translation_has_the_same_code(english: Path, spanish: Path) -> None:
    assert code_of(read(spanish)) == code_of(read(english))
    assert len(code_of(read(english))) > 1


@pytest.mark.parametrize(("english", "spanish"), named(PAIRS))
def test_a_translation_has_the_same_figures(english: Path, spanish: Path) -> None:
    expected, found = figures_of(read(english), "en"), figures_of(read(spanish), "es")
    assert (found - expected, expected - found) == (Counter(), Counter())


@pytest.mark.parametrize(("english", "spanish"), named(PAIRS))
def test_a_translation_names_the_same_options(english: Path, spanish: Path) -> None:
    expected, found = set(inline_code_of(read(english))), set(inline_code_of(read(spanish)))
    assert (found - expected, expected - found) == (set(), set())


@pytest.mark.parametrize(("english", "spanish"), named(PAIRS))
def test_the_two_pages_lead_to_each_other(english: Path, spanish: Path) -> None:
    for page, other in ((english, spanish), (spanish, english)):
        links = re.findall(r"^\[[^\]]+\]\(([^)]+)\)\.?$", read(page), re.M)
        assert other.resolve() in {(page.parent / link).resolve() for link in links}


def test_what_is_translated_is_linked_in_spanish() -> None:
    """A Spanish page leads to the Spanish guide where there is one, and the index has them all."""
    translated = {english.resolve() for english, _ in PAIRS}
    pages = [ROOT / "README.es.md", *(ROOT / "docs" / "es").rglob("*.md")]
    for page in pages:
        text = re.sub(r"^\[[^\]]+\]\([^)]+\)\.?$", "", read(page), flags=re.M)
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (page.parent / link).resolve() not in translated, f"{page.name}: {link}"
    index = read(ROOT / "docs" / "es" / "README.md")
    assert all(f"(guides/{page.name})" in index for page in GUIDES)


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (shape_of, "## Otra\n"),
        (shape_of, "| una | fila |\n"),
        (shape_of, "- otro\n"),
        (code_of, "```sh\noido classify otro.wav\n```\n"),
        (code_of, "    oido train otro/ -o x.tflite\n"),
        (inline_code_of, "`--otra`\n"),
        (lambda text: figures_of(text, "es"), "un 0,5 más\n"),
    ],
)
def test_a_page_that_falls_behind_is_seen(check, changed: str) -> None:
    text = read(GUIDES[0])
    assert check(text + "\n" + changed) != check(text)

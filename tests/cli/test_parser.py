# SPDX-License-Identifier: Apache-2.0
"""What a wrong command line is told, and what the two helps show."""

from __future__ import annotations

import re

import pytest

from oido.cli.main import build_parser, run
from oido.cli.parser import Parser
from oido.errors import OptionError


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("clasify x.wav", "there is no command 'clasify'; did you mean classify?"),
        ("zzz", "there is no command 'zzz'; there are: classify, listen, serve,"),
        ("models fech", "there is no action 'fech'; did you mean fetch?"),
        ("models", "ACTION is missing (oido models --help"),
        ("classify", "PATH is missing (oido classify --help"),
        ("classify x.wav --thresold 3", "there is no option --thresold; did you mean --threshold?"),
        ("classify x.wav --thresold=3", "there is no option --thresold; did you mean --threshold?"),
        (
            "evaluate --model x.tflite data/",
            "--model is no option here, its value stands by itself: oido evaluate [options] "
            "NAME-or-FILE DATA (oido evaluate --help",
        ),
        ("classify x.wav --zzz", "there is no option --zzz (oido classify --help"),
        ("classify x.wav --hop", "--hop needs one argument"),
        ("classify x.wav --labels all-of", "--labels must be one of specific, all, not 'all-of'"),
        ("classify x.wav --events --clip", "not allowed with argument"),
        ("devices a", "what is 'a'? It is one word too many"),
    ],
)
def test_what_is_wrong_is_one_sentence(words, sentence, capsys):
    assert run(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("oido: ")
    assert sentence in err
    assert "--help shows what there is)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_oido_by_itself_shows_its_help(words, capsys):
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 0
    assert "oido classify street.m4a" in capsys.readouterr().out


def test_help_of_a_command_by_either_word_order(capsys):
    for words in (["help", "classify"], ["classify", "--help"]):
        with pytest.raises(SystemExit):
            run(words)
    out = capsys.readouterr().out
    half = len(out) // 2
    assert out[:half] == out[half:]


def test_short_help_leaves_out_what_is_rare_and_says_how_to_see_it(capsys):
    with pytest.raises(SystemExit):
        run(["classify", "--help"])
    short = capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(["classify", "--help-all"])
    whole = capsys.readouterr().out
    assert "--threshold" in short
    assert "--off-ratio" not in short
    assert "--off-ratio" in whole
    assert "--help-all" in short
    assert set(short.split()) - set(whole.split()) <= {"[options]", "…"}
    parser = build_parser()._subparsers._group_actions[0].choices["classify"]
    assert f"show {len(parser.rare)} rarer options" in " ".join(short.split())


def test_no_help_all_where_nothing_is_left_out():
    parser = build_parser()._subparsers._group_actions[0].choices["devices"]
    assert "--help-all" not in parser.format_help()


def test_each_action_has_a_sentence_and_the_examples_that_show_it():
    for name in ("models", "labels", "thresholds", "cache", "web"):
        command = build_parser(name)._subparsers._group_actions[0].choices[name]
        for action, parser in command._subparsers._group_actions[0].choices.items():
            assert parser.description[:1].isupper(), (name, action)
            examples = [line.split() for line in (parser.epilog or "").split("\n")[1:]]
            assert examples, (name, action)
            if name != "web":
                assert all(words[:3] == ["oido", name, action] for words in examples)


def test_every_command_stands_beside_what_it_does(capsys):
    with pytest.raises(SystemExit):
        run(["--help"])
    out = capsys.readouterr().out
    for name in build_parser()._subparsers._group_actions[0].choices:
        assert re.search(rf"^    {name} +\S", out, re.MULTILINE), name


def test_a_shortened_option_is_still_understood():
    args = build_parser().parse_args(["classify", "x.wav", "--agg", "max"])
    assert args.aggregation == "max"


def test_values_may_begin_with_a_minus() -> None:
    parser = Parser(prog="oido birds")
    parser.add_argument("file")
    parser.add_argument("--place")
    for value in ("-33.9,151.2", "-03:30", "-.5,2", "-7"):
        assert parser.parse_args(["x.wav", "--place", value]).place == value
    with pytest.raises(OptionError, match="--place needs one argument"):
        parser.parse_args(["x.wav", "--place", "-x"])

"""Reading prompts: A1111's and ComfyUI's documented syntax as trees, over a run, and errors that say where."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph_nodes.diffusion.prompts import (
    Alternate,
    Branch,
    Break,
    Network,
    PromptError,
    Stretch,
    Switch,
    Text,
    Weighted,
    escaped,
    parse,
    stretches,
    text_of,
)
from nodegraph_nodes.diffusion.prompts.chunks import LongWord, Token, chunked, pieces_of
from nodegraph_nodes.diffusion.prompts.words import UnknownWord, Word, split_words

SYNTAXES = ("plain", "comfy", "a1111")
LETTERS = st.text(alphabet="ab ,.:|<>()[]\\\n01.AND BREAK", max_size=40)


def weights(text: str, syntax: Any = "a1111") -> list[tuple[str, float]]:
    """The words with their weights, as A1111's own `parse_prompt_attention` gives them."""
    (only,) = stretches(parse(text, syntax))
    return [(span.text, pytest.approx(span.weight, rel=1e-6)) for group in only.spans for span in group]


def over(text: str, steps: int | None = None) -> list[tuple[str, float, float]]:
    return [(text_of(part.spans), part.start, part.end) for part in stretches(parse(text, "a1111"), steps)]


# ---- A1111's own examples: the doctests of parse_prompt_attention and get_learned_conditioning_prompt_schedules ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).)",
            [
                ("a ", 1.0),
                ("house", 1.5730000000000004),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641000000000006),
                (".", 1.1),
            ],
        ),
    ],
)
def test_attention_is_what_a1111_documents(text: str, expected: list[tuple[str, float]]) -> None:
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a b")]),
        ("[(a:2):3]", [(3, ""), (10, "a")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("[a|b]", [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a"), (6, "b"), (7, "a"), (8, "b"), (9, "a"), (10, "b")]),
        ("[fe|]male", [(step, "female" if step % 2 else "male") for step in range(1, 11)]),
        ("[a:b:0.5]", [(5, "a"), (10, "b")]),
        ("[a:b:.5]", [(5, "a"), (10, "b")]),
        ("[a:b:0.33]", [(3, "a"), (10, "b")]),
        ("[a:b:25]", [(10, "a")]),
        ("[from::6] it", [(6, "from it"), (10, " it")]),
        ("[:to:6]", [(6, ""), (10, "to")]),
    ],
)
def test_switches_take_place_after_the_steps_that_a1111_documents(text: str, expected: list[tuple[int, str]]) -> None:
    found = [(round(end * 10), words) for words, _, end in over(text, steps=10)]
    assert [(step, " ".join(words.split())) for step, words in found] == [(s, " ".join(w.split())) for s, w in expected]


@pytest.mark.parametrize(
    ("text", "branches"),
    [
        ("a", (Branch((Text("a"),)),)),
        ("", (Branch(()),)),
        ("a cat AND a dog", (Branch((Text("a cat "),)), Branch((Text(" a dog"),)))),
        ("a cat :1.2 AND a dog AND a penguin :2.2", None),
        ("a AND b:-0.5", (Branch((Text("a "),)), Branch((Text(" b"),), -0.5))),
        ("SAND ANDROID", (Branch((Text("SAND ANDROID"),)),)),
        ("at 12:30", (Branch((Text("at 12:30"),)),)),
        ("12:30 AND b:0.5", (Branch((Text("12"),), 30.0), Branch((Text(" b"),), 0.5))),
        ("a BREAK b", (Branch((Text("a"), Break(), Text("b"))),)),
        ("BREAKS", (Branch((Text("BREAKS"),)),)),
        ("[a]", (Branch((Weighted((Text("a"),), 1 / 1.1),)),)),
        ("[note: hi]", (Branch((Weighted((Text("note: hi"),), 1 / 1.1),)),)),
        ("(a:b:1.5)", (Branch((Weighted((Text("a:b"),), 1.5),)),)),
        ("(a: 1.5 )", (Branch((Weighted((Text("a"),), 1.5),)),)),
        ("[x:y:0.25]", (Branch((Switch((Text("x"),), (Text("y"),), 0.25, False, 5),)),)),
        ("[x:y:4]", (Branch((Switch((Text("x"),), (Text("y"),), 4, True, 5),)),)),
        ("[x|y|]", (Branch((Alternate(((Text("x"),), (Text("y"),), ()), 0),)),)),
        ("<lora:some thing:0.8> a", (Branch((Network("some thing"), Text(" a"))),)),
        ("(embedding:foo:1.2)", (Branch((Weighted((Text("embedding:foo"),), 1.2),)),)),
        ("(embedding:007)", (Branch((Weighted((Text("embedding:007"),), 1.1),)),)),
        ("[embedding:foo:b:0.5]", (Branch((Switch((Text("embedding:foo"),), (Text("b"),), 0.5, False, 17),)),)),
        (r"\AND \BREAK a\b", (Branch((Text(r"AND BREAK a\b"),)),)),
    ],
)
def test_a1111_trees(text: str, branches: tuple[Branch, ...] | None) -> None:
    found = parse(text, "a1111").branches
    if branches is None:
        assert [branch.weight for branch in found] == [1.2, 1.0, 2.2]
    else:
        assert found == branches


def test_comfy_reads_round_brackets_alone_and_a_weight_there_stands_alone() -> None:
    assert weights("(a (b:1.2):1.5) [c] d AND e BREAK", "comfy") == [("a ", 1.5), ("b", 1.2), (" [c] d AND e BREAK", 1.0)]
    assert weights("((a))", "comfy") == [("a", 1.21)]
    assert weights(r"\(a\) \n", "comfy") == [(r"(a) \n", 1.0)]
    assert weights("(a (b:1.2):1.5)", "a1111") == [("a ", 1.5), ("b", 1.8)]


def test_plain_is_text_whatever_it_holds() -> None:
    assert weights("(a [b) :1.2 AND \\(", "plain") == [("(a [b) :1.2 AND \\(", 1.0)]


def test_shares_need_no_number_of_steps_and_steps_do() -> None:
    assert over("[a:b:0.33]") == [("a", 0.0, 0.33), ("b", 0.33, 1.0)]
    assert over("[a:b:0] [c:d:1.0]") == [("b c", 0.0, 1.0)]
    for text, column in (("so [a:b:8]", 9), ("so [a|b]", 4), ("x AND [[c:3]:0.5]", 11)):
        with pytest.raises(PromptError, match="number of steps") as error:
            stretches(parse(text, "a1111"))
        assert error.value.column == column


def test_every_branch_covers_the_run_with_its_weight() -> None:
    parts = stretches(parse("[a:b:0.5] AND c:0.3", "a1111"))
    assert [(text_of(p.spans).strip(), p.start, p.end, p.weight) for p in parts] == [
        ("a", 0, 0.5, 1),
        ("b", 0.5, 1, 1),
        ("c", 0, 1, 0.3),
    ]


def test_words_around_a_switch_are_one_text_with_it() -> None:
    (first, second) = stretches(parse("a [red:blue:0.5] apple", "a1111"))
    assert [first.spans, second.spans] == [((("a red apple", 1.0),),), ((("a blue apple", 1.0),),)]
    assert isinstance(first, Stretch)


# ---- errors ----


@pytest.mark.parametrize(
    ("text", "syntax", "column", "problem"),
    [
        ("a (red", "a1111", 3, "never closed"),
        ("a (red", "comfy", 3, "never closed"),
        ("a (red]", "a1111", 7, "not open"),
        ("a) b", "comfy", 2, "not open"),
        ("a] b", "a1111", 2, "not open"),
        ("[a:b", "a1111", 1, "never closed"),
        ("a [b|c", "a1111", 3, "never closed"),
        ("[a:b:c:0.5]", "a1111", 8, "two texts"),
        ("[a:b:0,5]", "a1111", 6, "share"),
        ("[a:b:]", "a1111", 6, "share"),
        ("[a:50%]", "a1111", 4, "share"),
        ("[a:b:2.5]", "a1111", 6, "neither"),
        ("[a|b:0.5]", "a1111", 6, "no number"),
        ("(a:1.2.3)", "a1111", 4, "no number"),
        ("(a:1.2.3)", "comfy", 4, "no number"),
        ("x (a AND b)", "a1111", 6, "whole prompts"),
        ("(" * 100, "a1111", 61, "nests"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, syntax: Any, column: int, problem: str) -> None:
    with pytest.raises(PromptError, match=problem) as error:
        parse(text, syntax)
    assert abs(error.value.column - column) <= (1 if problem == "nests" else 0)
    assert f"(column {error.value.column})" in str(error.value)


def test_the_excerpt_shows_the_line_and_the_place() -> None:
    with pytest.raises(PromptError) as error:
        parse("one line\nand (a second\nand a third", "a1111")
    assert (error.value.line, error.value.column) == (2, 5)
    assert error.value.excerpt == "and >>>(a second"
    assert "line 2, column 5" in str(error.value)
    with pytest.raises(PromptError) as error:
        parse("x" * 500 + "(" + "y" * 500, "a1111")
    assert re.fullmatch(r"\.\.\.x+>>>\(y+\.\.\.", error.value.excerpt)


@given(LETTERS, st.sampled_from(SYNTAXES))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str, syntax: Any) -> None:
    found: PromptError | None = None
    try:
        parts = stretches(parse(text, syntax), 4)
    except PromptError as error:
        found = error
    if found is not None:
        lines = text.split("\n")
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1]) + 1
        assert ">>>" in found.excerpt
        return
    assert min(part.start for part in parts) == 0
    assert max(part.end for part in parts) == 1
    for before, after in pairwise(parts):
        assert after.start in (0, before.end)


@given(st.text(alphabet="ab ,.:|<>()[]\\\n01", max_size=30), st.sampled_from(("comfy", "a1111")))
def test_escaped_text_comes_back_as_it_was(text: str, syntax: Any) -> None:
    found = [branch.nodes for branch in parse(escaped(text, syntax), syntax).branches]
    assert found == [(Text(text),) if text else ()]


def test_keywords_can_be_escaped_too() -> None:
    assert parse(escaped("this AND that BREAK (x)", "a1111"), "a1111").branches == (Branch((Text("this AND that BREAK (x)"),)),)


# ---- chunks ----


def letters(text: str) -> list[int]:
    """A token a letter; a comma is 44."""
    return [ord(letter) for letter in text if letter != " "]


def ids(text: str, length: int, syntax: Any = "a1111", **words: int) -> list[str]:
    (only,) = stretches(parse(text, syntax))
    groups = pieces_of(only.spans, letters, words, syntax)
    comma = ord(",") if syntax == "a1111" else None
    return ["".join("*" if token.word else chr(token.id) for token in chunk) for chunk in chunked(groups, length, comma)]


def test_long_prompts_are_cut_at_a_comma_that_is_near() -> None:
    assert ids("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert ids("ab,cdefg", 5) == ["ab,", "cdefg"]
    assert ids("abcd,e", 4) == ["abcd", ",e"]
    far = "a," + "b" * 30
    assert ids(far, 25) == [far[:25], far[25:]]
    assert ids("ab,cdefg", 5, "comfy") == ["ab,cd", "efg"]


def test_comfy_cuts_between_words_unless_they_are_long() -> None:
    assert ids("abc def ghi", 7, "comfy") == ["abcdef", "ghi"]
    assert ids("abc defghijkl", 7, "comfy") == ["abcdefg", "hijkl"]


def test_break_begins_a_new_chunk_and_none_is_made_for_nothing() -> None:
    assert ids("ab BREAK cd", 4) == ["ab", "cd"]
    assert ids("ab BREAK", 4) == ["ab"]
    assert ids("BREAK ab", 4) == ["", "ab"]
    assert ids("", 4) == [""]
    assert ids("abcd BREAK e", 4) == ["abcd", "e"]


def test_a_learned_word_is_never_cut() -> None:
    assert ids("abc embedding:x d", 5, x=3) == ["abc", "***d"]
    with pytest.raises(LongWord, match="6 vectors"):
        ids("embedding:x", 5, x=6)


@given(st.lists(st.integers(1, 3), max_size=30), st.integers(3, 9))
def test_chunks_hold_every_token_once_and_in_order(sizes: list[int], length: int) -> None:
    pieces = [tuple(Token(44 if (n + i) % 5 == 0 else n, 1.0) for i in range(size)) for n, size in enumerate(sizes)]
    chunks = chunked([pieces], length, 44)
    assert [token for chunk in chunks for token in chunk] == [token for piece in pieces for token in piece]
    assert all(len(chunk) <= length for chunk in chunks)


# ---- learned words ----


def test_learned_words_are_called_in_three_ways() -> None:
    def parts(text: str, bare: bool = True) -> list[str | Word]:
        return list(split_words(text, ["Easy", "bad-hand.v2"], bare=bare))

    assert parts("a embedding:easy, b") == ["a ", Word("Easy"), ", b"]
    assert parts("embedding:easy.") == [Word("Easy"), "."]
    assert parts("embedding:bad-hand.v2.safetensors") == [Word("bad-hand.v2")]
    assert parts("<Easy><easy>") == [Word("Easy"), Word("Easy")]
    assert parts("easy, uneasy") == [Word("Easy"), ", uneasy"]
    assert parts("easy", bare=False) == ["easy"]
    assert parts("<other> <3") == ["<other> <3"]


def test_a_word_that_nobody_learned_is_refused() -> None:
    with pytest.raises(UnknownWord, match="'esay'") as error:
        list(split_words("an embedding:esay thing", ["easy"]))
    assert error.value.known == ["easy"]

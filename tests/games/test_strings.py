"""Games on strings: the languages by hand, an exact score, and a control of one player."""

import pytest
import torch

import bench
from bench.errors import UserError
from bench.games.harness.languages import language
from bench.metrics.evaluation import KnownGenerator
from bench.registry import get_game, get_metric

SEEDS = range(4)


def words(name, length):
    known = language(name, length)
    pairs = zip(known.words, known.shares, strict=True)
    return {"".join(known.alphabet[letter] for letter in word): float(share) for word, share in pairs}


def test_rebers_strings_by_hand():
    """The shortest are TXS and PVV; every branch halves the probability."""
    known = words("reber", 10)
    assert len(known) == 67
    assert sum(known.values()) == pytest.approx(1)
    for word in ("TXSEEEEEEE", "PVVEEEEEEE", "TSXSEEEEEE", "PTVVEEEEEE", "TXXVVEEEEE", "PVPSEEEEEE"):
        assert word in known, word
    assert known["TXSEEEEEEE"] / known["TSXSEEEEEE"] == pytest.approx(2)
    assert not {"TTSEEEEEEE", "PXSEEEEEEE", "TXEEEEEEEE"} & set(known)


def test_a_tata_box_in_a_line_of_c():
    known = words("dna", 10)
    assert len(known) == 3 * 8
    assert list(known.values()) == pytest.approx([1 / 24] * 24)
    assert {"TATAAAAACC", "CTATATATGC", "CCTATAAATG"} <= set(known)


@pytest.mark.parametrize("name", ["strings", "strings[language=dna]", "autoregressive"])
def test_a_perfect_generator_has_the_noise_of_its_samples(name):
    game = get_game(name)
    nothing = torch.zeros(4, sum(game.sizes))
    perfect = KnownGenerator(game, SEEDS)
    assert get_metric("string_tv")(game, nothing, perfect).max() < 0.08
    assert (get_metric("valid")(game, nothing, perfect) == 1).all()
    one = KnownGenerator(game, SEEDS, "one")
    assert (get_metric("valid")(game, nothing, one) == 1).all()  # what it repeats is valid: so that is no score
    assert get_metric("string_tv")(game, nothing, one).min() > 0.8


@pytest.mark.parametrize(("name", "rule"), [
    ("strings[width=32,batch_size=32,length=8]", "alternating[direction=adam,lr=0.003]"),
    ("strings[width=32,batch_size=32,length=8,network=gru,tau=1]", "alternating[direction=adam,lr=0.003]"),
    ("autoregressive[width=32,batch_size=32,length=8]", "adam[lr=0.01]"),
])  # fmt: skip
def test_a_few_steps_bring_strings_nearer(name, rule):
    game, update = get_game(name), bench.get_rule(rule)
    F = bench.Oracle(game, [0, 1])
    w = game.init(F.seeds)
    s = update.init(w)
    before = get_metric("valid")(game, w, F)
    for _ in range(60):
        w, s = update.step(F, w, s)
        F.new_batch()
    assert (get_metric("valid")(game, w, F) > before).all()


@pytest.mark.parametrize(("name", "says"), [
    ("strings[language=latin]", "language is 'latin'; known: dna, reber"),
    ("strings[length=3]", "length is 3; from 5 to 16 letters are allowed"),
    ("strings[tau=0]", "tau is 0; a temperature above 0 is allowed"),
    ("strings[network=lstm]", "network is 'lstm'"),
    ("autoregressive[batch_size=10]", "batch_size is 10; a multiple of 16 is allowed"),
])  # fmt: skip
def test_what_is_refused(name, says):
    with pytest.raises(UserError, match=says.replace("[", r"\[")):
        get_game(name)

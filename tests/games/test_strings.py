"""Games on strings: the languages by hand, an exact score, and a control of one player."""

import pytest
import torch

import bench
from bench.checks.game_laws import GAME_LAWS
from bench.errors import UserError
from bench.games.harness.languages import language
from bench.metrics.evaluation import KnownGenerator
from bench.registry import get_game, get_metric
from bench.registry.build import spell

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
    ("strings[tau_end=-1]", "tau_end is -1; a temperature above 0 is allowed, or 0 for that of tau"),
    ("strings[tau_end=cold]", "tau_end is cold; a number is allowed"),
    ("strings[network=lstm]", "network is 'lstm'"),
    ("autoregressive[batch_size=10]", "batch_size is 10; a multiple of 16 is allowed"),
])  # fmt: skip
def test_what_is_refused(name, says):
    with pytest.raises(UserError, match=says.replace("[", r"\[")):
        get_game(name)


ANNEALED = "strings[width=16,batch_size=16,length=8,tau=2,tau_end=0.5,network={}]"


def same(first, second):
    """Whether two games lose, move and write the same."""
    seeds = torch.tensor([0, 1])
    w = first.init(seeds)
    fields = [bench.Oracle(game, [0, 1])(w) for game in (first, second)]
    samples = [game.generate(w, seeds, 16) for game in (first, second)]
    return torch.equal(*fields), torch.equal(*samples)


@pytest.mark.parametrize("network", ["mlp", "gru"])
def test_the_temperature_falls_geometrically_from_tau_to_tau_end(network):
    game = get_game(ANNEALED.format(network))
    assert [game.at(share).temperature for share in (0, 0.25, 0.5, 1)] == pytest.approx([2, 2**0.5, 1, 0.5])
    for share, tau in ((0, 2), (0.5, 1), (1, 0.5)):
        held = get_game(ANNEALED.format(network).replace("tau=2,tau_end=0.5", f"tau={tau}"))
        assert same(game.at(share), held) == (True, True)
    assert game.temperature == 0.5  # by itself it is as at the end
    assert not same(game.at(0), game)[0]
    module = game.torch_modules(game.init(torch.tensor([3]))[0])[0]
    drawn = game.judged_latents(torch.tensor([3]), 16)
    assert torch.equal(module(drawn[0].T), game.generate(game.init(torch.tensor([3])), torch.tensor([3]), 16)[0])


def test_a_temperature_that_stays_is_the_game_that_was_there():
    plain = get_game("strings")
    assert not plain.changes
    assert plain.at(0.3) is plain
    assert "tau_end" not in spell(plain)
    assert not get_game("strings[tau_end=0.75]").changes


@pytest.mark.parametrize("network", ["mlp", "gru"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_it_obeys_the_laws_while_the_temperature_falls(network, share):
    for law in GAME_LAWS:
        law(get_game(ANNEALED.format(network)).at(share))


def test_a_training_sees_the_temperature_of_its_share_of_the_budget():
    game = get_game(ANNEALED.format("mlp"))
    w = game.init(torch.tensor([0, 1]))
    F = bench.Oracle(game, [0, 1], budget=10)
    assert torch.equal(F(w), bench.Oracle(game.at(0), [0, 1])(w))
    F.gradients = 5
    F.new_batch()
    assert torch.equal(F(w), bench.Oracle(game.at(0.5), [0, 1], draw=1)(w))

"""GDA-AM: Anderson mixing of gradient descent-ascent (He, Zhao, Xi, Ho and Saad 2022, arXiv:2110.02457)."""

import torch
from torch import Tensor

from bench.contracts import Count, State, UpdateRule
from bench.oracle import Oracle
from bench.registry import preset, rule
from optimizers.sgd import Simultaneous


@rule("anderson")
class AndersonMixing(UpdateRule):
    """w+ = G(w) - (S - Y)' gamma,   gamma = argmin ||g - Y' gamma||^2 + reg (||S||^2 + ||Y||^2) ||gamma||^2

    G is a step of the inner rule, g = w - G(w); the rows of S and Y are the last ``depth`` differences of w and g.
    Type II mixing. ``restart=true`` forgets them every ``depth`` steps (and after the first), as the authors' code does
    for simultaneous descent.

    Source: He et al. 2022, arXiv:2110.02457.
    """

    inner: UpdateRule = Simultaneous()
    depth: Count = 5
    restart: bool = True
    reg: float = 1e-8

    @property
    def cost(self) -> float:
        return self.inner.cost

    def init(self, w: Tensor) -> State:
        table = w.new_zeros(len(w), max(1, self.depth), w.shape[1])
        known = {"w": torch.zeros_like(w), "g": torch.zeros_like(w), "begun": torch.zeros_like(w[:, :1])}
        return known | {"S": table, "Y": table.clone(), "t": known["begun"].clone(), "inner": self.inner.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        moved, inner = self.inner.step(F, w, s["inner"])
        g, begun = w - moved, s["begun"] > 0
        S, Y = (
            torch.where(begun.unsqueeze(2), torch.cat([table[:, 1:], (new - old).unsqueeze(1)], dim=1), table)
            for table, new, old in ((s["S"], w, s["w"]), (s["Y"], g, s["g"]))
        )
        mixed = moved - ((S - Y) * _coefficients(S, Y, g, self.reg).to(w.dtype)).sum(dim=1)
        kept = torch.ones_like(s["t"])
        if self.restart:
            kept = (s["t"] % max(1, self.depth) != 0).to(w.dtype)
        tables = {"S": S * kept.unsqueeze(2), "Y": Y * kept.unsqueeze(2)}
        return mixed, {"w": w, "g": g, "begun": kept, "t": s["t"] + 1, "inner": inner} | tables

    def moved(self, w: Tensor, s: State) -> State:
        return s | {"inner": self.inner.moved(w, s["inner"])}


def _coefficients(S: Tensor, Y: Tensor, g: Tensor, reg: float) -> Tensor:
    """gamma [R, depth, 1] for tables [R, depth, n], in double precision; 0 for rows that are not filled."""
    S, Y, g = S.double(), Y.double(), g.double()
    gram = Y @ Y.mT
    weight = reg * ((S * S).sum(dim=(1, 2)) + (Y * Y).sum(dim=(1, 2)))
    empty = ((Y * Y).sum(dim=2) == 0).double()
    gram = gram + torch.diag_embed(weight.unsqueeze(1) + empty)
    found: Tensor = torch.linalg.solve_ex(gram, Y @ g.unsqueeze(2))[0]
    return found


preset(
    "gda-am",
    "anderson[inner=sgd]",
    """w+ = G(w) - (S - Y)' gamma,   G(w) = w - lr F(w), restarted every ``depth`` steps

    Source: He et al. 2022, arXiv:2110.02457.""",
)
preset(
    "alternating-gda-am",
    "anderson[inner=alternating,restart=false]",
    """w+ = G(w) - (S - Y)' gamma,   G a step of alternating descent, over the last ``depth`` steps

    Source: He et al. 2022, arXiv:2110.02457.""",
)

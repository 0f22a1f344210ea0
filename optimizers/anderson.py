"""GDA-AM: Anderson mixing of gradient descent-ascent (He, Zhao, Xi, Ho and Saad 2022, arXiv:2110.02457)."""

import torch
from torch import Tensor

from bench.contracts import Count, Oracle, State, UpdateRule
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
        rows = [str(row) for row in range(max(1, self.depth))]
        state: State = {"w": torch.zeros_like(w), "g": torch.zeros_like(w), "t": torch.zeros_like(w[:, :1])}
        table = {row: torch.zeros_like(w) for row in rows}  # oldest first; a row is dropped without copying the others
        products = w.new_zeros(len(w), len(rows), len(rows), dtype=torch.float64)
        state |= {"Y": table, "S-Y": dict(table), "YY": products, "SS": products[:, 0].clone()}
        return state | {"begun": state["t"].clone(), "inner": self.inner.init(w)}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        moved, inner = self.inner.step(F, w, s["inner"])
        moved = F.project(moved)
        current = s | {"w": w, "g": w - moved, "t": s["t"] + 1, "inner": inner}
        if bool(s["begun"][0] > 0):  # all replicas have a past, or none
            current |= self._remembered(current, s)
        gamma = _coefficients(current, self.reg).to(w.dtype)
        for row, difference in enumerate(current["S-Y"].values()):
            moved = moved - gamma[:, row] * difference
        forget = self.restart and int(s["t"][0]) % max(1, self.depth) == 0
        return moved, current | (self._forgotten(w) if forget else {"begun": torch.ones_like(s["begun"])})

    def _remembered(self, current: State, before: State) -> State:
        """The tables and their products with the newest differences as the last row."""
        moved, change = current["w"] - before["w"], current["g"] - before["g"]
        Y, D = (_pushed(before[key], new) for key, new in (("Y", change), ("S-Y", moved - change)))
        YY = before["YY"].roll((-1, -1), (1, 2))
        YY[:, -1] = YY[:, :, -1] = torch.cat([_dot(change, row) for row in Y.values()], dim=1)
        SS = torch.cat([before["SS"][:, 1:], _dot(moved, moved)], dim=1)
        return {"Y": Y, "S-Y": D, "YY": YY, "SS": SS}

    def _forgotten(self, w: Tensor) -> State:
        empty = self.init(w)
        return {key: empty[key] for key in ("Y", "S-Y", "YY", "SS", "begun")}

    def on_external_update(self, w: Tensor, s: State) -> State:
        return s | {"inner": self.inner.on_external_update(w, s["inner"])}


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows in double precision, [R, 1]."""
    return (a * b).sum(dim=1, keepdim=True, dtype=torch.float64)


def _pushed(table: dict[str, Tensor], new: Tensor) -> dict[str, Tensor]:
    return dict(zip(table, [*list(table.values())[1:], new], strict=True))


def _coefficients(s: State, reg: float) -> Tensor:
    """gamma [R, depth, 1]; 0 for rows that are not filled."""
    diagonal = s["YY"].diagonal(dim1=1, dim2=2)
    weight = reg * (s["SS"].sum(dim=1, keepdim=True) + diagonal.sum(dim=1, keepdim=True))
    gram = s["YY"] + torch.diag_embed(weight + (diagonal == 0))
    along = torch.stack([_dot(row, s["g"]) for row in s["Y"].values()], dim=1)
    gamma: Tensor = torch.linalg.solve_ex(gram, along)[0]
    return gamma


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

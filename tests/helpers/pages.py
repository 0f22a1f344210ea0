"""A report as tests read it: a study, its page, and a page on which every name would like to be code."""

from __future__ import annotations

import copy
from html.parser import HTMLParser

import bench
from bench.report.page import render

RING = "ring8[width=16,batch_size=16]"
STUDY = bench.Study(
    optimizers="sgd,ttur", games=f"dirac,{RING}", seeds="0-2", trials=4, tuning_seeds=2, budget=40, evaluations=4
)
HOSTILE = "x<script>alert(1)</script>$\\frac$\"'&<b onclick=alert(1)>{{ 7 * 191 }}"


class Page(HTMLParser):
    """A page's tags and text; its cells: (rule, game) -> (attributes, text); its tables by what they are called.

    A table is a list of rows, the heads first, a row a list of (attributes, text).
    """

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.cells, self.tables = [], [], {}, {}
        self.silent, self.region, self.cell = 0, "", None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.silent += tag in ("script", "style")
        if found.get("role") == "region":
            self.region = found["aria-label"]
        if tag == "tr":
            self.tables.setdefault(self.region, []).append([])
        if tag in ("td", "th"):
            self.cell = [found, ""]

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")
        if tag in ("td", "th") and self.cell is not None:
            attributes, text = self.cell[0], " ".join(self.cell[1].split())
            self.tables[self.region][-1].append((attributes, text))
            if tag == "td" and "data-rule" in attributes:
                self.cells[attributes["data-rule"], attributes["data-game"]] = (attributes, text)
            self.cell = None

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)
        if self.cell is not None:
            self.cell[1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def table(self, name):
        """rule -> head -> (attributes, text); a head is a game or metric where the table has a column of it."""
        heads, *rows = self.tables[name]
        names = [given.get("data-game") or given.get("data-metric") or text.rstrip(" ↕") for given, text in heads]
        return {
            row[0][0]["data-value"]: dict(zip(names, row, strict=True)) for row in rows if "data-value" in row[0][0]
        }


def rendered(run, records=None, manifest=None, tensors=None, errors=None):
    """The page of a run, with whatever of it is replaced."""
    records = run.records if records is None else records
    return render(records, manifest or run.manifest, run.tensors() if tensors is None else tensors, errors or {})


def hostile_page(run):
    """The run with a rule, a command, a machine and an error that would all like to be code."""
    records = run.records[run.records["game"] == "dirac"]
    records = records.assign(optimizer=records["optimizer"].cat.rename_categories({"sgd": HOSTILE}))
    manifest = copy.deepcopy(run.manifest)
    manifest["study"]["optimizers"][0] = manifest["command"] = manifest["environment"]["processor"] = HOSTILE
    tensors = [
        (chunk | {"optimizer": HOSTILE if chunk["optimizer"] == "sgd" else chunk["optimizer"]}, held)
        for chunk, held in run.tensors()
    ]
    return rendered(run, records, manifest, tensors, {HOSTILE: HOSTILE})

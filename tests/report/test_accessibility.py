"""The report for those who do not see it, or use no mouse: axe-core's rules and more.

axe-core (Deque, the rules of WCAG 2.1 A and AA and its best practices) comes with axe-playwright-python.
"""

from __future__ import annotations

import pytest

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")

FOCUSED = """() => {
    const e = document.activeElement, s = getComputedStyle(e);
    return [e.tagName + '.' + e.className, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2];
}"""
LOOKS = [
    pytest.param((390, "dark"), id="a phone in the dark"),
    pytest.param((1280, "light"), marks=pytest.mark.slow, id="a screen by day"),
]


@pytest.fixture
def page(browser, reported, reported_html, request):
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto((reported.path / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    yield page
    page.close()


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_axe_finds_nothing(page):
    found = axe_playwright.Axe().run(page).response
    assert len(found["passes"]) > 20  # it has looked at a page
    told = [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"][:3]
    ]
    assert not told, "\n".join(told)


@pytest.mark.parametrize("page", [(1280, "light")], indirect=True)
def test_axe_would_find_what_is_wrong(page):
    """Planted: text that is too pale, a picture and a button without a name, a level of headings left out."""
    page.evaluate("""() => {
        const part = document.querySelector('main section');
        part.insertAdjacentHTML('beforeend', `<h6>deep</h6><p style="color:#bbb;background:#fff">pale</p>
            <button></button><svg role="img" width="9" height="9"></svg><table><tr><th scope="up">x</th></tr></table>`);
    }""")
    found = {rule["id"] for rule in axe_playwright.Axe().run(page).response["violations"]}
    assert found >= {"color-contrast", "heading-order", "button-name", "svg-img-alt", "scope-attr-valid"}


@pytest.mark.parametrize("page", [(1280, "light")], indirect=True)
def test_every_head_of_a_table_says_what_it_heads(page):
    heads = page.evaluate("[...document.querySelectorAll('th')].map(head => head.scope)")
    assert len(heads) > 20
    assert set(heads) == {"row", "col"}
    assert page.evaluate("[...document.querySelectorAll('table')].every(table => table.querySelector('thead th'))")


@pytest.mark.slow
@pytest.mark.parametrize("page", [(1280, "light"), (1280, "dark")], indirect=True)
def test_what_has_the_focus_is_seen(page):
    page.locator("#theme").focus()
    seen = {}
    for _ in range(60):
        page.keyboard.press("Tab")
        what, visible = page.evaluate(FOCUSED)
        seen.setdefault(what, visible)
    assert len(seen) > 5
    assert all(seen.values()), [what for what, visible in seen.items() if not visible]

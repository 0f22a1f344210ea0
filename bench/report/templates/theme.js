// The theme: the system's, or one that is chosen and kept where the browser lets it be.
const themes = {"": "as the system's", dark: "dark", light: "light"}, theme = document.getElementById("theme");
function wear(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  theme.querySelector("span").textContent = themes[name];
}
function kept(name) {
  try {
    if (name !== undefined) localStorage.setItem("theme", name);
    return localStorage.getItem("theme") ?? "";
  } catch { return name ?? ""; }
}
theme.hidden = false;
wear(kept() in themes ? kept() : "");
theme.addEventListener("click", () => {
  const names = Object.keys(themes), now = document.documentElement.dataset.theme ?? "";
  const next = names[(names.indexOf(now) + 1) % names.length];
  kept(next);
  wear(next);
});

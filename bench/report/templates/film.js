for (const film of document.querySelectorAll(".film")) {
  const clock = film.querySelector(".clock"), time = clock.querySelector("input"), said = clock.querySelector("output");
  const costs = film.dataset.costs.split("|"), play = clock.querySelector("button");
  const reels = [...film.querySelectorAll(".reel")].map((reel) => {
    const svg = reel.querySelector("svg"), whole = svg.getAttribute("viewBox");
    return { svg, whole, side: svg.viewBox.baseVal.height, note: reel.querySelector(".outside"), outside: reel.dataset.outside?.split("|") };
  });
  const show = () => {
    time.ariaValueText = said.value = `cost ${costs[time.value]}`;
    for (const { svg, whole, side, note, outside } of reels) {
      if (whole !== `0 0 ${side} ${side}`) svg.setAttribute("viewBox", `${time.value * side} 0 ${side} ${side}`);
      if (outside) note.textContent = +outside[time.value] ? `${outside[time.value]} % outside` : "";
    }
  };
  const live = (on) => {
    film.classList.toggle("live", on);
    clock.hidden = !on;
    if (on) show(); else for (const { svg, whole } of reels) svg.setAttribute("viewBox", whole);
  };
  let beat = 0;
  const stop = () => { clearInterval(beat); beat = 0; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (beat) return stop();
    if (time.value === time.max) time.value = 0;
    play.textContent = "Pause";
    show();
    beat = setInterval(() => { time.stepUp(); show(); if (time.value === time.max) stop(); }, 500);
  });
  time.addEventListener("input", () => { stop(); show(); });
  addEventListener("beforeprint", () => live(false));
  addEventListener("afterprint", () => live(true));
  live(costs.length > 1);
}

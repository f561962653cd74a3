// The A/B switch: one player per sentence, which continues with another voice at the same time. Without
// JavaScript every voice has a player of its own.
for (const listen of document.querySelectorAll(".listen")) {
  const takes = [...listen.querySelectorAll(".take")];
  if (takes.length < 2) continue;
  const sounds = takes.map((take) => take.querySelector("audio"));
  const buttons = takes.map((take, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = take.querySelector("figcaption").textContent;
    button.addEventListener("click", () => choose(index, true));
    return button;
  });
  let chosen = -1;
  const choose = (index, asked) => {
    const before = sounds[chosen], now = sounds[index];
    if (before && before !== now) {
      const playing = !before.paused && !before.ended;
      before.pause();
      const share = before.duration && !before.ended ? before.currentTime / before.duration : 0;
      const go = () => {
        now.currentTime = share * now.duration;
        if (playing) now.play();
      };
      if (now.readyState) go();
      else {
        now.addEventListener("loadedmetadata", go, { once: true });
        now.load();
      }
    } else if (asked && now.paused) now.play();
    chosen = index;
    takes.forEach((take, at) => { take.hidden = at !== index; });
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
  };
  const group = document.createElement("div");
  group.className = "switch";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Voice");
  group.append(...buttons);
  listen.querySelector(".takes").before(group);
  listen.classList.add("switched");
  choose(0, false);
}
// One sound at a time.
document.addEventListener("play", (event) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
}, true);

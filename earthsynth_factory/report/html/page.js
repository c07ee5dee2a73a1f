// Tabs, filters and the picture dialog. Without this script every tab is on the page, one below the other.
"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const details = JSON.parse(find("#data").textContent);
  const strip = find("#tabs");
  const tabs = all("a", strip);
  const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));
  const selects = all("#filters select");
  const dialog = find("#detail");
  document.documentElement.classList.add("live");

  // Tabs
  const show = (number, focus) => {
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === number));
      tab.tabIndex = place === number ? 0 : -1;
      panels[place].hidden = place !== number;
    });
    if (focus) tabs[number].focus();
    strip.scrollLeft = tabs[number].offsetLeft - (strip.clientWidth - tabs[number].offsetWidth) / 2;
    apply();
  };
  const go = (number, focus) => {
    show(number, focus);
    history.replaceState(null, "", tabs[number].hash);
  };
  const shown = () => panels.find((panel) => !panel.hidden);
  const open = (key) => show(Math.max(0, panels.findIndex((panel) => panel.id === key)), false);
  tabs.forEach((tab, number) => {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      go(number, false);
    });
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: number - 1, ArrowRight: number + 1, Home: 0, End: tabs.length - 1, " ": number }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go((to + tabs.length) % tabs.length, true);
    });
  });

  // Filters
  const chosen = () => Object.fromEntries(selects.map((select) => [select.dataset.by, select.value]));
  const fits = (card, by) =>
    (!by.class || card.dataset.class.split(" ").includes(by.class)) &&
    (!by.split || card.dataset.split === by.split) &&
    (!by.verdict || card.dataset.verdict === by.verdict) &&
    (!by.why || card.dataset.why.split("|").includes(by.why));
  const apply = () => {
    const panel = shown();
    const acting = panel.dataset.filters.split(" ");
    selects.forEach((select) => (select.closest("label").hidden = !acting.includes(select.dataset.by)));
    find("#filters").hidden = !acting[0];
    if (!acting[0]) return;
    const by = chosen();
    let seen = 0;
    if (acting.includes("verdict")) {
      all(".group", panel).forEach((group) => {
        const cards = all(".card", group);
        cards.forEach((card) => (card.parentElement.hidden = !fits(card, by)));
        const left = cards.filter((card) => !card.parentElement.hidden).length;
        group.hidden = !left;
        seen += left;
      });
      find("#shown").textContent = `${seen} pictures`;
    } else {
      find("#shown").textContent = "";
      all("tr[data-class], li[data-class]", panel).forEach((row) => {
        row.hidden = Boolean(by.class) && row.dataset.class !== by.class;
        seen += !row.hidden;
      });
      all(".choice", panel).forEach((choice) => {
        choice.hidden = choice.dataset.class !== (by.class || "all");
        seen += !choice.hidden;
      });
    }
    all(".none", panel).forEach((none) => (none.hidden = seen > 0));
  };
  selects.forEach((select) => select.addEventListener("change", apply));
  find("#filters").addEventListener("submit", (event) => event.preventDefault());
  all(".go").forEach((button) =>
    button.addEventListener("click", () => {
      selects.forEach((select) => (select.value = button.dataset[select.dataset.by] || ""));
      open("pictures");
    })
  );
  const labels = find("#labels");
  const veil = () => document.documentElement.classList.toggle("veiled", labels.checked);
  if (labels) {
    labels.addEventListener("change", veil);
    veil();
  }

  // The picture dialog
  let current = null;
  const element = (name, text, style) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (style) made.className = style;
    return made;
  };
  const row = (cells) => {
    const made = element("tr");
    cells.forEach((cell, place) => made.append(element(place ? "td" : "th", cell, place === 3 && cell === "no" ? "bad" : "")));
    return made;
  };
  const fact = ([name, text]) => {
    const made = element("div");
    made.append(element("dt", name), element("dd", text));
    return made;
  };
  const words = { kept: "kept", rejected: "not kept" };
  const fill = (card) => {
    const known = details[card.dataset.id];
    current = card;
    find("#detail-title").textContent = known.title;
    find("#detail-picture").replaceChildren(find(".picture", card).cloneNode(true));
    find("#detail-verdict").textContent = words[known.verdict] || known.verdict;
    find("#detail-verdict").className = `badge ${known.verdict}`;
    find("#detail-reasons").replaceChildren(...known.reasons.map((reason) => element("li", reason)));
    find("#detail-scores").hidden = !known.scores.length;
    find("#detail-scores tbody").replaceChildren(...known.scores.map(row));
    find("#detail-facts").replaceChildren(...known.facts.map(fact));
    find("#detail-again").hidden = !known.command;
    find("#detail-again code").textContent = known.command;
    dialog.scrollTop = 0;
  };
  const step = (by) => {
    const cards = all(".card", shown()).filter((card) => !card.parentElement.hidden && !card.closest(".group").hidden);
    const place = cards.indexOf(current);
    if (cards.length) fill(cards[(place + by + cards.length) % cards.length]);
  };
  all(".card").forEach((card) =>
    card.addEventListener("click", () => {
      fill(card);
      dialog.showModal();
    })
  );
  find("#earlier").addEventListener("click", () => step(-1));
  find("#later").addEventListener("click", () => step(1));
  find("#close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => current && current.focus());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  open(location.hash.slice(1));
  window.addEventListener("hashchange", () => open(location.hash.slice(1)));
})();

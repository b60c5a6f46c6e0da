"use strict";
// What makes the pages live: countdowns, and parts that are fetched again when the server says so.
// Everything works without it, by reloading.
(() => {
  const body = document.body;
  const begin = Date.parse(body.dataset.now), speed = Number(body.dataset.speed) || 1;
  const loaded = performance.now();
  const storyNow = () => begin + (performance.now() - loaded) * speed;

  // The device's own time zone: the server shows all times in it, unless the person has another one.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const found = document.getElementById("device-zone"), offer = document.getElementById("device");
  if (found && zone) found.value = zone;
  if (offer && zone && [...document.getElementById("zone").options].some((one) => one.value === zone)) {
    offer.querySelector("button").value = offer.querySelector("span").textContent = zone;
    offer.hidden = false;
  }

  // Countdowns. They are no live regions: a screen reader must not read every second.
  const span = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min`
    : s < 172800 ? `${Math.floor(s / 3600)} h ${String(Math.floor(s % 3600 / 60)).padStart(2, "0")}`
    : `${Math.floor(s / 86400)} days`;
  const tick = () => {
    for (const el of document.querySelectorAll("[data-due]")) {
      const left = Math.floor((Date.parse(el.dataset.due) - storyNow()) / 1000);
      const strong = el.querySelector("strong");
      // In a table of many, how late says more than that it is; for a person who is paged it does not.
      const listed = "late" in el.dataset;
      const words = left >= 0 ? span(left) : listed ? span(-left) : "now";
      if (strong.textContent !== words) strong.textContent = words;
      el.querySelector(".lead").textContent = listed ? (left >= 0 ? "in" : el.dataset.late) : left >= 0 ? "Answer within" : "Answer";
      el.classList.toggle("now", left < 0);
      el.classList.toggle("near", left >= 0 && left < 600);
    }
    for (const el of document.querySelectorAll("[data-since]")) {
      const words = span(Math.max(0, Math.floor((storyNow() - Date.parse(el.dataset.since)) / 1000)));
      if (el.textContent !== words) el.textContent = words;
    }
    for (const el of document.querySelectorAll("[data-clock]")) {
      const words = new Date(storyNow()).toLocaleTimeString("en-GB", { timeZone: el.dataset.clock, hour: "2-digit", minute: "2-digit" });
      if (el.textContent !== words) el.textContent = words;
    }
    if (news) {
      const open = news.readyState === EventSource.OPEN;
      for (const dot of document.querySelectorAll(".dot-live")) dot.className = `dot-live ${open ? "on" : "off"}`;
      const word = document.getElementById("live-word");
      if (word) word.textContent = open ? "live," : "not live,";
    }
  };
  let news = null;

  // Parts that are replaced when the server's version of them differs from the one it sent last.
  const served = new Map();
  const parts = (root) => root.querySelectorAll("[data-live]");
  const busy = (el) => {
    const active = document.activeElement;
    if (active && active !== body && el.contains(active) && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName)) return true;
    return [...el.querySelectorAll("input:not([type=hidden], [type=checkbox]), textarea")].some((field) => field.value !== field.defaultValue);
  };
  const boxes = (root) => [...root.querySelectorAll("[data-live] input[type=checkbox][id]")];
  const titles = () => new Map([...document.querySelectorAll("[data-incident]")].map((el) => [el.dataset.incident, document.getElementById(`i-${el.dataset.incident.slice(0, 12)}`)?.textContent]));
  const refresh = async () => {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = titles();
    const focused = document.activeElement && document.activeElement.id;
    const nameOf = (el) => el.id || (el.closest("tr, [data-live]") || el).querySelector("[id]")?.id;
    const open = new Set([...document.querySelectorAll("details[open]")].map(nameOf));
    const chosen = boxes(document).filter((box) => box.checked).map((box) => box.id);
    const ids = new Set([...parts(fresh)].map((part) => part.id));
    for (const part of parts(fresh)) {
      const here = document.getElementById(part.id), html = part.outerHTML;
      if (!here) { if (!busy(body)) return location.reload(); continue; }
      if (served.get(part.id) === html || busy(here)) continue;
      served.set(part.id, html);
      here.replaceWith(part);
    }
    for (const here of parts(document)) if (!ids.has(here.id) && !busy(here)) here.remove();
    for (const el of document.querySelectorAll("details")) if (open.has(nameOf(el))) el.open = true;
    for (const id of chosen) { const box = document.getElementById(id); if (box) box.checked = true; }
    if (focused && document.activeElement === body) document.getElementById(focused)?.focus({ preventScroll: true });
    document.title = fresh.title;
    const added = [...titles()].filter(([id]) => !before.has(id)).map(([, title]) => title);
    // Of a board of several pages one may only have moved up to this one.
    const word = document.getElementById("less-urgent") || document.getElementById("more-urgent") ? "Now on this page: " : "New incident: ";
    if (added.length) document.getElementById("news").textContent = word + added.join("; ");
    tick();
  };
  let running = null, again = false;
  const ask = () => {
    if (running) { again = true; return; }
    running = refresh().catch(() => {}).finally(() => { running = null; if (again) { again = false; ask(); } });
  };

  for (const part of parts(document)) served.set(part.id, part.outerHTML);
  tick();
  setInterval(tick, 1000);

  // Once said, a word about a deed need not stay in the address.
  const address = new URL(location.href);
  if (address.searchParams.has("done")) {
    address.searchParams.delete("done");
    history.replaceState(null, "", address.pathname + address.search + address.hash);
  }

  if (body.dataset.version !== undefined) {
    const link = document.getElementById("link");
    let lost = null;
    news = new EventSource(`/console/live?about=${body.dataset.about}&since=${body.dataset.version}`);
    news.addEventListener("changed", ask);
    news.addEventListener("over", () => location.reload());
    news.addEventListener("crowded", () => news.close());
    news.onopen = () => { tick(); clearTimeout(lost); lost = null; if (!link.hidden) ask(); link.hidden = true; };
    news.onerror = () => {
      lost ??= setTimeout(() => { link.textContent = "Connection lost: what you see may be out of date."; link.hidden = false; }, 4000);
    };
    // Where no stream gets through, now and then by itself.
    setInterval(() => { if (news.readyState !== EventSource.OPEN) ask(); }, 15000);
    addEventListener("pagehide", () => news.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  // Keys on the board. They can be switched off, and never act while somebody types.
  const help = document.getElementById("keys"), switched = document.getElementById("keys-on");
  if (help) {
    const KEPT = "firebreak-keys";
    switched.checked = localStorage.getItem(KEPT) !== "off";
    switched.addEventListener("change", () => localStorage.setItem(KEPT, switched.checked ? "on" : "off"));
    const shown = document.getElementById("show-keys");
    if (shown) { shown.hidden = false; shown.addEventListener("click", () => help.showModal()); }
    const rows = () => [...document.querySelectorAll("tr[data-incident]")];
    const here = () => document.activeElement?.closest("tr[data-incident]");
    const part = (row, kind) => row && document.getElementById(`${kind}-${row.dataset.incident.slice(0, 12)}`);
    const go = (by) => {
      const all = rows(), at = all.indexOf(here());
      const row = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
      part(row, "i")?.focus();
      row?.scrollIntoView({ block: "nearest" });
    };
    const choose = (row) => { const box = part(row, "b"); if (box) box.checked = true; return box; };
    const deeds = {
      j: () => go(1),
      k: () => go(-1),
      a: () => part(here(), "a")?.click(),
      x: () => { const box = part(here(), "b"); if (box) box.checked = !box.checked; },
      r: () => { if (choose(here())) { document.getElementById("ask-chosen").open = true; document.getElementById("yes-chosen").focus(); } },
      "/": () => document.getElementById("q").focus(),
      "?": () => help.showModal(),
    };
    addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in deeds) || !(switched.checked || event.key === "?")) return;
      event.preventDefault();
      deeds[event.key]();
    });
  }
})();

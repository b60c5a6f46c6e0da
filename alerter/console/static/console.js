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
  };

  // Parts that are replaced when the server's version of them differs from the one it sent last.
  const served = new Map();
  const parts = (root) => root.querySelectorAll("[data-live]");
  const busy = (el) => {
    const active = document.activeElement;
    if (active && active !== body && el.contains(active) && /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName)) return true;
    return [...el.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
  };
  const titles = () => new Map([...document.querySelectorAll("[data-incident]")].map((el) => [el.dataset.incident, el.dataset.title]));
  const refresh = async () => {
    const answer = await fetch(location.pathname + (location.search.includes("done=") ? "" : location.search), { headers: { accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = titles();
    const focused = document.activeElement && document.activeElement.id;
    const nameOf = (el) => el.id || (el.closest("tr, [data-live]") || el).querySelector("[id]")?.id;
    const open = new Set([...document.querySelectorAll("details[open]")].map(nameOf));
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
  if (location.search.includes("done=")) history.replaceState(null, "", location.pathname);

  if (body.dataset.version !== undefined) {
    const link = document.getElementById("link");
    let lost = null;
    const news = new EventSource(`/console/live?about=${body.dataset.about}&since=${body.dataset.version}`);
    news.addEventListener("changed", ask);
    news.addEventListener("over", () => location.reload());
    news.addEventListener("crowded", () => news.close());
    news.onopen = () => { clearTimeout(lost); lost = null; if (!link.hidden) ask(); link.hidden = true; };
    news.onerror = () => {
      lost ??= setTimeout(() => { link.textContent = "Connection lost: what you see may be out of date."; link.hidden = false; }, 4000);
    };
    // Where no stream gets through, now and then by itself.
    setInterval(() => { if (news.readyState !== EventSource.OPEN) ask(); }, 15000);
    addEventListener("pagehide", () => news.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }
})();

// Keeps the page up to date: asks for it again and changes only what differs, so that nothing flickers and focus,
// selection and scroll position stay. Says when the daemon does not answer. Without it the page reloads itself.
"use strict";

(() => {
  const PERIOD = 2000;
  const PATIENCE = 5000;
  const notice = document.getElementById("contact");
  const version = document.documentElement.dataset.version;
  let heard = new Date();
  let failures = 0;
  let timer;
  let asking = false;

  async function refresh() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!page.documentElement.dataset.version) throw new Error("something else answers");
      if (page.documentElement.dataset.version !== version) return location.reload();
      show(page);
      heard = new Date();
      failures = 0;
    } catch {
      failures += 1;
    }
    if (failures !== 1) tell(failures > 0); // one lost request is no lost contact
    asking = false;
    if (document.visibilityState === "visible") timer = setTimeout(refresh, PERIOD);
  }

  // ---- what this browser adds to what the server sends: its time zone, and what its user looks for

  const TIME = /(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d)(:\d\d)? UTC/g;
  const today = (time) => time.toDateString() === new Date().toDateString();
  const utc = document.getElementById("utc");
  const memory = (key, value) => {
    try {
      if (value !== undefined) sessionStorage.setItem(key, value);
      return sessionStorage.getItem(key) ?? "";
    } catch {
      return ""; // a browser that keeps nothing
    }
  };

  function local(text, year, month, day, hour, minute, second) {
    const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second ? second.slice(1) : 0));
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(second ? { second: "2-digit" } : {}) };
    const date = { day: "numeric", month: "short", ...(time.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }) };
    const here = time.toLocaleString("en-GB", today(time) ? clock : { ...date, ...clock }).replace(" at ", ", ");
    return utc.checked ? `${here} (${text})` : here;
  }

  function prepare(page) {
    const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (!node.parentElement.closest("pre, script") && node.data.includes(" UTC")) node.data = node.data.replace(TIME, local);
    }
    const zone = page.getElementById("zone");
    if (zone) zone.textContent = `Times in ${Intl.DateTimeFormat().resolvedOptions().timeZone}`;
    page.querySelector(".zone").hidden = false;
    choose(page);
  }

  function choose(page) {
    const tools = page.querySelector(".filter");
    if (!tools) return;
    tools.hidden = false;
    const find = memory("find").trim().toLowerCase();
    const group = page.getElementById(`group-${memory("group")}`) ? memory("group") : "";
    const jobs = [...page.querySelectorAll("li.job")];
    for (const job of jobs) {
      const name = job.querySelector("h2").textContent.toLowerCase();
      job.hidden = !name.includes(find) || (group !== "" && !job.dataset.groups.split(" ").includes(group));
    }
    page.getElementById("none").hidden = jobs.some((job) => !job.hidden);
  }

  function remember() {
    const find = document.getElementById("find");
    if (!find) return;
    find.value = memory("find");
    const chosen = [...document.querySelectorAll("input[name=group]")].find((each) => each.value === memory("group"));
    if (chosen) chosen.checked = true;
  }

  document.addEventListener("input", ({ target }) => {
    if (target.id === "find") memory("find", target.value);
    else if (target.name === "group") memory("group", target.value);
    else if (target.id === "utc") return void refresh(memory("utc", target.checked ? "yes" : ""));
    choose(document);
  });

  function show(page) {
    prepare(page);
    const focused = document.activeElement;
    if (document.title !== page.title) document.title = page.title;
    morph(document.querySelector("link[rel=icon]"), page.querySelector("link[rel=icon]"));
    for (const part of ["header", "main", "footer"]) {
      morph(document.querySelector(`body > ${part}`), page.querySelector(`body > ${part}`));
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  }

  function tell(lost) {
    if (lost !== notice.hidden) return; // said already
    document.body.classList.toggle("lost", lost);
    if (lost) {
      const time = heard.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
      notice.textContent = `No contact with the daemon since ${time}. What this page shows is from then; it keeps trying.`;
    }
    notice.hidden = !lost;
  }

  // Makes `old` equal to `fresh`; elements with an id keep their identity when they move.
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(document.importNode(fresh, true));
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
    } else {
      morphAttributes(old, fresh);
      morphChildren(old, fresh);
    }
  }

  function morphAttributes(old, fresh) {
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function morphChildren(old, fresh) {
    const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    [...fresh.childNodes].forEach((child, index) => {
      const here = old.childNodes[index];
      const same = child.id && known.get(child.id);
      if (same && same !== here) old.insertBefore(same, here ?? null);
      const place = old.childNodes[index];
      if (!place) old.append(document.importNode(child, true));
      else if (place.id && place.id !== child.id) old.insertBefore(document.importNode(child, true), place);
      else morph(place, child);
    });
    while (old.childNodes.length > fresh.childNodes.length) old.lastChild.remove();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
  });
  utc.checked = memory("utc") === "yes";
  remember();
  prepare(document);
  timer = setTimeout(refresh, PERIOD);
})();

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

  function show(page) {
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
  timer = setTimeout(refresh, PERIOD);
})();

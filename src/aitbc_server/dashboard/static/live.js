// Live parts: the server sends pieces of HTML that changed; each goes where data-live has its name.
// Without this, the page shows what it was when it was loaded.
"use strict";

(() => {
  const root = document.querySelector("[data-live-source]");
  if (!root || !window.EventSource) return;
  // Another tab that gave the password again has changed the cookie already: the first try finds it.
  const AGAIN_AFTER = [1000, 10 * 1000];
  let source = null;
  let timer = 0;
  let failures = 0;

  // What the reader opened stays open, and what they are at is not taken from under their hands.
  const isBusy = (element) => {
    const selection = document.getSelection();
    const selecting = selection && !selection.isCollapsed && selection.containsNode(element, true);
    return selecting || element.contains(document.activeElement);
  };

  const show = (element, html) => {
    const opened = [...element.querySelectorAll("details")].map((each) => each.open);
    const scrolled = [...element.querySelectorAll(".chart-scroll")].map((each) => each.scrollTop);
    element.innerHTML = html;
    element.querySelectorAll("details").forEach((each, index) => { each.open = opened[index] || false; });
    element.querySelectorAll(".chart-scroll").forEach((each, index) => { each.scrollTop = scrolled[index] || 0; });
    element.dispatchEvent(new CustomEvent("aitbc:shown", { bubbles: true }));
  };

  const waiting = new Map();
  const showAll = () => {
    for (const [name, html] of waiting) {
      const element = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
      if (element && isBusy(element)) continue;
      waiting.delete(name);
      if (!element) continue;
      const before = element.querySelector("[data-announce]");
      show(element, html);
      const after = element.querySelector("[data-announce]");
      // Only what matters is said aloud: figures that change every second would drown everything else.
      const region = document.getElementById("announcements");
      if (after && region && after.dataset.announce !== (before && before.dataset.announce)) {
        region.textContent = after.dataset.announce;
      }
    }
  };

  const close = () => {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  };

  // The session is over, or was renewed in another tab; or too many pages are open. It is tried again a few times.
  const refused = () => {
    close();
    failures += 1;
    const note = document.querySelector("[data-live-note]");
    if (failures <= AGAIN_AFTER.length) timer = setTimeout(open, AGAIN_AFTER[failures - 1]);
    else if (note) note.hidden = false;
  };

  const open = () => {
    close();
    source = new EventSource(root.dataset.liveSource);
    source.onmessage = (event) => {
      failures = 0;
      for (const [name, html] of Object.entries(JSON.parse(event.data))) waiting.set(name, html);
      showAll();
    };
    source.addEventListener("over", refused);
    source.onerror = () => {
      // A stream that broke is opened again by the browser; one that was refused is not.
      if (source && source.readyState === EventSource.CLOSED) refused();
    };
  };

  document.addEventListener("focusout", () => setTimeout(showAll));
  // A page that nobody looks at needs nothing; it is brought up to date when somebody does.
  const look = () => {
    if (document.visibilityState === "hidden") close();
    else if (!source && failures <= AGAIN_AFTER.length) open();
  };
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) look(); });
  look();
})();

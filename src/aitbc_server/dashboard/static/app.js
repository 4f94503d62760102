// What pages gain where scripts run: copying, times in the reader's zone, menus that close. They work without it.
"use strict";

(() => {
  const SECOND = 1000;
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

  const announce = (text) => {
    const region = document.getElementById("announcements");
    if (region) region.textContent = text;
  };

  // Times: exact ones in the reader's zone, relative ones kept up to date.
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  // Those of charts: on the axis, in what a pointer is told, in the table, whose rows are the tips from the last to the
  // first. Requests are counted by days of UTC, wherever the reader is: such a day stays the one that it is.
  const part = (options) => new Intl.DateTimeFormat(undefined, options);
  const hour = part({ timeStyle: "short" });
  const day = part({ month: "short", day: "numeric" });
  const minute = part({ month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
  const utcDay = part({ month: "short", day: "numeric", timeZone: "UTC" });
  // Narrow screens have no room for "7:00 PM" several times; in 24 hours a bare "19" would be no time.
  const fullHour = hour.resolvedOptions().hour12 ? part({ hour: "numeric" }) : hour;
  const onAxis = (moment) => {
    if (moment.getMinutes()) return hour.format(moment);
    return (moment.getHours() ? fullHour : day).format(moment);
  };

  const showChart = (chart) => {
    const [from, step, intervals] = ["from", "step", "intervals"].map((name) => Number(chart.dataset[name]));
    const days = step === 86400;
    const momentOf = (drawn) => {
      const index = Math.round(parseFloat(drawn.getAttribute("x")) * intervals / 100);
      return new Date((from + index * step) * SECOND);
    };
    for (const label of chart.querySelectorAll("text[text-anchor=middle]")) {
      label.textContent = (days ? utcDay.format : onAxis)(momentOf(label));
    }
    const rows = [...chart.querySelectorAll("tbody th")].reverse();
    chart.querySelectorAll(".chart-tips rect").forEach((rect, index) => {
      const text = (days ? utcDay : minute).format(momentOf(rect));
      const tip = rect.firstChild;
      tip.textContent = text + tip.textContent.replace(/^.*? UTC/, days ? " UTC" : "");
      rows[index].textContent = text;
    });
    for (const note of chart.querySelectorAll("[data-utc]")) note.hidden = true;
    delete chart.dataset.from;
  };

  const showCharts = (root) => {
    for (const chart of root.querySelectorAll("[data-from]")) showChart(chart);
  };

  const since = (moment) => {
    const seconds = Math.trunc((moment - Date.now()) / SECOND);
    const unit = UNITS.find(([, length]) => Math.abs(seconds) >= length);
    if (!unit) return seconds > 0 ? "in less than a minute" : "just now";
    return relative.format(Math.trunc(seconds / unit[1]), unit[0]);
  };

  const showTimes = (root) => {
    for (const element of root.querySelectorAll("time[data-time]")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.valueOf())) continue;
      const kind = element.dataset.time;
      const text = kind === "relative" ? since(moment) : (kind === "date" ? calendar : clock).format(moment);
      if (element.textContent !== text) element.textContent = text;
      element.title = exact.format(moment);
    }
  };

  // Copying. The buttons are hidden until here: without a script they would do nothing.
  const copied = async (text) => {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("readonly", "");
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("copying is not allowed");
  };

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const showCopying = (root) => {
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  };

  const resting = new WeakMap();

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const label = button.querySelector("[data-label]") || button;
    // What it says at rest is noted once: a second click finds the button at what the first one made it say.
    label.dataset.label = label.dataset.label || label.textContent;
    try {
      await copied(source.textContent.trim());
      label.textContent = "Copied";
      announce("Copied to the clipboard.");
    } catch {
      select(source);
      label.textContent = "Press Ctrl+C";
      announce("It is selected. Press Control and C to copy it.");
    }
    clearTimeout(resting.get(label));
    resting.set(label, setTimeout(() => { label.textContent = label.dataset.label; }, 2 * SECOND));
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
    if (event.target.closest("[data-stored]")) leaving = false;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A key is shown once: leaving its page by accident is asked about.
  let leaving = document.querySelector("[data-shown-once]") !== null;
  window.addEventListener("beforeunload", (event) => {
    if (leaving) event.preventDefault();
  });

  // A second click does not send a form twice; but a file that it brings leaves the page, and the form, where they are.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || "download" in form.dataset) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    if (event.submitter) event.submitter.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.forms) {
      delete form.dataset.sent;
      for (const busy of form.querySelectorAll("[aria-busy]")) busy.removeAttribute("aria-busy");
    }
  });

  const refresh = (root) => {
    showTimes(root);
    showCharts(root);
    showCopying(root);
  };
  refresh(document);
  setInterval(() => showTimes(document), 30 * SECOND);
  // Parts that are put into the page later ask for the same.
  document.addEventListener("aitbc:shown", (event) => refresh(event.target));
})();
